// A machine as a Mermaid flowchart, as GitHub draws it, with the path marked that hosts would take. Of data, it holds labels alone.
import type { ProposedMachine } from "../model/proposal.ts";
import { mermaidLabel } from "./escape.ts";

/** Mermaid itself refuses more than 500 arrows, and nobody could read them. */
const arrowsMax = 200;

type Arrow = ProposedMachine["transitions"][number];

/** The flowchart; of a machine with very many transitions, the path and what stands beside it. */
export function mermaidOf(machine: ProposedMachine): string {
  const arrows = shownOf(machine);
  const shown = new Set([machine.initial, ...arrows.flatMap(({ from, to }) => [from, to])]);
  const isWhole = arrows.length === machine.transitions.length;
  const states = machine.states.filter(({ name }) => isWhole || shown.has(name));
  const ids = new Map(states.map(({ name }, index) => [name, `s${index}`]));
  const id = (state: string): string => ids.get(state) ?? "s";
  const onPath = new Set(arrows.flatMap(({ from, to, taken }) => (taken > 0 ? [from, to] : [])));
  const nodes = states.map(({ name, available }) => {
    const [open, close] = available ? ["([", "])"] : ["[", "]"];
    return `    ${id(name)}${open}"${mermaidLabel(name)}"${close}${onPath.has(name) ? ":::path" : ""}`;
  });
  const lines = arrows.map((arrow) => {
    const label = labelOf(arrow);
    const line = arrow.taken > 0 ? "==>" : arrow.auto ? "-.->" : "-->";
    return `    ${id(arrow.from)} ${line}${label === "" ? "" : `|"${label}"|`} ${id(arrow.to)}`;
  });
  const begin = ids.has(machine.initial) ? [`    start(( )) --> ${id(machine.initial)}`] : [];
  const style = "    classDef path stroke:#bf8700,stroke-width:3px";
  return ["flowchart TD", ...begin, ...nodes, ...lines, style].join("\n");
}

function shownOf({ transitions }: ProposedMachine): readonly Arrow[] {
  if (transitions.length <= arrowsMax) return transitions;
  const taken = transitions.filter((arrow) => arrow.taken > 0);
  const near = new Set(taken.flatMap(({ from, to }) => [from, to]));
  const beside = transitions.filter(({ from, to, taken: count }) => count === 0 && near.has(from) && near.has(to));
  return [...taken, ...beside].slice(0, arrowsMax);
}

function labelOf({ auto, steps, guarded, taken }: Arrow): string {
  const parts = [
    taken > 0 ? `${taken} ${taken === 1 ? "move" : "moves"}` : "",
    auto ? "auto" : "",
    steps > 0 ? `${steps} ${steps === 1 ? "step" : "steps"}` : "",
    guarded ? "when" : "",
  ];
  return parts.filter((part) => part !== "").join(" - ");
}
