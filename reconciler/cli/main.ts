#!/usr/bin/env node
// The command line. Exit status: 0 done, 1 failed, 2 wrong usage, 3 plan has changes (with --exit-code). A command is loaded when it is
// given: to load all of them takes longer than most commands.
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { Failure, isDiskFull, messageOf } from "../model/failure.ts";
import type { PlanOptions } from "./inspect.ts";
import { paint, shown } from "./output.ts";
import type { ProposeOptions } from "./propose.ts";
import { version } from "./version.ts";

const program = new Command("stateward")
  .description(
    "GitOps for hosts: target states in Git become real, what is observed becomes commits, and a lost host is replayed.",
  )
  .version(version)
  .option("--folder <dir>", "folder of the state repository", ".")
  .option("--data <dir>", "the reconciler's own data (default: .stateward in the folder)")
  .option(
    "--repository <url>",
    "Git remote of the state repository; again for one to read main from while the first does not answer (default: a bare one inside the data folder, made from the folder's files)",
    (url: string, before: string[] | undefined) => [...(before ?? []), url],
  )
  .option("--credentials <file>", "credentials for the remote: lines https://user:token@host, or a private key for ssh")
  .option("--json", "machine-readable output")
  .showSuggestionAfterError()
  .configureHelp({ showGlobalOptions: true })
  .addHelpText(
    "after",
    `
When something is wrong: stateward status, then stateward why HOST and stateward log HOST.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 plan has changes (with --exit-code).`,
  )
  .exitOverride();

let exit = 0;
let endsAtOnce = false;

// Whoever reads has read enough, as head does. A reconciler goes on: what it says there is in its log as well, and nobody would start it
// again after an end that looks like one in order.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (endsAtOnce) return;
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.stderr.on("error", () => {});

/** Adds a command with examples; what its action resolves to is the exit status. */
function add(spec: string, description: string, examples: readonly string[]): Command {
  const shown = examples.map((example) => `  $ stateward ${example}`).join("\n");
  return program.command(spec).description(description).addHelpText("after", `\nExamples:\n${shown}`);
}

// Options of a command and those of the program together, typed by whoever takes them.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- commander's own signature: the caller knows the shape
const all = <T extends object>(command: Command): T => command.optsWithGlobals<T>();
const done = async (status: Promise<number>): Promise<void> => {
  exit = await status;
};
const seconds = (text: string): string => {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("not a number of seconds");
  return text;
};

add("init", "make a new state repository with one machine and one host", ["init", "init --folder /srv/fleet"])
  .option(
    "--action <owner/name@commit>",
    "stateward's own action, for the workflow on GitHub (default: the package from npm)",
  )
  .option("--dry-run", "say what would be written")
  .action(async (_options, command: Command) => done((await import("./init.ts")).init(all(command))));

add("check", "check the files of the folder", ["check", "check --json", "check --format github"])
  .addOption(new Option("--format <format>", "how problems are printed").choices(["text", "json", "github"]))
  .action(async (_options, command: Command) => done((await import("./inspect.ts")).check(all(command))));

add("plan [names...]", "what would happen to which host, along which path; with BASE..HEAD, what a change would do", [
  "plan",
  "plan git-1",
  "plan --exit-code",
  "plan --simulate",
  "plan origin/main..HEAD",
  "plan origin/main..HEAD --record origin/observed --markdown",
])
  .option("--exit-code", "exit with 3 when something would change")
  .option("--simulate", "play it forward: waves, most hosts at once, fewest available, about how long")
  .option("--record <commit>", "with BASE..HEAD: where the record is (default: the branch observed, if it is there)")
  .option("--markdown", "with BASE..HEAD: as it is shown on a pull request")
  .action((names: string[], _options, command: Command) => done(planOrPropose(command, names)));

