// The POSIX shell scripts that run on a host, the same over every transport. They come in on standard input of a fixed command,
// so no data is ever part of a command line; every value in them is quoted by `quote` (A3).
import { Failure } from "../model/failure.ts";

/**
 * A shell word that stands for exactly this text. Source: POSIX.1-2017, Shell Command Language, 2.2.2 Single-Quotes. Throws a Failure
 * for what no shell can be told: it leaves NUL out of what it reads, so that a word could begin with a dash that was behind one (A3).
 */
export function quote(text: string): string {
  if (text.includes("\0"))
    throw new Failure("invalid", "a value for a script holds a NUL character", {
      reason: "NulInScript",
      hint: "take it out of the file or the report that the value comes from",
    });
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Exit status of a script whose step was claimed before. Only scripts with a claim use it. */
export const claimedExit = 113;

/** Last line of standard output: tells the end of the script from the end of the connection. */
const endMark = "@stateward-exit";

export interface ScriptOptions {
  /** The host must still have this incarnation; null before it has one. */
  readonly incarnation: string | null;
  readonly body: string;
}

/**
 * Wraps a body: goes to the host's folder, refuses if the host was rebuilt, runs the body in a subshell, and says how it ended.
 * `$SW` is the folder of markers, claims and receipts; the transport sets it.
 */
export function hostScript({ incarnation, body }: ScriptOptions): string {
  const fence =
    incarnation === null
      ? ""
      : `[ "$(cat "$SW/incarnation" 2>/dev/null)" = ${quote(incarnation)} ] || { echo '${endMark} rebuilt'; exit 1; }`;
  return `umask 022
sw_term=
trap 'sw_term=1' TERM
${groupFunctions}
${fence}
(
${body}
) </dev/null
sw_exit=$?
# At the step's time the group gets TERM. Its leader stays for a while, then ends with KILL whatever did not listen.
[ -z "$sw_term" ] || { sleep 2; printf '\\n%s timeout\\n' '${endMark}'; kill -KILL "-$SW_GROUP"; }
printf '\\n%s %s\\n' '${endMark}' "$sw_exit"
exit "$sw_exit"
`;
}

/**
 * Process groups are remembered as `GROUP BOOT START`, so that a number that the system has given to another process since is
 * never taken for ours. A group whose leader is gone keeps its number reserved (POSIX.1-2017, fork: process IDs).
 */
const groupFunctions = `sw_sync() { sync "$@" 2>/dev/null || sync; }
sw_boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }
sw_start() { cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null; }
sw_group() { printf '%s %s %s\\n' "$SW_GROUP" "$(sw_boot)" "$(sw_start "$SW_GROUP")"; }
sw_alive() {
  [ -s "$1" ] && read -r sw_g sw_b sw_s <"$1" || return 1
  [ "$sw_b" = "$(sw_boot)" ] && kill -0 "-$sw_g" 2>/dev/null || return 1
  sw_now=$(sw_start "$sw_g")
  [ -z "$sw_now" ] || [ "$sw_now" = "$sw_s" ]
}`;

/** What the standard output of a script ends with. */
export const scriptEnd: RegExp = new RegExp(`(^|\\n)${endMark} (\\d+|rebuilt|timeout)\\n$`);

export interface ScriptEnd {
  /** `none`: the end was not heard of. `rebuilt`: the host has another incarnation than meant, and nothing was run. */
  readonly kind: "ended" | "rebuilt" | "timeout" | "none";
  readonly exit: number | null;
  readonly output: string;
}

/** Splits the end mark from the output. */
export function readScriptEnd(stdout: string): ScriptEnd {
  const match = new RegExp(`\\n?${endMark} (\\d+|rebuilt|timeout)\\n?$`).exec(stdout);
  const word = match?.[1] ?? "none";
  const kind = word === "rebuilt" || word === "timeout" || word === "none" ? word : "ended";
  return { kind, exit: kind === "ended" ? Number(word) : null, output: stdout.slice(0, match?.index) };
}

/** Says who the host is and which markers it has: `incarnation ID`, then `state MACHINE STATE REVISION` lines. Makes an identity if there is none. */
export const lookBody = `mkdir -p "$SW/states" || exit 1
if [ ! -s "$SW/incarnation" ]; then
  od -An -N16 -tx1 /dev/urandom | tr -d ' \\n' >"$SW/incarnation.$$" && mv "$SW/incarnation.$$" "$SW/incarnation" || exit 1
fi
printf 'incarnation %s\\n' "$(cat "$SW/incarnation")"
for sw_file in "$SW/states"/*; do
  [ -f "$sw_file" ] && printf 'state %s %s\\n' "\${sw_file##*/}" "$(cat "$sw_file")"
done
true`;

/**
 * Leaves the marker of a state: the file appears whole or not at all. One with a higher revision stays: it was left by whoever leads now,
 * and this by one that does not know yet that it does not lead any more (D3).
 */
export function markBody(machine: string, state: string, revision: number): string {
  const file = `"$SW/states/"${quote(machine)}`;
  const fresh = `"$SW/states/.new-"${quote(machine)}`;
  return `sw_old=$(cut -d ' ' -f 2 ${file} 2>/dev/null)
case "$sw_old" in '' | *[!0-9]*) sw_old=0 ;; esac
[ "$sw_old" -le ${quote(String(revision))} ] || { echo 'another reconciler has left a newer marker' >&2; exit 1; }
mkdir -p "$SW/states" && printf '%s %s\\n' ${quote(state)} ${quote(String(revision))} >${fresh} && mv ${fresh} ${file} || exit 1
sw_sync ${file}`;
}

/** Runs a program with its arguments and environment. */
export function runBody(argv: readonly string[], env: Readonly<Record<string, string>>): string {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`);
  return [...exports, `exec ${argv.map(quote).join(" ")}`].join("\n");
}

/** Runs a script in a shell of its own. */
export function shellBody(script: string, env: Readonly<Record<string, string>>): string {
  return runBody(["sh", "-eu", "-c", script], env);
}

/** Writes a file if its content or mode differ, and says `changed` or `unchanged`. */
export function writeBody(path: string, content: string, mode: string): string {
  // A path that begins with a dash must not be taken for an option by `find`, `cmp` or `mktemp`.
  const file = quote(path.startsWith("-") ? `./${path}` : path);
  return `sw_dir=$(dirname -- ${file})
if [ -n "\${SW_JAIL:-}" ]; then
  # The nearest folder that is there already tells where the path leads, before anything is made.
  sw_up=$sw_dir
  while [ ! -d "$sw_up" ] && [ "$sw_up" != . ]; do sw_up=$(dirname -- "$sw_up"); done
  case "$(cd -- "$sw_up" && pwd -P)/" in "$(pwd -P)/"*) ;; *) echo 'the path leaves the host folder through a link' >&2; exit 1 ;; esac
