// What is taken out of texts: secrets by their forms and by their names, in every way of writing them, in a time that no text can stretch (A2).
import { Worker } from "node:worker_threads";
import * as assert from "uvu/assert";
import { redact } from "../../reconciler/model/redact.ts";
import { isSecretName, Secrets, secretsIn } from "../../reconciler/model/secrets.ts";
import { formedCanaries, foundIn, namedCanaries, random } from "../support/canaries.ts";
import { suite } from "../support/suite.ts";

const test = suite("security-redact");

test("A2: secrets that have a form are taken out, alone and among other lines", () => {
  const canaries = formedCanaries(400);
  for (const canary of canaries) {
    assert.equal(foundIn([canary], canary.text).length, 1, `${canary.kind} is planted`);
    assert.equal(foundIn([canary], redact(canary.text)), []);
    assert.equal(foundIn([canary], redact(`first line\n\t${canary.text}\nlast line`)), []);
  }
  const all = canaries.map(({ text }) => text).join("\n");
  assert.equal(foundIn(canaries, redact(all)), []);
});

test("A2: secrets that are known by name are taken out, however a program writes them", () => {
  const canaries = namedCanaries(560, 10_000);
  const secrets = new Secrets(canaries.map(({ secret }) => secret));
  for (const canary of canaries) {
    assert.equal(foundIn([canary], secrets.hide(canary.text)), [], canary.kind);
    assert.equal(foundIn([canary], secrets.hide(`a${canary.text}b ${canary.text}`)), [], canary.kind);
  }
  assert.equal(foundIn(canaries, secrets.hide(canaries.map(({ text }) => text).join(""))), []);
});

test("A2: secrets that overlap, and one within another, leave nothing behind", () => {
  const secrets = new Secrets(["abcdefgh", "efghijkl", "fghijk", "abcdefghijklmnop"]);
  assert.is(secrets.hide("1 abcdefghijkl 2"), "1 *** 2");
  assert.is(secrets.hide("1 abcdefghijklmnop 2 abcdefgh 3"), "1 *** 2 *** 3");
  assert.is(secrets.hide("1 abcdefg 2"), "1 abcdefg 2");
  assert.is(secrets.hide("abcdefghabcdefgh"), "******");
});

test("A2: each line of a secret of many lines is known by itself", () => {
  const key = `-----BEGIN KEY-----\n${random(1, 64)}\n${random(2, 64)}\n-----END KEY-----\n`;
  const secrets = new Secrets([key]);
  const shown = secrets.hide(
    key
      .split("\n")
      .map((line, at) => `${at}: ${line}`)
      .join("\n"),
  );
  for (const line of [random(1, 64), random(2, 64)]) assert.not.ok(shown.includes(line));
});

test("A2: more secrets than are kept do not push out the lasting ones", () => {
  const secrets = new Secrets(["the lasting one"]);
  for (let number = 0; number < 100_500; number++) secrets.add(`secret-${number}`);
  assert.is(secrets.hide("the lasting one, secret-100499"), "***, ***");
});

test("A2: names tell what is secret, and where one only is", () => {
  for (const name of [
    "DB_PASSWORD",
    "api_key",
    "githubToken",
    "client-secret",
    "PGPASSWORD",
    "private_key",
    "ssh_passphrase",
    "tokens",
    "X-Api-Key",
  ])
    assert.ok(isSecretName(name), name);
  for (const name of [
    "token_file",
    "SECRET_NAME",
    "password_length",
    "PWD",
    "OLDPWD",
    "host_key",
    "public_key",
    "monkey",
    "bundle",
    "port",
    "compass",
  ])
    assert.not.ok(isSecretName(name), name);
  assert.equal(secretsIn({ DB_PASSWORD: "long enough", api_key: "short", bundle: "git-1.bundle" }), ["long enough"]);
});

test("A2: prose about secrets stays as it is", () => {
  const text =
    "ssh: connect to host web-1 port 22: Connection refused; the password is wrong, a valid bearer token is needed, git@example.org, ssh://git@example.org/x.git, https://example.org:8640/a@b, http://127.0.0.1:8641/site.git, 3 of 5 hosts, token HOST";
  assert.is(redact(text), text);
  assert.is(new Secrets(["something else"]).hide(text), text);
});

/** Parts that patterns begin with or repeat; a host may print any of them a thousand times. */
const parts = [
  "a",
  "-",
  "A",
  " ",
  "\n",
  "=",
  "password",
  "token",
  "token=",
  "--token ",
  "-token-",
  "basic ",
  "authorization ",
  'secret="',
  "a://",
  "://a",
  "://a:",
  "eyJ",
  "eyJ-",
  "-----BEGIN ",
  "-----BEGIN PRIVATE KEY-----",
  "-----END ",
  "ghp_",
  "sk-",
  " -u a",
  "?sig=",
  "cookie:",
  "api_",
  "token\\",
  "'auth'",
  "identified by ",
];

test("A2: no text keeps the reconciler busy: every one is gone through in one go", async () => {
  const size = 524_288;
  const source = `
    import { parentPort, workerData } from "node:worker_threads";
    import { redact } from ${JSON.stringify(new URL("../../dist/model/redact.js", import.meta.url).href)};
    for (const text of workerData.texts) { parentPort.postMessage(text.slice(0, 30)); redact(text.repeat(${size} / text.length)); }
    parentPort.postMessage("done");`;
  const texts = parts.flatMap((one) => [
    one,
    ...parts.filter((_, at) => at % 8 === one.length % 8).map((two) => one + two),
  ]);
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData: { texts } });
  let last = "";
  worker.on("message", (text: string) => (last = text));
  // What is quadratic takes a quarter of an hour for one of them.
  const late = setTimeout(() => void worker.terminate(), 100_000);
  await new Promise((resolve) => worker.once("exit", resolve));
  clearTimeout(late);
  assert.is(last, "done");
});

test.run();