add("explain <host> [field]", "where a value that applies to a host comes from: file, line and why", [
  "explain git-1",
  "explain git-1 rollout.max_unavailable",
  "explain git-1 vars --json",
]).action(async (name: string, field: string | undefined, _options, command: Command) =>
  done((await import("./explain.ts")).explain(all(command), name, field ?? null)),
);

add("run", "run the reconciler", [
  "run",
  "run --once",
  "run --repository ssh://git@example.org/fleet.git",
  "run --github acme/fleet --github-app-id 1234 --github-app-key-file app.pem",
])
  .option("--once", "end when the fleet is at rest: 0 if all is in target, 1 with the reasons if not")
  .option("--timeout <seconds>", "end --once with 1 after this time", seconds, "600")
  .option("--take-over", "lead at once, without waiting until whoever led before is silent")
  .option("--listen <address:port>", "address of the HTTP interface (default: http.listen of stateward.yaml)")
  .option(
    "--signing-key <file>",
    "sign the commits of the record, and of reverts: an OpenSSH private key without a passphrase, or the .pub of one that an ssh-agent holds (default: STATEWARD_SIGNING_KEY_FILE)",
  )
  .option("--github <owner/name>", "look after the pull requests of this repository on GitHub (or STATEWARD_GITHUB)")
  .option("--github-api <url>", "address of GitHub's REST interface (default: that of github.com)")
  .option("--github-app-id <id>", "id of the GitHub App that it acts as")
  .option("--github-app-key-file <file>", "private key of the app, in a file that nobody else may read")
  .option("--github-token-file <file>", "a token in place of an app (default: STATEWARD_GITHUB_TOKEN)")
  .option("--no-revert", "do not open a pull request that takes a commit back whose rollout was halted")
  .action(async (_options, command: Command) => {
    endsAtOnce = true;
    return done((await import("./run.ts")).run(all(command)));
  });

add("status [name]", "states, targets and what each host waits for", [
  "status",
  "status git-2",
  "status --json",
]).action(async (name: string | undefined, _options, command: Command) =>
  done((await import("./inspect.ts")).status(all(command), name ?? null)),
);

add("history <host>", "what became of a host, newest first, from the branch observed", [
  "history git-1",
  "history git-1 --limit 5",
  "history git-1 --all",
])
  .option("--limit <n>", "at most so many commits", "1000")
  .option("--all", "also commits that only note an attempt or a condition")
  .action(async (name: string, _options, command: Command) =>
    done((await import("./inspect.ts")).history(all(command), name)),
  );

add("log [host]", "who did what, why and with which pull request, newest first; tries that failed too", [
  "log",
  "log git-1",
  "log --since '2h ago' --actor ana",
  "log git-1 --since 2026-11-20 --until 2026-11-21 --json",
])
  .option("--since <time>", "not before: 2026-11-22T09:30:00Z, 2026-11-22, 2h ago (UTC unless it says otherwise)")
  .option("--until <time>", "not after")
  .option("--actor <name>", "said by, or with a commit of main by: a part of the name will do")
  .option("--limit <n>", "at most so many lines", "50")
  .action(async (name: string | undefined, _options, command: Command) =>
    done((await import("./audit-log.ts")).log(all(command), name ?? null)),
  );

add("at <time> [host]", "how the fleet stood at any time: ISO 8601, a date, 2h ago, or a commit", [
  "at '30m ago'",
  "at 2026-11-22T09:30:00Z git-1",
  "at 3f2a9c1 --json",
]).action(async (time: string, name: string | undefined, _options, command: Command) =>
  done((await import("./audit-state.ts")).at(all(command), time, name ?? null)),
);

add("diff <from> <to> [host]", "what changed in the fleet between two times", [
  "diff '2h ago' now",
  "diff 2026-11-21 2026-11-22 git-1 --json",
]).action(async (...[from, to, name, , command]: [string, string, string | undefined, unknown, Command]) =>
  done((await import("./audit-state.ts")).diff(all(command), [from, to], name ?? null)),
);

