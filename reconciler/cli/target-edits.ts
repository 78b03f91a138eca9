// From what a person wants of some hosts to edits of the files that say so. It reads nothing but what it is given, and writes nothing.
import type { ChangedFile } from "../forge/patch.ts";
import { Failure } from "../model/failure.ts";
import { errorsOf, nearest, type Problem } from "../model/problem.ts";
import type { FileChange, LoadedRepository, RepositoryLoader } from "../model/repository.ts";
import type { Group, Machine, Repository, Subject } from "../model/types.ts";
import { setWord } from "../model/yaml-edit.ts";
import { objectId } from "../record/pack.ts";

/** A machine and the state that it is to be in. */
export interface Assignment {
  readonly machine: string;
  readonly state: string;
}

/** One target that changes. */
export interface TargetChange extends Assignment {
  readonly subject: string;
  readonly file: string;
  /** Null where there was none. */
  readonly before: string | null;
}

/** The files of a state repository, in a folder or a commit. */
export interface Edition {
  readonly loaded: LoadedRepository;
  textOf(path: string): Promise<string>;
}

/** `web=published` in two. Throws a Failure for anything else. */
export function parseAssignment(text: string): Assignment {
  const [, machine, state] = /^([^=]+)=([^=]+)$/.exec(text) ?? [];
  if (machine !== undefined && state !== undefined) return { machine, state };
  throw new Failure("invalid", `not a machine and a state: ${text}`, {
    reason: "Usage",
    hint: "such as git-server=drained",
  });
}

/**
 * Targets that differ from what is wanted, in the order of names. `select` is a host, `group/NAME` for each host of a group, or a group
 * for a machine of its own. `onGroup` sets a machine that hosts share where it is said: in their group. Throws a Failure, with the
 * nearest name, for what does not exist; and where a group selects no host (B4).
 */
export function targetChanges(
  { repository }: LoadedRepository,
  select: string,
  wanted: readonly Assignment[],
  onGroup: boolean,
): TargetChange[] {
  for (const assignment of wanted) needState(repository, assignment);
  const names = wanted.map(({ machine }) => machine);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw usage(`${twice} is set twice`, "name each machine once");
  return subjectsOf(repository, select, onGroup).flatMap((subject) =>
    wanted.flatMap(({ machine, state }): TargetChange[] => {
      const { name, file, machines } = carrierOf(repository, subject, machine, onGroup);
      const before = machines.get(machine) ?? null;
      return before === state ? [] : [{ subject: name, file, machine, state, before }];
    }),
  );
}

function needState({ machines }: Repository, { machine: name, state }: Assignment): void {
  const machine = machines.get(name);
  if (!machine) throw unknownName("machine", name, [...machines.keys()]);
  if (machine.states.has(state)) return;
  const states = [...machine.states.keys()];
  const near = nearest(state, states);
  throw new Failure("invalid", `${name} has no state ${state}`, {
    reason: "UnknownState",
    hint: near === null ? `its states: ${shownStates(machine)}` : `did you mean ${near}?`,
  });
}

const statesShownMax = 20;

function shownStates({ states }: Machine): string {
  const names = [...states.keys()];
  return names.slice(0, statesShownMax).join(", ") + (names.length > statesShownMax ? ", ..." : "");
}

function subjectsOf({ hosts, groups }: Repository, select: string, onGroup: boolean): readonly Subject[] {
  const [, groupName] = /^group\/(.+)$/.exec(select) ?? [];
  if (groupName !== undefined) {
    const group = groups.get(groupName);
    if (!group) throw unknownName("group", groupName, [...groups.keys()]);
    if (onGroup) return [group];
    const members = group.members.flatMap((name) => hosts.get(name) ?? []);
    if (members.length > 0) return members;
    throw new Failure("invalid", `the group ${groupName} selects no host`, {
      reason: "NothingToDo",
      hint: `it selects by: ${group.select ?? "nothing"}`,
    });
  }
  const subject = hosts.get(select) ?? groups.get(select);
  if (!subject) throw unknownName("host or group", select, [...hosts.keys(), ...groups.keys()]);
  return [subject];
}

/** Who says what the machine's target is: the subject itself, or a group of the host's that carries the machine for all of its hosts. */
function carrierOf(repository: Repository, subject: Subject, machine: string, onGroup: boolean): Subject {
  if (subject.machines.has(machine) || repository.groups.has(subject.name)) return subject;
  const sharing = [...repository.groups.values()].filter(
    (group) => group.members.includes(subject.name) && group.machines.has(machine),
  );
  const [first, ...others] = sharing;
  if (first === undefined) return subject;
  if (onGroup && others.length === 0) return first;
  throw sharedBy(subject, machine, sharing);
}

function sharedBy({ name }: Subject, machine: string, sharing: readonly Group[]): Failure {
  const groups = sharing.map((group) => `${group.name} (${group.file})`).join(", ");
  const [first] = sharing;
  const hint =
    sharing.length > 1
      ? `name the group: ${sharing.map((group) => `stateward set ${group.name} ${machine}=...`).join(", or ")}`
      : `its hosts share one state: give --group to set it for all ${first?.members.length ?? 0} of them`;
  return new Failure("invalid", `${name} has ${machine} from the group ${groups}`, { reason: "SharedTarget", hint });
}

function unknownName(what: string, name: string, known: readonly string[]): Failure {
  const near = nearest(name, known);
  return new Failure("invalid", `no ${what} is called ${name}`, {
    reason: "UnknownName",
    hint: near === null ? "stateward status lists hosts, stateward graph draws machines" : `did you mean ${near}?`,
  });
}

function usage(message: string, hint: string): Failure {
  return new Failure("invalid", message, { reason: "Usage", hint });
}

/** The files with their targets changed, all else in them as it is. Throws a Failure for a file that cannot be edited. */
export async function editTargets(edition: Edition, changes: readonly TargetChange[]): Promise<ChangedFile[]> {
  const edited = new Map<string, ChangedFile & { readonly after: string }>();
  for (const { file: path, machine, state } of changes) {
    const known = edited.get(path);
    const before = known?.before ?? (await edition.textOf(path));
    const after = setWord(known?.after ?? before, { map: "targets", key: machine, word: state });
    if (after === null)
      throw new Failure("invalid", `${path} cannot be edited`, {
        reason: "NotEditable",
        hint: `set targets.${machine} to ${state} there by hand`,
      });
    edited.set(path, { path, before, after });
  }
  return [...edited.values()];
}

/** Errors that the files would have once they were edited, as `stateward check` finds them. */
export function problemsAfter(
  loader: RepositoryLoader,
  { loaded }: Pick<Edition, "loaded">,
  files: readonly ChangedFile[],
): Problem[] {
  const changes = files.map(({ path, after }): FileChange => {
    if (after === null) return { path, file: null };
    return { path, file: { path, text: after, id: objectId("blob", Buffer.from(after)) } };
  });
  return errorsOf(loader.change(loaded, changes).problems);
}
