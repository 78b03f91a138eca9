// A line kept in blocks, against a sorted list.

import fc from "fast-check";
import * as assert from "uvu/assert";
import { Line } from "../../reconciler/plan/line.ts";
import { suite } from "../support/suite.ts";

const test = suite("line");
const rankOf = (number: number): string => String(number).padStart(6, "0");

test("a line has the places of a sorted list, also when its blocks were divided and emptied", () => {
  const number = fc.nat({ max: 9999 });
  const place = fc.option(number.map(rankOf));
  const part = fc.record({ most: number, end: place, after: place });
  fc.assert(
    fc.property(fc.uniqueArray(number, { minLength: 600, maxLength: 2000 }), fc.array(part), (numbers, parts) => {
      const line = new Line();
      for (const value of numbers) line.add(rankOf(value), `h${value}`);
      const gone = new Set(numbers.filter((value) => value % 3 === 0 || (value > 2000 && value < 6000)));
      for (const value of gone) line.remove(rankOf(value), `h${value}`);
      const left = numbers.filter((value) => !gone.has(value)).toSorted((a, b) => a - b);
      assert.is(line.length, left.length);
      for (const { most, end, after } of parts) {
        const upTo = left.filter((value) => end === null || rankOf(value) < end).slice(0, most);
        const names = upTo.filter((value) => after === null || rankOf(value) > after).map((value) => `h${value}`);
        const [last] = upTo.slice(-1);
        assert.equal(line.first({ most, end, after }), { names, last: last === undefined ? null : rankOf(last) });
        if (end !== null) assert.is(line.ahead(end), left.filter((value) => rankOf(value) < end).length);
      }
    }),
    { seed: 7, numRuns: 100 },
  );
});

test.run();
