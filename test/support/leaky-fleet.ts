// A state repository whose hosts say everything that they should keep to themselves: one secret at each try, each look, each call.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { type Canary, formedCanaries, namedCanaries, random } from "./canaries.ts";

export interface LeakyFleet {
  /** By the place where they are planted. */
  readonly planted: Readonly<Record<string, readonly Canary[]>>;
  /** Files of hosts in which a line is added for each secret that was said. */
  readonly said: Readonly<Record<string, string>>;
}

const tries = 20;
const next = "n=$(($(cat n 2>/dev/null || echo 0) + 1)); echo $n >n";
/** Says the next secret on one of both streams; well only when all was said. */
const sayNext = `${next}
[ -f said/$n ] || exit 0
echo $n >>told
if [ $((n % 2)) = 0 ]; then cat said/$n; else cat said/$n >&2; fi
exit 3`;

const machines = {
  say: {
    machine: "say",
    initial: "down",
    states: { down: null, up: { enter: [{ from: "down", steps: [{ name: "say", shell: sayNext }] }] } },
  },
  watch: {
    machine: "watch",
    initial: "down",
    states: { down: null, up: { enter: [{ from: "down" }], check: { shell: sayNext } } },
  },
};

function environmentMachine(canaries: readonly Canary[]): object {
  const env = Object.fromEntries(canaries.map(({ secret }, index) => [`TOKEN_${index + 1}`, secret]));
  const shell = `${next}\n[ $n -le ${canaries.length} ] || exit 0\necho $n >>told\nprintenv TOKEN_$n\nexit 3`;
  const steps = [{ name: "print", shell, env }];
  return { machine: "print", initial: "down", states: { down: null, up: { enter: [{ from: "down", steps }] } } };
}

/** The server at `url` says again what it is told, with status 500. */
function callingMachine(canaries: readonly Canary[], url: string): object {
  const states = canaries.map(({ secret }, index) => {
    const http =
      index % 2 === 0
        ? { url: `${url}/${index}`, headers: { "X-Api-Key": secret } }
        : { url: `${url}/${index}?access_token=${encodeURIComponent(secret)}` };
    return [`s${index}`, { enter: [{ from: "down", steps: [{ http }] }] }];
  });
  return { machine: "call", initial: "down", states: { down: null, ...Object.fromEntries(states) } };
}

/** Writes the repository to `folder`, and what the local hosts say into their folders. */
export async function writeLeakyFleet(folder: string, url: string): Promise<LeakyFleet> {
  const planted: Record<string, readonly Canary[]> = {};
  const said: Record<string, string> = {};
  const files: Record<string, unknown> = {
    "stateward.yaml": {
      poll: "* * * * * *",
      look: "300ms",
      attempts: { limit: 1000, backoff: "20ms", backoff_max: "20ms" },
      record: { window: "500ms" },
      rollout: { at_once: 1000, canary: 0, waves: ["100%"], max_unavailable: "100%", max_failures: 1000 },
      flapping: { limit: 1000, automatic: 100_000 },
      brakes: { max_moved: "100%", quiet_start: 0, max_lost: "100%" },
    },
  };
  const host = (name: string, machine: string, canaries: readonly Canary[], more: object = {}): void => {
    const vars = Object.fromEntries(
      canaries.flatMap(({ byName, secret }, index) => (byName ? [[`password_${index}`, secret]] : [])),
    );
    files[`hosts/${name}.yaml`] = { host: name, transport: "local", targets: { [machine]: "up" }, vars, ...more };
    planted[name] = canaries;
    for (const [index, { text }] of canaries.entries())
      files[`.stateward-hosts/${name}/said/${index + 1}`] = `${text}\n`;
    said[name] = join(folder, ".stateward-hosts", name, "told");
  };
  for (let number = 0; number < 4; number++) {
    host(`form-${number}`, "say", formedCanaries(tries, 1000 + number * tries).map(at(number * tries)));
    host(`name-${number}`, "say", namedCanaries(tries, 2000 + number * tries));
  }
  host("look-form", "watch", formedCanaries(10, 3000));
  host("look-name", "watch", namedCanaries(10, 3100));
  const printed = namedCanaries(12, 3200).filter(({ secret }) => !secret.includes("\n"));
  host("print", "print", []);
  planted.print = printed;
  const called = Array.from({ length: 6 }, (_, index): Canary => {
    const secret = random(3300 + index, 20);
    return { kind: "http", secret, text: secret, byName: true };
  });
  files["machines/print.yaml"] = environmentMachine(printed);
  files["machines/call.yaml"] = callingMachine(called, url);
  for (const index of called.keys()) host(`call-${index}`, "call", [], { targets: { call: `s${index}` } });
  planted["call-0"] = called;
  host("far", "watch", [], { transport: "ssh", address: "127.0.0.1" });
  host("agent", "watch", [], { transport: "agent", targets: {}, machines: [] });
  for (const machine of Object.values(machines)) files[`machines/${machine.machine}.yaml`] = machine;
  for (const [path, value] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), typeof value === "string" ? value : stringify(value));
  }
  return { planted, said };
}

/** Each host has its turn with other forms. */
function at(first: number): (canary: Canary, index: number) => Canary {
  const all = formedCanaries(first + tries, 1000);
  return (canary, index) => all[first + index] ?? canary;
}
