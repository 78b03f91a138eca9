// JSON Schemas (2020-12) of the files of a state repository. The build publishes them as files; `docs/formats.md` is generated from them.
// A key listed under `x-reserved` belongs to the format and is not carried out yet: it is refused, never silently ignored.
import { amountPattern } from "./amount.ts";
import { durationPattern } from "./duration.ts";

/** A JSON Schema as plain data. */
export type JsonSchema = { readonly [key: string]: unknown };

/** Names that every JavaScript object answers to are kept out, so that a lookup never finds what nobody wrote. */
const notInherited =
  "(?!(constructor|toString|valueOf|hasOwnProperty|isPrototypeOf|propertyIsEnumerable|toLocaleString|__\\w*__)$)";
export const namePattern: string = `^${notInherited}[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`;
/** A group called fleet would be taken for all hosts. */
export const groupPattern: string = `^(?!fleet$)${notInherited}[a-z][a-z0-9_]{0,61}$`;
export const statePattern: string = `^${notInherited}[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`;
const keyPattern = `^${notInherited}[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$`;
const envPattern = "^[A-Z_][A-Z0-9_]{0,62}$";

const text = (description: string): JsonSchema => ({ type: "string", minLength: 1, maxLength: 2000, description });
const duration = (description: string): JsonSchema => ({ type: "string", pattern: durationPattern, description });
const boolean = (description: string): JsonSchema => ({ type: "boolean", description });
const count = (description: string, maximum: number): JsonSchema => ({
  type: "integer",
  minimum: 1,
  maximum,
  description,
});
const named = (pattern: string, description: string): JsonSchema => ({ type: "string", pattern, description });
const object = (properties: JsonSchema, more: JsonSchema = {}): JsonSchema => ({
  type: "object",
  additionalProperties: false,
  properties,
  ...more,
});
const mapOf = (key: string, value: JsonSchema, description: string): JsonSchema => ({
  type: "object",
  propertyNames: { pattern: key },
  additionalProperties: value,
  maxProperties: 200,
  description,
});
const file = (title: string, description: string, body: JsonSchema): JsonSchema => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title,
  description,
  ...body,
});

const amount = (description: string): JsonSchema => ({
  type: ["integer", "string"],
  minimum: 0,
  maximum: 1_000_000,
  pattern: amountPattern,
  description: `${description}. A count, a share such as 10%, or a fraction such as 2/3`,
});
const time = (description: string): JsonSchema => ({
  type: "string",
  format: "date-time",
  description: `${description}, such as 2026-12-01T09:00:00Z`,
});
/** A path inside the repository: no part of it is hidden, goes up, or begins like an option. */
const signersPattern = "^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,7}$";
const cronPattern = "^(\\S+ ){4,5}\\S+$";
const zone: JsonSchema = {
  type: "string",
  pattern: "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$",
  description: "Time zone, such as Europe/Berlin; default UTC",
};

const scalar = { type: ["string", "integer", "boolean"] };
const port = { type: ["integer", "string"], description: "Port number, or a template that yields one" };
const environment = mapOf(envPattern, scalar, "Environment of the process; values are templates");

const actions: JsonSchema = {
  run: {
    type: ["string", "array"],
    items: { type: ["string", "integer"] },
    minItems: 1,
    minLength: 1,
    description:
      "A program and its arguments, run on the host without a shell. A list is taken as it stands; a text is split at spaces, with '...' and \"...\" kept together. Values from templates never split and never become options of a shell",
  },
  shell: text("A script given to sh as it stands. Data reaches it through env"),
  http: object(
    {
      url: text("Address to call, from the reconciler's machine"),
      method: { enum: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], description: "Default GET" },
      headers: mapOf("^[A-Za-z0-9-]+$", scalar, "Request headers"),
      body: text("Request body"),
      expect: {
        type: "array",
        items: { type: "integer", minimum: 100, maximum: 599 },
        minItems: 1,
        description: "Accepted status codes; default 200 to 299",
      },
      within: duration("Try again for this long; default one try"),
    },
    { required: ["url"], description: "An HTTP call" },
  ),
  tcp: object(
    {
      host: text("Address; default the host's own"),
      port,
      within: duration("Try again for this long; default one try"),
    },
    { required: ["port"], description: "A TCP connection that must be accepted, from the reconciler's machine" },
  ),
  write: object(
    {
      path: text("File on the host; relative to the host's folder. Local hosts accept no path outside it"),
      content: { type: "string", maxLength: 65_536, description: "Content; a template" },
      mode: { type: "string", pattern: "^0?[0-7]{3}$", description: "Permission bits; default 0644" },
    },
    { required: ["path", "content"], description: "A file, written only if content or mode differ" },
  ),
};
const { write: _write, ...checkActions } = actions as Record<string, JsonSchema>;
const timeout = duration(
  "The step ends at this time: TERM, then KILL for its process group. Default 5m for steps, 10s for checks",
);

