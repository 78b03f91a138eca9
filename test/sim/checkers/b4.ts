// B4: empty means none: a guard over a group in which nobody is never opens, and a word about nobody is refused.
import { all, type Checker } from "../history.ts";
import { desiredOf } from "./chain.ts";

export const b4: Checker = {
  promise: "B4",
  says: "no state is entered behind a guard over an empty group, and no hold is taken on hosts that are not there",
  check: (history) => {
    const shut = new Set(
      [...desiredOf(history).values()].flatMap(({ machines }) =>
        machines.flatMap(({ name, transitions }) =>
          transitions.flatMap(({ isShut, to }) => (isShut ? [`${name} ${to}`] : [])),
        ),
      ),
    );
    const entered = all(history, "began").flatMap(({ at, host, machine, transition }) =>
      transition !== null && shut.has(`${machine} ${transition.to}`)
        ? [{ promise: "B4", at, message: `${host} goes to ${transition.to}, whose guard nobody can open` }]
        : [],
    );
    const words = all(history, "word").flatMap(({ at, word, answer }) =>
      word.kind === "hold" &&
      answer === "taken" &&
      (word.select === "group/nobody" || word.select === "region/atlantis")
        ? [{ promise: "B4", at, message: `a hold on ${word.select} was acknowledged` }]
        : [],
    );
    return [...entered, ...words];
  },
};