fi
mkdir -p -- "$sw_dir" || exit 1
sw_new=$(mktemp "$sw_dir/.stateward.XXXXXX") || exit 1
printf '%s' ${quote(content)} >"$sw_new" && chmod ${quote(mode)} "$sw_new" || { rm -f "$sw_new"; exit 1; }
if [ -f ${file} ] && cmp -s "$sw_new" ${file} && [ -n "$(find ${file} -prune -perm ${quote(mode)})" ]; then
  rm -f "$sw_new"; echo unchanged
else
  mv -f -- "$sw_new" ${file} && echo changed
fi`;
}

/**
 * S4 over a crash: keeps the process group of the host's running step, so that a reconciler that takes over ends what its predecessor
 * left running before it starts anything on that host. Where steps of several hosts run on one machine, each host has its own `name`.
 */
export function leashBody(body: string, name = "step"): string {
  const file = `"$SW/run/"${quote(name)}`;
  return `mkdir -p "$SW/run" || exit 1
if sw_alive ${file}; then
  kill -TERM "-$sw_g" 2>/dev/null; sleep 1; kill -KILL "-$sw_g" 2>/dev/null
fi
sw_group >${file}
(
${body}
)
sw_code=$?
rm -f ${file}
exit "$sw_code"`;
}

/**
 * S2 on the host: the claim is a folder, made atomically, so of all who try to start the step exactly one does. Its output and
 * exit status stay there as a receipt, also when the connection or the reconciler is gone when it ends.
 */
export function claimBody(claim: string, body: string): string {
  const folder = `"$SW/once/"${quote(claim)}`;
  // A2: the receipt has the output as it came, for nobody but the step's own user.
  return `mkdir -p "$SW/once" && chmod 700 "$SW/once" || exit 1
mkdir ${folder} 2>/dev/null || { echo 'this step was started before' >&2; exit ${claimedExit}; }
sw_group >${folder}/group
sw_sync ${folder}/group "$SW/once"
trap '' HUP PIPE
(
trap - HUP PIPE
${body}
) >${folder}/log 2>&1
sw_code=$?
printf '%s\\n' "$sw_code" >${folder}/exit.tmp && mv ${folder}/exit.tmp ${folder}/exit
sw_sync ${folder}/exit ${folder}
if [ "$(wc -c <${folder}/log)" -gt 65536 ]; then tail -c 65536 ${folder}/log | sed 1d; else cat ${folder}/log; fi
exit "$sw_code"`;
}

/** Says `ended N`, `running`, `absent` or `unknown` about a claim. */
export function inquireBody(claim: string): string {
  const folder = `"$SW/once/"${quote(claim)}`;
  return `if [ ! -d ${folder} ]; then echo absent
elif [ -f ${folder}/exit ]; then echo "ended $(cat ${folder}/exit)"
elif sw_alive ${folder}/group; then echo running
elif [ -f ${folder}/exit ]; then echo "ended $(cat ${folder}/exit)"
else echo unknown
fi`;
}
