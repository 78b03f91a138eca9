// Which subjects a newly accepted commit concerns. Files that did not change keep their parsed values, so identity tells.
import type { DesiredCommit } from "../model/ports.ts";
import type { Repository, Subject } from "../model/types.ts";

/** The hosts that `after` changes, where it changes nothing else; null where the whole fleet has to be looked at. */
export function editedHosts(before: DesiredCommit | null, after: DesiredCommit): readonly string[] | null {
  const { delta } = after.loaded;
  if (before === null || delta === null || delta.since !== before.loaded.key) return null;
  const isLooked = (commit: DesiredCommit, name: string): boolean =>
    commit.loaded.repository.hosts.get(name)?.transport !== "agent";
  return delta.hosts.every((name) => isLooked(before, name) === isLooked(after, name)) ? delta.hosts : null;
}

/** Names of the subjects in `names` that `after` says something new about; all of them when settings or groups changed. */
export function changedSubjects(
  before: DesiredCommit | null,
  after: DesiredCommit,
  names: readonly string[],
): string[] {
  if (before === null) return [...names];
  const [old, next] = [before.loaded.repository, after.loaded.repository];
  if (settingsText(old) !== settingsText(next) || groupsText(old) !== groupsText(next)) return [...names];
  return names.filter((name) => {
    const [was, is] = [subjectIn(old, name), subjectIn(next, name)];
    if (was === undefined || is === undefined) return true;
    if (was !== is && next.hosts.has(name)) return true;
    return [...is.machines.keys()].some((machine) => old.machines.get(machine) !== next.machines.get(machine));
  });
}

function subjectIn(repository: Repository, name: string): Subject | undefined {
  return repository.hosts.get(name) ?? repository.groups.get(name);
}

/** JSON says nothing of what is in a map. */
function settingsText({ settings }: Repository): string {
  const { governors, holidays } = settings;
  return JSON.stringify([settings, [...governors], [...holidays]]);
}

function groupsText(repository: Repository): string {
  return JSON.stringify([...repository.groups.values()].map((group) => [group, [...group.machines]]));
}