add("blame <host.field>", "which commit of main, by whom and with which pull request, gave a value", [
  "blame git-1.targets.git-server",
  "blame git-1.rollout --json",
]).action(async (what: string, _options, command: Command) =>
  done((await import("./audit-blame.ts")).blame(all(command), what)),
);

add("bisect <host>", "since when a host is in a bad state, and which commit of main or step came before", [
  "bisect git-1",
  "bisect git-1 --bad git-server=drained",
  "bisect git-1 --bad Stalled --good '2d ago'",
])
  .option("--bad <state>", "a state, MACHINE=STATE, or a condition's reason (default: stalled, failing or lost)")
  .option("--good <time>", "a time at which all was well: the first bad state after it is named")
  .action(async (name: string, _options, command: Command) =>
    done((await import("./audit-bisect.ts")).bisect(all(command), name)),
  );

add(
  "verify",
  "check the whole record: signatures, epochs, commits of main that it names, every file; exit 1 with findings",
  ["verify", "verify --signers reconcilers.allowed --json"],
)
  .option("--signers <file>", "who may sign the record (default: the signers of main, where its settings name any)")
  .action(async (_options, command: Command) => done((await import("./verify.ts")).verify(all(command))));

add("accept-history", "follow branches that were rewound or rewritten as they are now", [
  "accept-history",
  "accept-history --yes",
])
  .option("--yes", "do it")
  .action(async (_options, command: Command) => done((await import("./record.ts")).acceptHistory(all(command))));

program
  .command("record")
  .description("keep the record small")
  .addHelpText("after", "\nExamples:\n  $ stateward record archive --dry-run")
  .command("archive")
  .description("give the branch observed a new root with the same files; what it was stays on a branch")
  .option("--dry-run", "only say what would happen")
  .addHelpText("after", "\nExamples:\n  $ stateward record archive --dry-run\n  $ stateward record archive")
  .action(async (_options, command: Command) => done((await import("./record.ts")).archive(all(command))));

const by = ["--by <name>", "who says it (default: STATEWARD_USER, else who runs this)"] as const;

add("replay <host>", "replay what was applied to a host, from its initial states", [
  "replay git-1 --dry-run",
  "replay git-1",
])
  .option("--dry-run", "only say along which path")
  .option(...by)
  .action(async (name: string, _options, command: Command) =>
    done((await import("./act.ts")).replay(all(command), name)),
  );

add("hold <selector>", "nothing is started on a host, group/NAME, region/NAME or the fleet, until it is released", [
  'hold git-1 --reason "disk is failing"',
  'hold region/east --reason "power works" --until 2026-12-01T09:00:00Z',
  'hold fleet --reason "incident 4711"',
])
  .requiredOption("--reason <text>", "why, for everybody who looks")
  .option("--until <time>", "its end (default: none)")
  .option(...by)
  .action(async (select: string, _options, command: Command) =>
    done((await import("./coordinate.ts")).hold(all(command), select)),
  );

add("release <selector>", "lift a hold", ["release git-1", "release region/east"])
  .option(...by)
  .action(async (select: string, _options, command: Command) =>
    done((await import("./coordinate.ts")).release(all(command), select)),
  );

add("why <host>", "why a host is not in its target, to the root of it, and what would let it go on", [
  "why git-2",
  "why git-2 --what-if 'release git-1'",
  "why git-2 --json",
])
  .option("--what-if <word>", "what would be: release X, hold X, retry X, brake release")
  .action(async (name: string, _options, command: Command) =>
    done((await import("./coordinate.ts")).why(all(command), name)),
  );

add("fleet", "rollouts and their waves, governors and their holders, holds, brakes", ["fleet", "fleet --json"]).action(
  async (_options, command: Command) => done((await import("./coordinate.ts")).fleet(all(command))),
);

add("approve <commit>", "a person's word for a commit that moves or removes many hosts", ["approve 3f2a9c1"])
  .option(...by)
  .action(async (commit: string, _options, command: Command) =>
    done((await import("./coordinate.ts")).approve(all(command), commit)),
  );

