// The workflow that stateward init writes: what checks a change on GitHub, and says on its pull request what it would do. Nothing of a
// branch is run, and a fork's job needs no token.
import { Failure } from "../model/failure.ts";
import { version } from "./version.ts";

/** Where the workflow stands in a state repository. */
export const workflowPath = ".github/workflows/stateward.yaml";

/** Others' actions by whole commits: a tag may be moved. */
const checkout = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";
const setupNode = "actions/setup-node@49933ea5288caeca8642d1e84afbd3f7d6820020 # v4.4.0";

/** `action` is where this program's own action is, `owner/name@COMMIT`; null for the package from npm. Throws a Failure for another form. */
export function workflowText(action: string | null): string {
  if (action !== null && !/^[A-Za-z0-9-]+\/[A-Za-z0-9._-]+@[0-9a-f]{40}$/.test(action))
    throw new Failure("invalid", `not an action at a whole commit: ${action}`, {
      reason: "Usage",
      hint: "such as acme/stateward@ and 40 hexadecimal digits: a tag may be moved",
    });
  const source =
    action === null ? "stateward comes from npm, into a folder of its own" : "stateward is the action's own";
  return `# Checks each change, and says on its pull request what it would do. Nothing of a branch is run: ${source}.
# In a fork's pull request the token may only read: there the plan is in the job's summary.
name: stateward
on:
  pull_request:
  push:
    branches: [main]
permissions: {}
jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    permissions:
      contents: read
    steps:
      - uses: ${checkout}
        with:
          persist-credentials: false
${runs(action, "check")}  plan:
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-latest
    timeout-minutes: 10
    permissions:
      contents: read
      pull-requests: write
      checks: write
    steps:
      - uses: ${checkout}
        with:
          fetch-depth: 0
          persist-credentials: false
${runs(action, "plan")}`;
}

function runs(action: string | null, what: "check" | "plan"): string {
  if (action !== null) return `      - uses: ${action}\n        with:\n          run: ${what}\n`;
  const token = what === "check" ? "" : "        env:\n          GITHUB_TOKEN: ${{ github.token }}\n";
  const command = what === "check" ? "check --format github" : '--data "$RUNNER_TEMP/data" publish';
  return `      - uses: ${setupNode}
        with:
          node-version: 20
      - name: Install stateward
        run: |
          mkdir "$RUNNER_TEMP/stateward"
          cd "$RUNNER_TEMP/stateward"
          npm install --prefix . --ignore-scripts --no-audit --no-fund stateward@${version}
      - name: ${what === "check" ? "Check" : "Plan"}
${token}        run: node "$RUNNER_TEMP/stateward/node_modules/stateward/dist/cli/main.js" ${command}
`;
}
