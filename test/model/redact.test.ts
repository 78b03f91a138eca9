// A2: what is kept of output has no credentials of the forms that can be told.
import * as assert from "uvu/assert";
import { redact } from "../../reconciler/model/redact.ts";
import { suite } from "../support/suite.ts";

const test = suite("redact");
const secret = "s3cr3tValue99";

for (const text of [
  `Authorization: Bearer ${secret}`,
  `authorization=Basic ${secret}`,
  `GITHUB_TOKEN=${secret}`,
  `export DB_PASSWORD='${secret}'`,
  `AWS_SECRET_ACCESS_KEY=${secret}`,
  `{"password": "${secret}"}`,
  `mysql --password ${secret}`,
  `mysql --password=${secret}`,
  `https://ana:${secret}@git.example.org/x.git`,
  `sw1.subject.git-1.${secret}`,
  `-----BEGIN OPENSSH PRIVATE KEY-----\n${secret}\n-----END OPENSSH PRIVATE KEY-----`,
  `api_key: ${secret}`,
]) {
  test(`A2: ${text.slice(0, 40).replaceAll("\n", " ")}`, () => assert.not.match(redact(text), secret));
}

test("what is no credential stays", () => {
  const text =
    "fatal: repository 'http://127.0.0.1:8641/site.git' not found, exit 128; the password is wrong, a valid bearer token is needed; 3 of 5 hosts";
  assert.is(redact(text), text);
});

test.run();