program
  .command("brake")
  .description("what stops all healing when too many hosts are lost at once")
  .addHelpText("after", '\nExamples:\n  $ stateward brake release --reason "the switch is back"')
  .command("release")
  .description("a person has looked: healing goes on")
  .requiredOption("--reason <text>", "what was found")
  .option(...by)
  .addHelpText("after", '\nExamples:\n  $ stateward brake release --reason "the switch is back"')
  .action(async (_options, command: Command) => done((await import("./coordinate.ts")).releaseBrake(all(command))));

for (const [word, meaning] of [
  ["retry", "run again what is stalled, also a step that must not repeat"],
  ["skip", "go on without the step that is stalled"],
] as const) {
  add(`${word} <host>`, `a person's word: ${meaning}`, [`${word} git-1`, `${word} git-1 --machine git-server`])
    .option("--machine <name>", "the machine that is meant (default: the one that is stalled)")
    .option(...by)
    .action(async (name: string, _options, command: Command) =>
      done((await import("./act.ts")).verdict(all(command), word, name)),
    );
}

/** Options of the commands that change files, or open a pull request in place of that. */
function offers(command: Command): Command {
  return command
    .option("--pr", "open a pull request from the remote's main, and leave the folder as it is")
    .option("--message <text>", "first line: title of the pull request and the commit; then more about it")
    .option("--dry-run", "say what would change, and change nothing")
    .option("--remote <name>", "remote of the folder's own repository (default: origin)")
    .option(
      "--github <owner/name>",
      "repository on GitHub (default: GITHUB_REPOSITORY, else as the remote's address says)",
    )
    .option(
      "--github-api <url>",
      "address of GitHub's REST interface (default: GITHUB_API_URL, else that of github.com)",
    )
    .option("--github-token-file <file>", "file with a token (default: GITHUB_TOKEN or GH_TOKEN)");
}

offers(
  add("set <host> <targets...>", "change target states where the files say them, keeping comments and layout", [
    "set git-1 git-server=drained",
    'set git-1 git-server=drained --pr --message "Drain git-1: its disk is failing"',
    "set group/web web=published --dry-run",
    "set primary notice=posted",
  ]),
)
  .option("--group", "set a machine that hosts share in the group that carries it")
  .action(async (select: string, targets: string[], _options, command: Command) =>
    done((await import("./set.ts")).set(all(command), select, targets)),
  );

offers(
  add("adopt <host> [machine]", "make the state that a host was seen to be in its target", [
    "adopt git-1",
    "adopt git-1 git-server --pr",
  ]),
).action(async (name: string, machine: string | undefined, _options, command: Command) =>
  done((await import("./adopt.ts")).adopt(all(command), name, machine ?? null)),
);

offers(
  add("revert <commit>", "take a commit of main back, keeping what came after it", [
    "revert 3f2a9c1",
    "revert 3f2a9c1 --pr",
  ]),
).action(async (commit: string, _options, command: Command) =>
  done((await import("./revert.ts")).revert(all(command), commit)),
);

add(
  "publish [range]",
  "for CI: say on a pull request what it would do, or in the job's summary where it may not write",
  ["publish", "publish origin/main...HEAD --pull-request 12"],
)
  .option("--record <commit>", "the record (default: the branch observed, or origin/observed)")
  .option("--pull-request <number>", "its number (default: GITHUB_EVENT_PATH, else GITHUB_REF)")
  .option("--github <owner/name>", "repository on GitHub (default: GITHUB_REPOSITORY)")
  .option("--github-api <url>", "address of GitHub's REST interface (default: GITHUB_API_URL, else that of github.com)")
  .option("--github-token-file <file>", "file with a token (default: GITHUB_TOKEN or GH_TOKEN)")
  .action(async (range: string | undefined, _options, command: Command) =>
    done((await import("./publish.ts")).publish(all(command), range ?? null)),
  );