const step = object(
  {
    ...actions,
    name: named(keyPattern, "Identity of the step: keeps what is known of it when its definition changes"),
    env: environment,
    timeout,
    repeat: {
      enum: ["always", "never"],
      description: "never: run at most once in the life of a host without a person's word (S2)",
    },
    on: {
      enum: ["host", "controller"],
      description: "controller: run and shell on the reconciler's machine instead; default host",
    },
  },
  { "x-reserved": ["ansible", "puppet", "chef"], description: "One action, with its limits" },
);
const steps = (description: string): JsonSchema => ({ type: "array", items: step, maxItems: 100, description });

const entry = object(
  {
    from: {
      type: ["string", "array"],
      items: named(statePattern, "State"),
      minItems: 1,
      description: "States from which this one is entered",
    },
    when: text("CEL guard: the transition waits until it is true"),
    auto: boolean("Taken whenever the guard holds, whatever the target is"),
    cost: {
      type: "integer",
      minimum: 0,
      maximum: 1_000_000,
      description: "Cost of the transition for the path to a target; default 1",
    },
    governors: {
      type: "array",
      items: named(namePattern, "Governor"),
      maxItems: 10,
      uniqueItems: true,
      description: "Governors of stateward.yaml of which a permit is held while the transition runs",
    },
    steps: steps("Steps, in order"),
  },
  { required: ["from"] },
);

const barrier = object(
  {
    group: named(groupPattern, "Group whose hosts are waited for"),
    machine: named(namePattern, "Machine in which they arrive; default this one"),
    state: {
      type: ["string", "array"],
      items: named(statePattern, "State"),
      minItems: 1,
      description:
        "State, or states, in which a host counts as arrived, also when it has gone on from there since; default those from which this state is entered",
    },
    count: amount("So many must have arrived; default all of the group"),
    within: duration("Deadline, from when a host waits there; default none"),
    proceed_if: amount("At the deadline: go on if at least so many have arrived"),
    // oxlint-disable-next-line unicorn/no-thenable -- a key of the format, in plain data that nobody awaits
    then: {
      enum: ["fail", "ask"],
      description: "At the deadline, otherwise: fail the transition, or ask a person (default)",
    },
  },
  { required: ["group"], description: "The state is entered only when the group's hosts have come to it" },
);

const state = object({
  description: text("For people"),
  available: boolean("Counts as up"),
  transient: boolean("Only passed through: never a target"),
  enter: { type: "array", items: entry, maxItems: 100, description: "How the state is entered" },
  check: object(
    { ...checkActions, env: environment, timeout },
    { description: "How to see that the state still holds" },
  ),
  barrier,
});

const drift: JsonSchema = {
  type: ["string", "object"],
  pattern: "^(correct|adopt|tolerate|alert)$",
  additionalProperties: false,
  properties: {
    mode: { enum: ["correct", "adopt", "tolerate", "alert"], description: "What is done" },
    until: time("End of tolerate; then it is corrected"),
  },
  required: ["mode"],
  description:
    "What is done when a host has left its target: correct it (default), adopt what is seen, tolerate it (until a time), or alert and wait for a person",
};

