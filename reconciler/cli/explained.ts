// Every value that applies to a host, with the file and line where it is said. It reads nothing: whoever asks brings the documents.
import { staticValues } from "../model/guard-values.ts";
import type { LoadedRepository } from "../model/repository.ts";
import { isSecretName } from "../model/secrets.ts";
import type { Group, Host, Machine, Transition } from "../model/types.ts";
import type { ParsedYaml, YamlPath } from "../model/yaml.ts";
import { duration, fleetDefaults, rolloutDefaults, withFloor } from "./explain-defaults.ts";
import {
  all,
  type Explained,
  firstOf,
  placed,
  placeText,
  type Source,
  said,
  unsaid,
  valueAt,
} from "./explain-sources.ts";

/** The documents that speak about one host. */
interface Documents {
  readonly loaded: LoadedRepository;
  readonly host: Host;
  readonly own: ParsedYaml;
  readonly settings: ParsedYaml | null;
  readonly groups: readonly { readonly group: Group; readonly parsed: ParsedYaml }[];
  readonly machines: readonly MachineDocument[];
}

interface MachineDocument {
  readonly machine: Machine;
  readonly parsed: ParsedYaml;
  readonly entryPath: (transition: Transition) => YamlPath;
}

/** All fields of a host, in the order in which they are listed. `own` is the host's own file. */
export function explainHost(loaded: LoadedRepository, host: Host, own: ParsedYaml): Explained[] {
  const { entries, repository } = loaded;
  const settings = entries.get("stateward.yaml");
  const documents: Documents = {
    loaded,
    host,
    own,
    settings: settings?.kind === "settings" ? settings.parsed : null,
    groups: [...repository.groups.values()].flatMap((group) => {
      const entry = entries.get(group.file);
      return entry?.kind === "group" && group.members.includes(host.name) ? [{ group, parsed: entry.parsed }] : [];
    }),
    machines: [...host.machines.keys()].flatMap((name) => {
      const entry = entries.get(repository.machines.get(name)?.file ?? "");
      return entry?.kind === "machine" ? [entry] : [];
    }),
  };
  const parts = [ownFields, driftFields, groupFields, rolloutFields, governorFields, windowFields, machineFields];
  return [...parts, fleetFields].flatMap((part) => part(documents));
}

/** The values of a field and of what is below it: `rollout`, `rollout.order`. Empty where there is no such field. */
export function valuesOf(explained: readonly Explained[], field: string): Explained[] {
  const path = field.replace(/^target(?=\.|$)/, "targets");
  return explained.filter((item) => item.field === path || item.field.startsWith(`${path}.`));
}

const inOwnFile = "set in the host's file";
const inSettings = "set in stateward.yaml";
const byDefault = "default of stateward";

function ownFields({ own, settings, host }: Documents): Explained[] {
  const plain = (key: string, value: string): Explained[] => firstOf(key, [said(own, [key], inOwnFile)], unsaid(value));
  const ssh = (key: string, value: string, why = byDefault): Explained[] => {
    const fleet = said(settings, ["ssh", key], inSettings);
    return firstOf(`ssh.${key}`, [said(own, ["ssh", key], inOwnFile), fleet], unsaid(value, why));
  };
  return [
    ...plain("region", "none"),
    ...plain("address", "none"),
    ...plain("transport", host.transport),
    ...ssh("user", "none", `${byDefault}: ssh chooses`),
    ...ssh("port", String(host.ssh.port)),
    ...ssh("identity", "none", `${byDefault}: ssh chooses`),
    ...ssh("host_key", "none", `${byDefault}: the known_hosts of the data folder`),
    ...plain("owner", "none"),
    ...map(own, "labels"),
    ...map(own, "vars"),
    ...targetFields(own, host),
    ...plain("hold", "none"),
  ];
}

function map(own: ParsedYaml, key: string): Explained[] {
  const names = Object.keys(valueAt(own.value, [key]) ?? {});
  const items = names.flatMap((name) => {
    const found = firstOf(`${key}.${name}`, [said(own, [key, name], inOwnFile)], unsaid("none"));
    // A2: where it stands is an answer as well.
    return isSecretName(name) ? found.map((item) => ({ ...item, value: "***" })) : found;
  });
  return items.length > 0 ? items : all(key, [], "not set");
}

function targetFields(own: ParsedYaml, host: Host): Explained[] {
  const items = [...host.machines].flatMap(([machine, target]): Explained[] => {
    const index = ((valueAt(own.value, ["machines"]) ?? []) as string[]).indexOf(machine);
    const carried = { ...placed(own, ["machines", index], "carried without a target"), value: "none" };
    const source = target === null ? carried : said(own, ["targets", machine], inOwnFile);
    return firstOf(`targets.${machine}`, [source], unsaid("none"));
  });
  return items.length > 0 ? items : all("targets", [], "not set");
}

function driftFields({ own, machines }: Documents): Explained[] {
  const first = said(own, ["drift"], inOwnFile);
  const others = machines.map(({ machine, parsed }) => {
    const fallback = unsaid("correct", `${byDefault}, for machine ${machine.name}`);
    return said(parsed, ["drift"], `from machine ${machine.name}`) ?? fallback;
  });
  if (first === null) return all("drift", others, byDefault, "correct");
  return firstOf("drift", [first, ...others.filter(({ file }) => file !== null)], first);
}

