// A proposal as blocks of Markdown, the most important first. Every word that comes from data stands in code (escape.ts).
import { formatDuration } from "../model/duration.ts";
import type { Problem } from "../model/problem.ts";
import type { Hindrance, Proposal, ProposedMove, ProposedTransition, ValueChange } from "../model/proposal.ts";
import type { Block } from "./block.ts";
import { cell, code, fenced, htmlCode } from "./escape.ts";
import { mermaidOf } from "./mermaid.ts";
import { titleOf } from "./plan-title.ts";
import { valueDiff } from "./value-diff.ts";

/** Names in one list, and blocks of one sort in a comment: more could not be read. */
const namesMax = 20;
const movesMax = 20;
const diffsMax = 20;
const problemsMax = 50;
const hindrancesMax = 20;

export function blocksOf(proposal: Proposal): Block[] {
  return [
    headline(proposal),
    ...notes(proposal),
    ...problems(proposal),
    ...removals(proposal),
    ...hindrances(proposal),
    ...noPaths(proposal),
    ...moves(proposal),
    ...spread(proposal),
    ...owners(proposal),
    ...values(proposal),
    ...graphs(proposal),
    ...unchanged(proposal),
    ...allNames(proposal),
  ];
}

function hosts(count: number): string {
  return counted(count, "host");
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Some names in code, and how many more there are. */
function listed(names: readonly string[], most: number = namesMax): string {
  const shown = names
    .slice(0, most)
    .map((name) => code(name))
    .join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

function headline(proposal: Proposal): Block {
  const { base, head, record, at, errors, warnings } = proposal;
  const problems = `${counted(errors.length, "error")}, ${counted(warnings.length, "new warning")}`;
  const from = record === null ? "the targets of BASE: no record was read" : `the record ${cell(record.slice(0, 12))}`;
  const rows: [string, string][] = [
    ...(errors.length > 0 ? [] : effectRows(proposal)),
    ["Problems", problems],
    ["Compared", `${base === null ? "nothing" : cell(base.slice(0, 12))} with ${cell(head.slice(0, 12))}`],
    ...(errors.length > 0 ? [] : [["States taken from", from] as [string, string]]),
    ["As of", cell(at)],
  ];
  // The first row is the table's head: an empty head would be drawn as an empty row.
  const [first = "", ...rest] = rows.map(([key, value]) => `| ${key} | ${value} |`);
  const table = [first, "|---|---|", ...rest];
  return { about: "headline", text: [`## ${titleOf(proposal)}`, "", ...table].join("\n") };
}

function effectRows({ counts, added, removed, machines, changes }: Proposal): [string, string][] {
  const changed = machines.filter(({ change }) => change !== null).length;
  const settings = changes.some(({ kind }) => kind === "settings" || kind === "holidays" || kind === "signers");
  return [
    ["Hosts that would move", `${counts.moved} of ${counts.hosts}`],
    ["Unchanged", `${counts.unchanged}${counts.underWay > 0 ? `, and ${counts.underWay} on their way already` : ""}`],
    ["Added / removed hosts", `${added.hosts.length} / ${removed.hosts.length}`],
    ["Changed machines", String(changed)],
    ...(settings ? [["Settings", "**changed**: they hold for the whole fleet"] as [string, string]] : []),
  ];
}

function notes({ notes: sentences }: Proposal): Block[] {
  if (sentences.length === 0) return [];
  return [{ about: "note", text: alert("NOTE", sentences) }];
}

/** A block that GitHub draws with a colour. */
function alert(kind: "NOTE" | "WARNING" | "CAUTION" | "IMPORTANT", lines: readonly string[]): string {
  return [`> [!${kind}]`, ...lines.map((line) => `> - ${line}`)].join("\n");
}

function problems({ errors, warnings }: Proposal): Block[] {
  const section = (title: string, kind: "CAUTION" | "WARNING", list: readonly Problem[]): Block[] => {
    if (list.length === 0) return [];
    const more = list.length - problemsMax;
    const rest = more > 0 ? [`and ${more} more`] : [];
    return [
      {
        about: "list of problems",
        text: `### ${title}\n\n${alert(kind, [...list.slice(0, problemsMax).map(problemLine), ...rest])}`,
      },
    ];
  };
  return [...section("Errors", "CAUTION", errors), ...section("New warnings", "WARNING", warnings)];
}

function problemLine({ file, line, column, code: name, message, remedy }: Problem): string {
  return `${name} at ${code(`${file}:${line}:${column}`)}: ${code(message)}; ${code(remedy)}`;
}

function removals({ removed }: Proposal): Block[] {
  const lines = [
    ...(removed.hosts.length > 0
      ? [
          `**${hosts(removed.hosts.length)} removed**: ${listed(removed.hosts)}. Nothing is done to them any more, and nothing on them is undone.`,
        ]
      : []),
    ...(removed.groups.length > 0
      ? [`**Groups removed**, and their limits with them: ${listed(removed.groups)}.`]
      : []),
    ...(removed.machines.length > 0 ? [`**Machines removed**: ${listed(removed.machines)}.`] : []),
  ];
  return lines.length === 0
    ? []
    : [{ about: "list of what is removed", text: `### Removed\n\n${alert("WARNING", lines)}` }];
}

function hindrances({ hindrances: all }: Proposal): Block[] {
  if (all.length === 0) return [];
  const needsWord = all.some(({ kind }) => kind === "approval");
  const more = all.length - hindrancesMax;
  const lines = [...all.slice(0, hindrancesMax).map(hindranceLine), ...(more > 0 ? [`and ${more} more`] : [])];
  return [
    {
      about: "list of what it waits for",
      text: `### What it would wait for\n\n${alert(needsWord ? "IMPORTANT" : "NOTE", lines)}`,
    },
  ];
}

const hindranceWords: Readonly<Record<Hindrance["kind"], string>> = {
  approval: "A person's word",
  hold: "A hold",
  window: "A window",
  brake: "The brake",
  rollout: "A rollout",
};

function hindranceLine({ kind, message, remedy, names }: Hindrance): string {
  const of = names.length === 0 ? "" : ` (${hosts(names.length)}: ${listed(names, 5)})`;
  return `**${hindranceWords[kind]}**${of}: ${code(message)}; ${code(remedy)}`;
}

function noPaths({ noPaths: all }: Proposal): Block[] {
  return all.map(({ machine, from, to, names, message, missing }) => {
    const entry = missing === null ? "" : ` An entry of ${code(missing.to)} from ${code(missing.from)} would make one.`;
    const line = `**No path** in ${code(machine)} from ${code(from)} to ${code(to)}, for ${listed(names, 5)}: ${code(message)}.${entry}`;
    return { about: "target without a path", text: alert("CAUTION", [line]) };
  });
}

function moves({ moves: all }: Proposal): Block[] {
  if (all.length === 0) return [];
  const blocks = all.map(
    (move, index): Block => ({
      about: "move",
      text: [moveTitle(move), "", ...move.path.flatMap(transitionLines)].join("\n"),
      isDetail: index >= movesMax,
    }),
  );
  const legend =
    "*exact*: all of it stands in the files. *estimated*: the tool can say beforehand. *opaque*: a program is run, and what it does is not known.";
  const more = all.length > movesMax ? ` The first ${movesMax} of ${all.length} are shown.` : "";
  return [{ about: "heading", text: `### Moves\n\n${legend}${more}` }, ...blocks];
}

const reasons: Readonly<Record<ProposedMove["reason"], string>> = {
  target: "another target",
  added: "new",
  way: "the same target by another way",
};

function moveTitle({ kind, machine, from, to, reason, names }: ProposedMove): string {
  const who = kind === "host" ? hosts(names.length) : names.length === 1 ? "1 group" : `${names.length} groups`;
  return `**${code(machine)}: ${code(from)} → ${code(to)}**, ${who} (${reasons[reason]}): ${listed(names)}`;
}

function transitionLines({ from, to, effect, steps, guard, governors, barrier }: ProposedTransition): string[] {
  const extra = [
    ...(guard === null ? [] : [`  - guard ${code(guard.when)}: ${guardText(guard)}`]),
    ...(governors.length === 0 ? [] : [`  - needs a permit of ${governors.map((name) => code(name)).join(", ")}`]),
    ...(barrier === null ? [] : [`  - waits until enough hosts of ${code(barrier)} have arrived`]),
  ];
  const lines = steps.map(({ title, effect: how, repeat, on }) => {
    const words = [
      how,
      ...(on === "controller" ? ["on the controller"] : []),
      ...(repeat === "never" ? ["**never repeated**"] : []),
    ];
    return `  - step ${code(title)}: ${words.join(", ")}`;
  });
  const what = steps.length === 0 ? "no steps" : steps.length === 1 ? "1 step" : `${steps.length} steps`;
  return [`- ${code(from)} → ${code(to)}: ${what}, ${effect}`, ...extra, ...lines];
}

function guardText({ closed, asked }: NonNullable<ProposedTransition["guard"]>): string {
  if (closed === 0) return "holds now";
  return closed === asked ? "**does not hold now**" : `does not hold now for ${closed} of ${asked} that were asked`;
}

function spread({ rollouts, play }: Proposal): Block[] {
  const lines = rollouts.map(
    ({ group, machine, to, hosts: count, waves, soakMs, maxUnavailable, maxFailures, order }) => {
      const where = group === null ? "the fleet" : code(group);
      const parts = [
        `waves up to ${wavesText(waves)}`,
        ...(soakMs > 0 ? [`each holds for ${formatDuration(soakMs)}`] : []),
        `at most ${maxUnavailable} unavailable`,
        `halts after ${maxFailures === 0 ? "the first failure" : `more than ${maxFailures} failures`}`,
        ...(order.length > 0 ? [`regions in the order ${order.map((name) => code(name)).join(", ")}`] : []),
      ];
      return `- ${code(machine)} to ${code(to)} in ${where}: ${hosts(count)}, ${parts.join("; ")}`;
    },
  );
  if (lines.length === 0 && play === null) return [];
  const shown = lines.slice(0, 20);
  const more = lines.length > 20 ? [`- and ${lines.length - 20} more rollouts`] : [];
  return [{ about: "rollouts", text: ["### How it spreads", "", ...shown, ...more, ...playLines(play)].join("\n") }];
}

function wavesText(waves: readonly number[]): string {
  const shown = waves.slice(0, 6).join(", ");
  return waves.length > 6 ? `${shown} ... ${waves.at(-1)} (${waves.length} waves)` : shown;
}

function playLines(play: Proposal["play"]): string[] {
  if (play === null) return [];
  const { transitions, hosts: count, others, peak, durationMs, assumed, groups, stuck } = play;
  const parts = [
    `${counted(transitions, "transition")} of ${hosts(count)}`,
    `at most ${hosts(peak)} at once`,
    `about ${formatDuration(durationMs)}`,
    ...(assumed > 0 ? [`${assumed} of which nobody knows how long they take: 10 s a step are assumed`] : []),
    ...(others > 0 ? [`beside ${others} transitions that were wanted before`] : []),
  ];
  const lowest = groups
    .slice(0, 10)
    .map(
      ({ group, size, before, lowest: least }) =>
        `- of ${code(group)} (${size}), ${before} are available now, and ${least} at the least`,
    );
  const stays = stuck
    .slice(0, 10)
    .map(
      ({ machine, reason, message, names }) =>
        `- **does not arrive**: ${hosts(names.length)} (${listed(names, 5)}) in ${code(machine)}: ${code(reason)}: ${code(message)}`,
    );
  return [`- played forward${play.isCut ? ", as far as that was done" : ""}: ${parts.join(", ")}`, ...lowest, ...stays];
}

function owners({ owners: names, unowned }: Proposal): Block[] {
  if (names.length === 0 && unowned === 0) return [];
  const nobody = unowned > 0 ? `${names.length > 0 ? ", and " : ""}${hosts(unowned)} that nobody owns` : "";
  return [{ about: "list of owners", text: `### Owners concerned\n\n${listed(names, 50)}${nobody}` }];
}

function values({ changes }: Proposal): Block[] {
  if (changes.length === 0) return [];
  const more = changes.length > diffsMax ? `\n\nThe first ${diffsMax} of ${changes.length} are shown.` : "";
  const blocks = changes.map(
    (change, index): Block => ({
      about: "diff",
      text: folded(changeTitle(change), fenced("diff", valueDiff(change))),
      isDetail: index >= diffsMax,
    }),
  );
  return [{ about: "heading", text: `### Values that change${more}` }, ...blocks];
}

function changeTitle({ kind, names, before, after }: ValueChange): string {
  const what = before === "" ? "added" : after === "" ? "removed" : "changed";
  const [first = ""] = names;
  const more = names.length > 1 ? ` and ${names.length - 1} more` : "";
  return `${kind} ${htmlCode(first)}${more} ${what}`;
}

/** `title` is HTML. Markdown is read again after the empty line. */
function folded(title: string, body: string): string {
  return `<details><summary>${title}</summary>\n\n${body}\n\n</details>`;
}

function graphs({ machines }: Proposal): Block[] {
  const drawn = machines.filter(({ states }) => states.length > 0);
  if (drawn.length === 0) return [];
  const blocks = drawn.map((machine, index): Block => {
    const change = machine.change === null ? "" : `, ${machine.change}`;
    const title = `machine ${htmlCode(machine.name)}${change}, carried by ${machine.carriers}`;
    return { about: "graph", text: folded(title, fenced("mermaid", mermaidOf(machine))), isDetail: index >= 5 };
  });
  return [{ about: "heading", text: "### Machines\n\nThe way that hosts would take is marked." }, ...blocks];
}

function unchanged({ counts, added, errors }: Proposal): Block[] {
  if (errors.length > 0) return [];
  const lines = [
    ...(counts.unchanged > 0 ? [`- ${hosts(counts.unchanged)} would not move`] : []),
    ...(counts.underWay > 0 ? [`- ${hosts(counts.underWay)} on their way already, whatever this change does`] : []),
    ...(added.hosts.length > 0 ? [`- new hosts: ${listed(added.hosts)}`] : []),
    ...(added.groups.length > 0 ? [`- new groups: ${listed(added.groups)}`] : []),
    ...(added.machines.length > 0 ? [`- new machines: ${listed(added.machines)}`] : []),
  ];
  if (lines.length === 0) return [];
  return [{ about: "list of what is unchanged", text: folded("What is unchanged and new", lines.join("\n")) }];
}

/** Every name of long lists, in parts that fit beside others. */
function allNames({ moves: all, removed }: Proposal): Block[] {
  const lists = [
    ...all.map(({ machine, from, to, names }) => [`${code(machine)}: ${code(from)} → ${code(to)}`, names] as const),
    ["removed hosts", removed.hosts] as const,
  ];
  return lists
    .filter(([, names]) => names.length > namesMax)
    .flatMap(([title, names]) =>
      inParts(names, 300).map((part, index, parts): Block => {
        const of = parts.length > 1 ? ` (${index + 1} of ${parts.length})` : "";
        return {
          about: "list of names",
          text: `#### ${title}${of}\n\n${part.map((name) => code(name)).join(" ")}`,
          isDetail: true,
        };
      }),
    );
}

function inParts<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