const recovery = object(
  {
    lost_after: duration("No report and no answer for this long, and three missed: the host is lost; default 5m"),
    // oxlint-disable-next-line unicorn/no-thenable -- a key of the format, in plain data that nobody awaits
    then: {
      enum: ["replay", "replace", "alert"],
      description:
        "replay what was applied once it is back (default), replace it with the steps of replace, or only alert and wait for a person",
    },
    tries: count("Failed recoveries within 24 h after which the host is quarantined; default 3", 100),
    reboot: steps("Steps that restart the host, when its remedies are used up; usually http, or on: controller"),
    replace: steps("Steps that make a new machine in its place; http, or on: controller"),
  },
  { description: "What is done when a host is lost" },
);

const remedy = object(
  {
    name: named(keyPattern, "Name of the remedy"),
    when: text("CEL expression: what is wrong"),
    for: duration("It must have been so for this long; default 5m"),
    clear: duration("It must have been over for this long to count as over; default 1m"),
    steps: { ...steps("Steps of the repair"), minItems: 1 },
    limit: {
      type: "string",
      pattern: "^[1-9][0-9]{0,3} in ([0-9]{1,9}(ms|s|m|h|d))+$",
      description: "So many times within that time, then the next rung; default 3 in 1h",
    },
  },
  { required: ["name", "when", "steps"] },
);

const rolloutKeys: JsonSchema = {
  max_unavailable: amount(
    "Hosts that may be unavailable or acted upon at once, unknown ones counted; at least 1; default 10%",
  ),
  order: {
    type: "array",
    items: named(namePattern, "Region"),
    uniqueItems: true,
    maxItems: 100,
    description: "Regions one after the other; others come last",
  },
  canary: { type: "integer", minimum: 0, maximum: 10_000, description: "Hosts of the first wave; default 1" },
  waves: {
    type: "array",
    items: amount("Size of a wave"),
    minItems: 1,
    maxItems: 100,
    description:
      "Sizes of the waves after the canary, each at least 1 host; the last is repeated; default 1%, 10%, 25%",
  },
  soak: duration("A wave has to hold for this long before the next one starts; default 0s"),
  max_failures: {
    type: "integer",
    minimum: 0,
    maximum: 100_000,
    description: "Hosts that may fail before nothing more is started; none may in the canary; default 0",
  },
  paused: boolean("Nothing is started; healing goes on"),
};

export const machineSchema: JsonSchema = file(
  "Stateward machine",
  "A state machine: states, from which states each is entered, when, and by which steps",
  object(
    {
      machine: named(namePattern, "Name of the machine"),
      description: text("For people"),
      initial: named(statePattern, "What a host is in that has just been built"),
      states: {
        type: "object",
        propertyNames: { pattern: statePattern },
        additionalProperties: { ...state, type: ["object", "null"] },
        minProperties: 1,
        maxProperties: 200,
        description: "States by name",
      },
      drift,
      recovery,
      remedies: { type: "array", items: remedy, maxItems: 50, description: "Repairs that are tried, in order" },
    },
    { required: ["machine", "initial", "states"] },
  ),
);

const targets = mapOf(namePattern, named(statePattern, "State"), "Machine: state that it is to be in");
const machines = {
  type: "array",
  items: named(namePattern, "Machine"),
  maxItems: 50,
  description: "Machines carried without a target: they move by automatic transitions and reports alone",
};

export const hostSchema: JsonSchema = file(
  "Stateward host",
  "A host and its target states",
  object(
    {
      host: named(namePattern, "Name of the host"),
      description: text("For people"),
      region: named(namePattern, "Region; one of the regions in stateward.yaml if it lists them"),
      address: {
        type: "string",
        pattern: "^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$",
        description:
          "Name or IP address, recorded, so that the host is reachable when DNS is not; loopback hosts may add :port",
      },
      transport: { enum: ["local", "ssh", "agent"], description: "How steps reach the host; default ssh" },
      ssh: object(
        {
          user: { type: "string", pattern: "^[a-z_][a-z0-9_-]{0,31}$", description: "Login name" },
          port: { type: "integer", minimum: 1, maximum: 65_535, description: "Port; default 22" },
          host_key: {
            type: "string",
            pattern: "^(ssh|ecdsa|sk)[a-z0-9@.-]+ [A-Za-z0-9+/=]+$",
            description: "The host's public key, as in known_hosts",
          },
        },
        { description: "SSH access" },
      ),
      owner: text("Who is told"),
      labels: mapOf(keyPattern, scalar, "Labels, for selectors and guards"),
      vars: mapOf(`^${notInherited}[A-Za-z_][A-Za-z0-9_]{0,62}$`, scalar, "Values for templates"),
      targets,
      machines,
      hold: object(
        {
          reason: text("Why"),
          by: text("Who"),
          until: time("End of the hold, with a zone"),
        },
        { required: ["reason", "by"], description: "Nothing is done to this host" },
      ),
      drift,
    },
    { required: ["host"], "x-reserved": ["pool"] },
  ),
);

