// stateward init: a new state repository with one machine, one host, and the schemas wired up.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { simpleGit } from "simple-git";
import { Failure } from "../model/failure.ts";
import { exists } from "../record/disk.ts";
import { workflowPath, workflowText } from "./init-workflow.ts";
import { print } from "./output.ts";
import { type GlobalOptions, openWorkspace } from "./workspace.ts";

/** Where editors find the schemas: in the package, as it is installed in the folder. */
const schemaLine = (depth: number, name: string): string =>
  `# yaml-language-server: $schema=${"../".repeat(depth)}node_modules/stateward/dist/schemas/${name}.schema.json`;

const files: Readonly<Record<string, string>> = {
  "stateward.yaml": `${schemaLine(0, "stateward").replace("$schema=", "$schema=./")}
poll: "*/2 * * * * *"        # look at main every two seconds
look: 2s                     # look at each host every two seconds
record: { window: 1s }       # what changes within a second is one commit
`,
  "machines/web.yaml": `${schemaLine(1, "machine")}
machine: web
description: A web page that is written, and taken away
initial: blank
states:
  blank:
    description: Nothing of ours is on the host
    enter:
      - from: published
        steps:
          - run: rm -f index.html
  published:
    available: true
    enter:
      - from: blank
        steps:
          - write:
              path: index.html
              content: |
                Hello from \${host.name}, in \${host.region}.
    check: { run: test -s index.html }
`,
  "hosts/web-1.yaml": `${schemaLine(1, "host")}
host: web-1
region: east
transport: local             # a folder of this machine; ssh reaches real hosts
targets: { web: published }
`,
  ".gitignore": "node_modules/\n.stateward/\n.stateward-hosts/\n",
};

export interface InitOptions extends GlobalOptions {
  readonly dryRun?: boolean;
  /** This program's own action for GitHub, `owner/name@COMMIT`; the package from npm where none is named. */
  readonly action?: string;
}

/** Writes the files that are not there; refuses a folder that is a state repository already. */
export async function init(options: InitOptions): Promise<number> {
  const { folder } = openWorkspace(options);
  if (await exists(join(folder, "stateward.yaml"))) {
    throw new Failure("invalid", `${folder} is a state repository already`, {
      reason: "Exists",
      hint: "stateward check looks at it",
    });
  }
  const all = { ...files, [workflowPath]: workflowText(options.action ?? null) };
  for (const [path, content] of Object.entries(all)) {
    const file = join(folder, path);
    if (await exists(file)) {
      print(`kept  ${path}`);
      continue;
    }
    print(`${options.dryRun ? "would write" : "wrote"} ${path}`);
    if (options.dryRun) continue;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  if (options.dryRun) return 0;
  if (!(await exists(join(folder, ".git")))) await simpleGit({ baseDir: folder }).init(["--initial-branch=main"]);
  print("next: stateward check, then stateward run");
  print("then: git clone .stateward/origin.git, edit, commit, push: main is what counts");
  return 0;
}
