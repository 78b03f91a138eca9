// Planted secrets: each is found again wherever it got to, in whichever way it was written on the way.
import { createHash } from "node:crypto";

export interface Canary {
  readonly kind: string;
  /** What must be found nowhere. */
  readonly secret: string;
  /** How a program prints it. */
  readonly text: string;
  /** True for those that only a name gives away: they stand in a host's vars or in an environment. */
  readonly byName: boolean;
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Characters that are the same in every run and for no two numbers. */
export function random(number: number, length: number, alphabet: string = letters): string {
  let text = "";
  for (let block = 0; text.length < length; block++)
    for (const byte of createHash("sha256").update(`canary ${number} ${block}`).digest())
      text += alphabet[byte % alphabet.length] ?? "";
  return text.slice(0, length);
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
type Form = readonly [kind: string, secret: (number: number) => string, text: (secret: string) => string];
const plain = (number: number): string => random(number, 24);

/** Secrets that can be told by their form, or by what stands before them. */
const formed: readonly Form[] = [
  ["bearer", plain, (s) => `> Authorization: Bearer ${s}`],
  ["bearer in JSON", plain, (s) => `{"headers":{"Authorization":"Bearer ${s}"}}`],
  ["basic", (n) => base64(`ana:${random(n, 20)}`), (s) => `authorization: Basic ${s}`],
  [
    "AWS id",
    (n) => `AKIA${random(n, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")}`,
    (s) => `InvalidClientTokenId: ${s} is unknown`,
  ],
  ["AWS key", (n) => random(n, 40, `${letters}+/`), (s) => `aws_secret_access_key = ${s}`],
  ["GitHub", (n) => `ghp_${random(n, 36)}`, (s) => `remote: ${s} has expired`],
  ["GitHub, fine-grained", (n) => `github_pat_${random(n, 60)}`, (s) => `using ${s} for api.github.com`],
  ["GitLab", (n) => `glpat-${random(n, 20)}`, (s) => `pushing as ${s}`],
  ["Slack", (n) => `xoxb-${random(n, 12, "0123456789")}-${random(n, 24)}`, (s) => `invalid_auth for ${s}`],
  [
    "Slack hook",
    (n) => `T${random(n, 9)}/B${random(n + 7, 9)}/${random(n, 24)}`,
    (s) => `POST https://hooks.slack.com/services/${s} 404`,
  ],
  ["npm", (n) => `npm_${random(n, 36)}`, (s) => `npm ERR! ${s}`],
  ["npm registry", plain, (s) => `//registry.npmjs.org/:_authToken=${s}`],
  [
    "PEM",
    (n) => random(n, 64, `${letters}+/`),
    (s) => `-----BEGIN RSA PRIVATE KEY-----\n${s}\n-----END RSA PRIVATE KEY-----`,
  ],
  ["PEM without its beginning", (n) => random(n, 64, `${letters}+/`), (s) => `${s}\n-----END OPENSSH PRIVATE KEY-----`],
  ["PEM without its end", (n) => random(n, 64, `${letters}+/`), (s) => `-----BEGIN PRIVATE KEY-----\n${s}`],
  ["URL", plain, (s) => `fatal: unable to access 'https://ana:${s}@git.example.org/fleet.git/'`],
  [
    "URL with @ in it",
    (n) => `${random(n, 8)}@${random(n + 9, 12)}`,
    (s) => `cloning https://ana:${s}@git.example.org/x`,
  ],
  ["URL with a token", (n) => random(n, 40), (s) => `cloning https://${s}@github.com/x/y.git`],
  ["URL with a query", plain, (s) => `GET https://api.example.org/v1?a=1&access_token=${s} 403`],
  ["signed URL", plain, (s) => `GET https://x.blob.example.org/a?sv=1&sig=${s} 403`],
  ["password=", plain, (s) => `DB_PASSWORD=${s}`],
  ["in quotes", (n) => `${random(n, 6)} ${random(n + 3, 12)}`, (s) => `db_password: "${s}"`],
  ["not closed", (n) => `${random(n, 6)} ${random(n + 3, 12)}`, (s) => `export API_TOKEN='${s}`],
  ["JSON", plain, (s) => `{"user":"ana","password":"${s}","port":1}`],
  ["JSON in JSON", plain, (s) => JSON.stringify({ body: JSON.stringify({ client_secret: s }) })],
  ["option", plain, (s) => `usage: mysqldump --password ${s} db`],
  ["option=", plain, (s) => `usage: tool --api-key=${s}`],
  ["curl -u", plain, (s) => `+ curl -u ana:${s} http://127.0.0.1/`],
  ["JWT", (n) => `eyJ${random(n, 20)}.eyJ${random(n + 1, 30)}.${random(n + 2, 43)}`, (s) => `token expired ${s}`],
  ["connection string", plain, (s) => `Server=db;User Id=sa;Password=${s};Encrypt=yes`],
  ["connection string, pwd", plain, (s) => `Driver=x;Uid=sa; Pwd=${s};`],
  ["storage key", (n) => `${random(n, 60, `${letters}+/`)}==`, (s) => `AccountName=a;AccountKey=${s};`],
  ["redis", plain, (s) => `could not connect to redis://:${s}@127.0.0.1:6379/0`],
  ["postgres", plain, (s) => `psql: postgres://app:${s}@db:5432/app refused`],
  ["cookie", plain, (s) => `< Set-Cookie: session=${s}; Path=/`],
  ["SQL", plain, (s) => `ERROR 1064 near CREATE USER app IDENTIFIED BY '${s}'`],
  ["docker", (n) => base64(`ana:${random(n, 20)}`), (s) => `{"auths":{"r.example.org":{"auth":"${s}"}}}`],
  ["age", (n) => `AGE-SECRET-KEY-1${random(n, 58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")}`, (s) => `age: ${s}`],
  ["Stateward", (n) => `sw1.subject.git-1.${random(n, 43)}`, (s) => `sent ${s}`],
  ["sshpass", plain, (s) => `+ sshpass -p ${s} ssh web-1`],
];

const values: readonly (readonly [kind: string, secret: (number: number) => string])[] = [
  ["words", (n) => `correct-horse-${random(n, 12)}`],
  ["hexadecimal", (n) => random(n, 64, "0123456789abcdef")],
  ["base64", (n) => `${random(n, 43, `${letters}+/`)}=`],
  ["signs", (n) => `${random(n, 10)} '"\\$&;<>#%?/${random(n + 5, 4)}`],
  ["letters of many scripts", (n) => `Zo\u00eb-\u043f\u0430\u0440-${random(n, 14)}`],
  ["long", (n) => random(n, 220)],
  ["short", (n) => random(n, 8)],
];

/** Ways in which programs print what they know. */
const prints: readonly (readonly [kind: string, text: (secret: string) => string])[] = [
  ["as it is", (s) => s],
  ["within a word", (s) => `x${s}y`],
  ["base64", (s) => base64(s)],
  ["base64 of more", (s) => `sending ${base64(`ana:${s}`)}`],
  ["in a URL", (s) => `GET /x?q=${encodeURIComponent(s)}`],
  ["in JSON", (s) => JSON.stringify({ say: s })],
  ["hexadecimal", (s) => Buffer.from(s).toString("hex")],
  ["traced by a shell", (s) => `+ login '${s.replaceAll("'", `'\\''`)}'`],
];

/** So many secrets that a form gives away, each kind in turn. */
export function formedCanaries(count: number, first = 0): Canary[] {
  return Array.from({ length: count }, (_, index) => {
    const [kind, make, text] = pick(formed, index);
    const secret = make(first + index);
    return { kind, secret, text: text(secret), byName: false };
  });
}

/** So many that only a name gives away, each kind of value printed in each way in turn. */
export function namedCanaries(count: number, first = 0): Canary[] {
  return Array.from({ length: count }, (_, index) => {
    const [value, make] = pick(values, index);
    const [print, text] = pick(prints, Math.floor(index / values.length) + index);
    const secret = make(first + index);
    return { kind: `${value}, ${print}`, secret, text: text(secret), byName: true };
  });
}

function pick<T>(list: readonly T[], index: number): T {
  const item = list[index % list.length];
  if (item === undefined) throw new Error("an empty list");
  return item;
}

/** Canaries of which something stands in a text: as they are, and in the ways of writing from which they can be read again. */
export function foundIn(canaries: readonly Canary[], text: string): string[] {
  return canaries.flatMap(({ kind, secret }) => {
    const ways = [
      secret,
      base64(secret).replace(/.?=*$/, ""),
      encodeURIComponent(secret),
      Buffer.from(secret).toString("hex"),
      JSON.stringify(secret).slice(1, -1),
      JSON.stringify(JSON.stringify(secret)).slice(3, -3),
      // The better part of it is too much as well.
      ...(secret.length >= 16 ? [secret.slice(0, -4), secret.slice(4)] : []),
    ];
    const way = ways.find((form) => text.includes(form));
    return way === undefined
      ? []
      : [`${kind}: ${text.slice(Math.max(0, text.indexOf(way) - 60), text.indexOf(way) + way.length + 20)}`];
  });
}