export const groupSchema: JsonSchema = file(
  "Stateward group",
  "A group of hosts, and machines of its own that its hosts share",
  object(
    {
      group: named(groupPattern, "Name of the group, as guards write it: group.NAME"),
      description: text("For people"),
      select: text(
        "CEL expression over host (name, region, address, owner, labels, vars): which hosts belong. None selects no host",
      ),
      targets,
      machines,
      rollout: object(rolloutKeys, { description: "How a change of targets spreads over the group's hosts" }),
      max_lost: amount("Hosts of the group lost at once beyond which nothing is healed; default 20%, and at least 3"),
    },
    { required: ["group"] },
  ),
);

const windowOf = (description: string): JsonSchema =>
  object(
    {
      cron: { type: "string", pattern: cronPattern, description: "Cron expression of its starts" },
      for: duration("Its length"),
      holidays: boolean("Every holiday, from midnight to midnight, instead of cron and for"),
      zone,
    },
    { description },
  );

const holidays = {
  type: "object",
  propertyNames: { type: "string", format: "date", description: "A day of the calendar, such as 2026-12-25" },
  additionalProperties: { type: "string", maxLength: 200 },
  maxProperties: 10_000,
} as const;

export const holidaysSchema: JsonSchema = file(
  "Stateward holidays",
  "holidays.yaml, beside stateward.yaml: days by date, for windows with holidays: true",
  object({ holidays: { ...holidays, description: 'Name of the day by its date, such as "2026-12-25": Christmas' } }),
);

