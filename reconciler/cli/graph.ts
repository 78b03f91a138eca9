// stateward graph: a machine as Mermaid text or as SVG.
import { writeFile } from "node:fs/promises";
import { instance } from "@viz-js/viz";
import { Failure } from "../model/failure.ts";
import { nearest } from "../model/problem.ts";
import type { Machine, Transition } from "../model/types.ts";
import { readStateFolder } from "../record/origin.ts";
import { createLoader } from "./loader.ts";
import { print, printJson } from "./output.ts";
import { type GlobalOptions, openWorkspace } from "./workspace.ts";

export interface GraphOptions extends GlobalOptions {
  readonly format: string;
  readonly output?: string;
}

export async function graph(options: GraphOptions, name: string): Promise<number> {
  const { repository } = createLoader().load(await readStateFolder(openWorkspace(options).folder));
  const machine = repository.machines.get(name);
  if (!machine) {
    const near = nearest(name, [...repository.machines.keys()]);
    throw new Failure("invalid", `no machine is called ${name}`, {
      reason: "UnknownMachine",
      hint: near === null ? "see machines/" : `did you mean ${near}?`,
    });
  }
  if (options.json) {
    printJson({ ...machine, states: [...machine.states.values()] });
    return 0;
  }
  const text = options.format === "svg" ? await renderSvg(machine) : renderMermaid(machine);
  if (options.output === undefined) print(text);
  else {
    await writeFile(options.output, `${text}\n`);
    print(`wrote ${options.output}`);
  }
  return 0;
}

/** Mermaid state diagram, as GitHub renders it. Labels hold no characters that Mermaid reads as syntax. */
export function renderMermaid(machine: Machine): string {
  const ids = new Map([...machine.states.keys()].map((state, index) => [state, `s${index}`]));
  const id = (state: string): string => ids.get(state) ?? state;
  const states = [...machine.states.keys()].map((state) => `    state "${state}" as ${id(state)}`);
  const arrows = machine.transitions.map((transition) => {
    const label = labelOf(transition)
      .replaceAll(/[:;#"<>{}\n]/g, " ")
      .trim();
    return `    ${id(transition.from)} --> ${id(transition.to)}${label === "" ? "" : ` : ${label}`}`;
  });
  return ["stateDiagram-v2", ...states, `    [*] --> ${id(machine.initial)}`, ...arrows].join("\n");
}

async function renderSvg(machine: Machine): Promise<string> {
  const viz = await instance();
  const nodes = [...machine.states.values()].map(({ name, available }) => ({
    name,
    attributes: {
      label: name,
      shape: "box",
      style: "rounded,filled",
      fillcolor: available ? "#d7f0dd" : "#f4f4f4",
      fontname: "Helvetica",
      penwidth: name === machine.initial ? 2 : 1,
    },
  }));
  const edges = machine.transitions.map((transition) => ({
    tail: transition.from,
    head: transition.to,
    attributes: {
      label: labelOf(transition),
      fontname: "Helvetica",
      fontsize: 10,
      style: transition.auto ? "dashed" : "solid",
    },
  }));
  return viz
    .renderString({ directed: true, graphAttributes: { rankdir: "TB" }, nodes, edges }, { format: "svg" })
    .trim();
}

function labelOf({ when, steps, auto }: Transition): string {
  const parts = [
    auto ? "auto" : "",
    steps.length > 0 ? `${steps.length} ${steps.length === 1 ? "step" : "steps"}` : "",
    when === null ? "" : "when",
  ];
  return parts.filter((part) => part !== "").join(", ");
}