function groupFields({ groups, settings, loaded }: Documents): Explained[] {
  const { brakes } = loaded.repository.settings;
  const selected = groups.map(({ group, parsed }): Source => {
    const why = `it selects the host: ${group.select}`;
    return { ...placed(parsed, ["select"], why), value: group.name };
  });
  const lost = groups.map(({ group, parsed }) => {
    const why = `from group ${group.name}`;
    return (
      said(parsed, ["max_lost"], why) ??
      unsaid(withFloor(brakes.maxLostGroup, brakes), `${byDefault}, for group ${group.name}`)
    );
  });
  const fleet = said(settings, ["brakes", "max_lost"], "of the whole fleet, brakes.max_lost");
  const whole = fleet ?? unsaid(fleetDefaults["brakes.max_lost"] ?? "", `${byDefault}, for the whole fleet`);
  return [...all("groups", selected, "no group selects the host"), ...all("max_lost", [...lost, whole], byDefault)];
}

/** Each group with a rollout has its own; what it leaves out is as in stateward.yaml, and that counts alone where no group has one. */
function rolloutFields({ groups, settings }: Documents): Explained[] {
  const spreading = groups.filter(({ group }) => group.rollout !== null);
  return Object.entries(rolloutDefaults).flatMap(([key, value]) => {
    const field = `rollout.${key}`;
    const fleet = said(settings, ["rollout", key], inSettings);
    const last = fleet ?? unsaid(value);
    if (spreading.length === 0) return firstOf(field, [fleet], last);
    const own = spreading.map(({ group, parsed }) => {
      const source = said(parsed, ["rollout", key], `from group ${group.name}`);
      return source ?? { ...last, why: `${last.why}, which group ${group.name} follows` };
    });
    const isFollowed = own.some(({ file, line }) => file === last.file && line === last.line);
    const over = fleet === null || isFollowed ? [] : [{ field, ...fleet, inForce: false }];
    return [...all(field, own, byDefault), ...over];
  });
}

function governorFields({ machines, settings, loaded }: Documents): Explained[] {
  const { governors } = loaded.repository.settings;
  const sources = machines.flatMap(({ machine, parsed, entryPath }) =>
    machine.transitions.flatMap((transition) =>
      transition.governors.map((name): Source => {
        const use = placed(parsed, [...entryPath(transition), "governors"], "");
        const why = `named by ${machine.name}: ${transition.from} -> ${transition.to}, ${placeText(use)}`;
        const limit = governors.get(name)?.limit;
        return { ...placed(settings, ["governors", name], why), value: `${name}: ${limit ?? "none"}` };
      }),
    ),
  );
  return all("governors", sources, "no transition of its machines names one");
}

interface RawWindow {
  readonly select?: string;
  readonly reason?: string;
  readonly covers?: string;
}

function windowFields({ settings, host, loaded }: Documents): Explained[] {
  const windows = (valueAt(settings?.value, ["windows"]) ?? []) as RawWindow[];
  const sources = windows.flatMap((window, index) => {
    const compiled = window.select === undefined ? null : loaded.guards.compile(window.select);
    const result = compiled === null || "error" in compiled ? null : compiled.guard.evaluate(staticValues(host));
    if (compiled !== null && !(result?.ok === true && result.value === true)) return [];
    const why = window.select === undefined ? "for every host" : `it selects the host: ${window.select}`;
    return ["allow", "deny"].flatMap((kind): Source[] => {
      const time = said(settings, ["windows", index, kind], why);
      if (time === null) return [];
      const more = [`covers ${window.covers ?? "changes"}`, ...(window.reason === undefined ? [] : [window.reason])];
      return [{ ...time, value: [`${kind} ${time.value}`, ...more].join("; ") }];
    });
  });
  return all("windows", sources, `${byDefault}: at any time`);
}

function machineFields({ machines }: Documents): Explained[] {
  const recovery = (key: string, valueOf: (recovery: Machine["recovery"]) => string): Explained[] => {
    const sources = machines.map(({ machine, parsed }) => {
      const fallback = unsaid(valueOf(machine.recovery), `${byDefault}, for machine ${machine.name}`);
      return said(parsed, ["recovery", key], `from machine ${machine.name}`) ?? fallback;
    });
    return all(`recovery.${key}`, sources, "it carries no machine");
  };
  const remedies = machines.flatMap(({ machine, parsed }) =>
    machine.remedies.map(({ name, when, forMs, limit, limitMs }, index): Explained => {
      const value = `${when}; for ${duration(forMs)}; ${limit} in ${duration(limitMs)}`;
      const source = placed(parsed, ["remedies", index], `from machine ${machine.name}`);
      return { field: `remedies.${name}`, ...source, value, inForce: true };
    }),
  );
  return [
    ...recovery("lost_after", ({ lostAfterMs }) => duration(lostAfterMs)),
    ...recovery("then", ({ whenLost }) => whenLost),
    ...recovery("tries", ({ tries }) => String(tries)),
    ...(remedies.length > 0 ? remedies : all("remedies", [], "its machines have none")),
  ];
}

function fleetFields({ settings, host }: Documents): Explained[] {
  return Object.entries(fleetDefaults).flatMap(([field, value]) =>
    field === "look" && host.transport === "agent"
      ? all(field, [], "its agent reports by itself")
      : firstOf(field, [said(settings, field.split("."), inSettings)], unsaid(value)),
  );
}