add("graph <machine>", "draw a machine", ["graph git-server", "graph git-server --format svg --output git-server.svg"])
  .addOption(new Option("--format <format>", "what to draw").choices(["mermaid", "svg"]).default("mermaid"))
  .option("--output <file>", "write to a file")
  .action(async (name: string, _options, command: Command) =>
    done((await import("./graph.ts")).graph(all(command), name)),
  );

add("token [host]", "issue the bearer token of a host or group", ["token git-1 > token", "token --operator"])
  .option("--operator", "a token that may do everything")
  .action(async (name: string | undefined, _options, command: Command) =>
    done((await import("./act.ts")).token(all(command), name ?? null)),
  );

add("import <format> <file>", "turn another tool's state machine into ours", [
  "import stateservice states.yaml",
  "import stateservice states.yaml --offset +01:00 --dry-run",
])
  .option("--name <name>", "name of the machine (default: that of the file)")
  .option("--offset <offset>", "zone of the times in the file: Z, or such as +01:00", "Z")
  .option("--dry-run", "print instead of writing")
  .action(async (format: string, file: string, _options, command: Command) =>
    done((await import("./act.ts")).importCommand(all(command), format, file)),
  );

add("outage", "destroy the local hosts of a region, as the loss of a data centre would", [
  "outage --region east",
  "outage --region east --yes",
])
  .requiredOption("--region <name>", "region that is lost")
  .option("--yes", "do it")
  .action(async (_options, command: Command) => done((await import("./act.ts")).outage(all(command))));

try {
  await program.parseAsync(withWholeTimes(process.argv));
} catch (error) {
  exit = await failed(error);
}
// A remote that does not answer must not keep a reconciler that has ended.
if (endsAtOnce) process.exit(exit);
process.exitCode = exit;

/** `2h ago` is one time, also where nobody has put it in quotes. */
function withWholeTimes(words: readonly string[]): string[] {
  return words.flatMap((word, index) => {
    if (word === "ago" && isAmount(words[index - 1])) return [];
    return [words[index + 1] === "ago" && isAmount(word) ? `${word} ago` : word];
  });
}

function isAmount(word: string | undefined): boolean {
  return /^(?:--[a-z]+=)?\d{1,6}[smhdw]$/.test(word ?? "");
}

/** What holds two dots in a row is a range of commits, and stands alone. */
async function planOrPropose(command: Command, names: readonly string[]): Promise<number> {
  const range = names.find((name) => name.includes(".."));
  const options: PlanOptions & ProposeOptions = all(command);
  const stray = range === undefined ? (["record", "markdown"] as const) : (["simulate"] as const);
  const wrong = stray.find((key) => options[key] !== undefined);
  if (wrong !== undefined || (range !== undefined && names.length > 1)) {
    const message = wrong === undefined ? "a range of commits stands alone" : `--${wrong} does not go with this`;
    throw new Failure("invalid", message, { reason: "Usage", hint: "stateward plan --help shows how" });
  }
  if (range !== undefined) return (await import("./propose.ts")).proposeCommand(options, range);
  return (await import("./inspect.ts")).plan(options, names);
}

async function failed(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { knownSecrets } = await import("./workspace.ts");
  const secrets = knownSecrets(program.opts());
  process.stderr.write(shown(`${paint("red", "stateward:")} ${secrets.hide(messageOf(error))}\n`));
  if (error instanceof Failure) {
    if (error.hint !== null) process.stderr.write(`  ${error.hint}\n`);
    return error.reason === "Usage" ? 2 : 1;
  }
  if (isDiskFull(error))
    process.stderr.write("  make room on the disk of the data folder; what was kept there is not lost\n");
  if (process.env.STATEWARD_DEBUG && error instanceof Error)
    process.stderr.write(`${secrets.hide(error.stack ?? "")}\n`);
  return 1;
}
