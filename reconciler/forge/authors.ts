// Who has a part in a pull request, and so cannot approve it: whoever opened it, the authors and committers of its commits, and those whom
// their messages name as co-authors by an address that GitHub has made for them: whose another one is, it does not say.
import { loginOf, type PullRequest } from "./answers.ts";
import type { GitHub } from "./client.ts";

/** GitHub lists no more commits of a pull request, so that nobody knows who else is an author. */
const commitsListedMax = 250;

/** Logins in small letters; or why they are not known. */
export async function authorsOf(
  github: GitHub,
  { number, author }: Pick<PullRequest, "number" | "author">,
): Promise<ReadonlySet<string> | string> {
  const commits = await github.list("GET /pulls/{pull_number}/commits", { pull_number: number });
  if (commits.length >= commitsListedMax)
    return `GitHub lists ${commitsListedMax} commits at most, so that not all authors are known`;
  const logins = commits.map((commit) => loginOf(commit.at("author")));
  if (author === null || logins.includes(null)) return "the author of a commit is not known to GitHub";
  // What is merged with a button is committed by GitHub.
  const committers = commits.map((commit) => loginOf(commit.at("committer"))).filter((login) => login !== "web-flow");
  const coAuthors = commits.flatMap((commit) => coAuthorsIn(commit.at("commit").at("message").text()));
  const all = [author, ...logins, ...committers, ...coAuthors];
  return new Set(all.flatMap((login) => (login === null ? [] : [login.toLowerCase()])));
}

/** Logins of those who keep their addresses private: `Co-authored-by: Ana <12345+ana@users.noreply.github.com>`. */
function coAuthorsIn(message: string): string[] {
  const found = message.matchAll(
    /^co-authored-by:[^\n<]*<(?:\d+\+)?([a-z0-9][a-z0-9_-]{0,59})@users\.noreply\.[a-z0-9.-]+>/gim,
  );
  return [...found].map(([, login = ""]) => login);
}