export const settingsSchema: JsonSchema = file(
  "Stateward settings",
  "stateward.yaml: settings of the reconciler",
  object(
    {
      poll: {
        type: "string",
        pattern: cronPattern,
        description: "Cron expression of the Git poll, optionally with seconds; default every 15 seconds",
      },
      look: duration("Between two looks at a host over local or ssh; default 10s"),
      regions: {
        type: "array",
        items: named(namePattern, "Region"),
        minItems: 1,
        maxItems: 1000,
        description: "Known regions",
      },
      attempts: object({
        limit: count("Tries of a transition before the host is stalled; default 5", 1000),
        backoff: duration("Wait after the first failure, doubled after each; default 2s"),
        backoff_max: duration("Longest wait; default 5m"),
      }),
      parallel: count("Transitions that run at once; default 50", 10_000),
      record: object({ window: duration("What changes within this time becomes one commit; default 15s") }),
      http: object({
        listen: {
          type: "string",
          pattern: "^(\\[[0-9a-f:]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$",
          description: "Address and port; default 127.0.0.1:8640",
        },
        state_access: {
          enum: ["token", "open"],
          description: "Who may use /state: holders of a token (default), or anyone who can connect",
        },
      }),
      github: object(
        {
          environments: {
            type: "object",
            propertyNames: { pattern: namePattern },
            maxProperties: 1000,
            additionalProperties: { type: "string", pattern: "^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$" },
            description: "Environment of a region's deployments, by region; default the region's name",
          },
          owners: {
            type: "object",
            maxProperties: 1000,
            additionalProperties: {
              type: "string",
              pattern: "^[A-Za-z0-9][A-Za-z0-9-]{0,38}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99})?$",
            },
            description: "Login, or organisation/team, that is asked for a review, by owner of the hosts concerned",
          },
          labels: { type: "boolean", description: "Whether pull requests get labels; default true" },
          reviews: { type: "boolean", description: "Whether owners are asked for reviews; default true" },
        },
        { description: "What is said on pull requests; where GitHub is, and whose token is used, are options of run" },
      ),
      local: object({ root: text("Folder of the hosts with transport local; default .stateward-hosts") }),
      ssh: object({
        user: { type: "string", pattern: "^[a-z_][a-z0-9_-]{0,31}$", description: "Login name where a host has none" },
        identity: text("File with the private key; default what ssh finds by itself"),
      }),
      rollout: object(
        {
          ...rolloutKeys,
          at_once: amount("Hosts of the fleet that changes act upon at once, at least 1; default 5%, and at most 50"),
        },
        { description: "How a change of targets spreads, where no group says otherwise" },
      ),
      governors: {
        type: "object",
        propertyNames: { pattern: namePattern },
        maxProperties: 100,
        additionalProperties: {
          type: ["integer", "object"],
          minimum: 1,
          maximum: 100_000,
          additionalProperties: false,
          properties: {
            limit: count("Permits", 100_000),
            expires: duration("A permit held for longer does not count any more; default 1h"),
          },
          required: ["limit"],
        },
        description: "Permits by name: so many transitions that name the governor run at once, in the whole fleet",
      },
      brakes: object(
        {
          max_lost: amount(
            "Hosts of the fleet lost at once beyond which nothing is healed; default 10%, and at least 3",
          ),
          lost_within: duration("What is at once; default 10m"),
          quiet_start: {
            type: "integer",
            minimum: 0,
            maximum: 100,
            description: "After a start nothing is healed for so many report intervals; default 2",
          },
          min_reported: amount("Nothing is healed after a start until so many hosts have reported; default 80%"),
          max_moved: amount(
            "Hosts that one commit may move without approval; default 10% (at least 1), and at most 50",
          ),
          max_removed: {
            type: "integer",
            minimum: 0,
            maximum: 1_000_000,
            description: "Hosts that one commit may remove without approval; default 5",
          },
          max_wipes: {
            type: "integer",
            minimum: 0,
            maximum: 1_000_000,
            description: "Hosts replaced within an hour; default 5, and 1 of a group within 10 min",
          },
        },
        { description: "Limits beyond which nothing goes on without a person" },
      ),
      flapping: object(
        {
          limit: count("So many falls from the target ...; default 5", 1000),
          automatic: count("... or so many automatic transitions ...; default 100", 1_000_000),
          within: duration("... within this time are flapping, and nothing more is tried; default 10m"),
        },
        { description: "When a host counts as flapping" },
      ),
      windows: {
        type: "array",
        maxItems: 100,
        description: "When changes may be made; deny wins; running transitions end",
        items: object(
          {
            allow: windowOf("A time in which changes may be made; outside of all of them they may not"),
            deny: windowOf("A time in which no changes are made"),
            select: text("CEL expression over host: which hosts; default all"),
            covers: {
              enum: ["changes", "all"],
              description: "changes: rollouts (default); all: healing and remedies too",
            },
            reason: text("For people"),
          },
          { minProperties: 1 },
        ),
      },
      verify: object(
        {
          signers: {
            type: "string",
            pattern: signersPattern,
            maxLength: 200,
            description:
              "File of this repository with the allowed signers, as ssh-keygen reads it; default allowed_signers",
          },
          since: {
            type: "string",
            pattern: "^[0-9a-f]{40}$",
            description: "Commit up to which history is not judged, 40 hexadecimal digits; every commit after it is",
          },
        },
        { required: ["since"], description: "Only commits that an allowed signer has signed (SSH) come into force" },
      ),
      holidays: {
        ...holidays,
        description: 'Holidays by date, such as "2026-12-25": Christmas; those of the file holidays.yaml are added',
      },
    },
    { "x-reserved": ["channels"] },
  ),
);

/** The published schemas by the name of their file. */
export const publishedSchemas: Readonly<Record<string, JsonSchema>> = {
  "stateward.schema.json": settingsSchema,
  "machine.schema.json": machineSchema,
  "host.schema.json": hostSchema,
  "group.schema.json": groupSchema,
  "holidays.schema.json": holidaysSchema,
};
