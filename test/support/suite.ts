// uvu with a time limit for each test, and a count of what was declared, so that a forgotten `run()` is noticed.
import { suite as uvuSuite } from "uvu";

const testTimeMaxDefaultMs = 120_000;
let declared = 0;

export interface Suite {
  (title: string, body: () => void | Promise<void>): void;
  /** Declares a test that needs something of the machine; says so when it is not there. */
  needs(what: string, isThere: boolean, title: string, body: () => void | Promise<void>): void;
  run(): void;
}

/** `limitMs` is for suites that are told to do more than usual. */
export function suite(name: string, { limitMs = testTimeMaxDefaultMs }: { readonly limitMs?: number } = {}): Suite {
  const tests = uvuSuite(name);
  const test = ((title, body) => {
    declared++;
    tests(title, () => withLimit(title, body, limitMs));
  }) as Suite;
  // oxlint-disable-next-line max-params -- reads like the plain form, with its condition before it
  test.needs = (what, isThere, title, body) => {
    if (isThere) test(title, body);
    else process.stdout.write(`@skipped ${title}: needs ${what}\n`);
  };
  test.run = () => tests.run();
  return test;
}

process.once("exit", () => process.stdout.write(`\n@declared ${declared}\n`));

async function withLimit(title: string, body: () => void | Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`"${title}" did not end within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    await Promise.race([body(), limit]);
  } finally {
    clearTimeout(timer);
  }
}
