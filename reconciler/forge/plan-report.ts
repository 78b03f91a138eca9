// What a Git host is told of a proposal: a title, a verdict, a comment that fits, details for the rest, and remarks at lines of files.
import type { Annotation, PlanReport } from "../model/forge.ts";
import { printable } from "../model/printable.ts";
import { type Problem, problemCodes } from "../model/problem.ts";
import type { Proposal } from "../model/proposal.ts";
import { aboutText, pack } from "./block.ts";
import { cut } from "./escape.ts";
import { blocksOf } from "./markdown.ts";
import { titleOf } from "./plan-title.ts";

/** The same proposal gives the same report. Secrets are hidden in the proposal already. */
export function planReport(proposal: Proposal): PlanReport {
  const { head, errors, warnings, owners } = proposal;
  const blocks = blocksOf(proposal);
  const later = blocks.filter(({ isDetail }) => isDetail === true);
  const now = blocks.filter(({ isDetail }) => isDetail !== true);
  const packed = pack(
    now,
    (rest) => `*Left out for want of room: ${aboutText(rest)}. They are in the details of the check.*`,
  );
  const rest = [...packed.rest, ...later];
  const said =
    packed.rest.length > 0 || later.length === 0 ? "" : `\n*In the details of the check: ${aboutText(later)}.*\n`;
  const details = pack(
    rest,
    (left) => `*Left out for want of room: ${aboutText(left)}. \`stateward plan --json\` says all of it.*`,
  );
  return {
    head,
    title: titleOf(proposal),
    conclusion: conclusionOf(proposal),
    comment: `${packed.text}${said}`,
    details: rest.length === 0 ? "" : details.text,
    annotations: [...errors, ...warnings].map(annotationOf),
    removes: proposal.removed.hosts.length > 0,
    lacksWay: proposal.noPaths.length > 0,
    owners,
  };
}

function conclusionOf({ errors, hindrances, noPaths, moves, changes }: Proposal): PlanReport["conclusion"] {
  if (errors.length > 0) return "failure";
  // A host without a way to its target stops there, and only a person can help it.
  if (noPaths.length > 0 || hindrances.some(({ kind }) => kind === "approval")) return "action_required";
  return moves.length === 0 && changes.length === 0 ? "neutral" : "success";
}

const messageMax = 2000;

function annotationOf({ file, line, column, severity, code, message, remedy }: Problem): Annotation {
  return {
    path: file,
    line,
    column,
    level: severity === "error" ? "failure" : "warning",
    title: `${code} ${problemCodes[code]}`,
    message: cut(printable(`${message}; ${remedy}`), messageMax),
  };
}
