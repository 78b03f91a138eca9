// JSON Schemas (2020-12) of the files of a state repository. The build publishes them as files; `docs/formats.md` is generated from them.
// A key listed under `x-reserved` belongs to the format and is not carried out yet: it is refused, never silently ignored.
import { durationPattern } from "./duration.ts";

/** A JSON Schema as plain data. */
export type JsonSchema = { readonly [key: string]: unknown };

/** Names that every JavaScript object answers to are kept out, so that a lookup never finds what nobody wrote. */
const notInherited =
  "(?!(constructor|toString|valueOf|hasOwnProperty|isPrototypeOf|propertyIsEnumerable|toLocaleString)$)";
export const namePattern: string = `^${notInherited}[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`;
export const groupPattern: string = `^${notInherited}[a-z][a-z0-9_]{0,61}$`;
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
  },
  { "x-reserved": ["ansible", "puppet", "chef", "on"], description: "One action, with its limits" },
);

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
    steps: { type: "array", items: step, maxItems: 100, description: "Steps, in order" },
  },
  { required: ["from"] },
);

const state = object(
  {
    description: text("For people"),
    available: boolean("Counts as up"),
    transient: boolean("Only passed through: never a target"),
    enter: { type: "array", items: entry, maxItems: 100, description: "How the state is entered" },
    check: object(
      { ...checkActions, env: environment, timeout },
      { description: "How to see that the state still holds" },
    ),
  },
  { "x-reserved": ["barrier"] },
);

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
    },
    { required: ["machine", "initial", "states"], "x-reserved": ["recovery", "remedies", "governors"] },
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
          until: { type: "string", format: "date-time", description: "End of the hold, with a zone" },
        },
        { required: ["reason", "by"], description: "Nothing is done to this host" },
      ),
    },
    { required: ["host"], "x-reserved": ["drift", "pool"] },
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
    },
    { required: ["group"], "x-reserved": ["rollout", "governors", "max_lost"] },
  ),
);

export const settingsSchema: JsonSchema = file(
  "Stateward settings",
  "stateward.yaml: settings of the reconciler",
  object(
    {
      poll: {
        type: "string",
        pattern: "^(\\S+ ){4,5}\\S+$",
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
      local: object({ root: text("Folder of the hosts with transport local; default .stateward-hosts") }),
      ssh: object({
        user: { type: "string", pattern: "^[a-z_][a-z0-9_-]{0,31}$", description: "Login name where a host has none" },
        identity: text("File with the private key; default what ssh finds by itself"),
      }),
    },
    { "x-reserved": ["windows", "channels", "brakes", "verify", "governors"] },
  ),
);

/** The published schemas by the name of their file. */
export const publishedSchemas: Readonly<Record<string, JsonSchema>> = {
  "stateward.schema.json": settingsSchema,
  "machine.schema.json": machineSchema,
  "host.schema.json": hostSchema,
  "group.schema.json": groupSchema,
};
