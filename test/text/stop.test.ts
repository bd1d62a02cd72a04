import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { StopMatcher } from "../../src/text/stop.ts";

/** What each push lets through, up to the stop, and what the end gives. */
function run(stops: string[], pieces: string[]) {
  const matcher = new StopMatcher(stops);
  const through: string[] = [];
  let stopped = false;
  for (const piece of pieces) {
    const matched = matcher.push(piece);
    through.push(matched.text);
    stopped = matched.stopped;
  }
  return { through, stopped, rest: matcher.flush() };
}

/** The contract on the whole text: the first end at which a stop string stands, and its longest one there. */
function naive(stops: string[], text: string): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const ending = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (ending.length === 0) continue;
    return { text: text.slice(0, end - Math.max(...ending.map((stop) => stop.length))), stopped: true };
  }
  return { text, stopped: false };
}

test("text is cut before the stop string", () => {
  assert.deepEqual(run(["\n\n"], ["one\n\ntwo"]), { through: ["one"], stopped: true, rest: "" });
});

test("a stop string is found across pushes, and nothing of it is let through", () => {
  assert.deepEqual(run(["END"], ["to E", "N", "D of"]), {
    through: ["to ", "", ""],
    stopped: true,
    rest: "",
  });
});

test("what turns out not to be a stop string is let through then, or at the end", () => {
  assert.deepEqual(run(["END"], ["EN", "EN"]), { through: ["", "EN"], stopped: false, rest: "EN" });
});

test("only what may still become a stop string is held back", () => {
  assert.deepEqual(run(["aab"], ["aaa"]).through, ["a"]);
  assert.deepEqual(run(["aab", "xyz"], ["wxyaa"]).through, ["wxy"]);
  assert.deepEqual(run(["abc"], ["abd"]).through, ["abd"]);
});

test("the stop string that ends first wins, and of those that end together the longest", () => {
  assert.deepEqual(run(["abcd", "c"], ["abcd"]).through, ["ab"]);
  assert.deepEqual(run(["c", "bc"], ["abc"]).through, ["a"]);
  assert.deepEqual(run(["bc", "c"], ["abc"]).through, ["a"]);
});

test("after a stop nothing is let through", () => {
  assert.deepEqual(run(["."], ["a.b", "c", "."]), { through: ["a", "", ""], stopped: true, rest: "" });
});

test("without stop strings all text goes through at once", () => {
  assert.deepEqual(run([], ["a", "b"]), { through: ["a", "b"], stopped: false, rest: "" });
});

const letters = (maxLength: number, minLength = 0) =>
  fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength, maxLength });

test("any split of any text gives what a search of the whole text gives", () => {
  fc.assert(
    fc.property(fc.array(letters(4, 1), { maxLength: 4 }), fc.array(letters(5)), (stops, pieces) => {
      const { through, stopped, rest } = run(stops, pieces);
      assert.deepEqual({ text: through.join("") + rest, stopped }, naive(stops, pieces.join("")));
    }),
    { numRuns: 5000 },
  );
});

test("what is held back could always become a stop string", () => {
  fc.assert(
    fc.property(fc.array(letters(4, 1), { maxLength: 4 }), letters(10), (stops, text) => {
      const { stopped, rest } = run(stops, [text]);
      assert.ok(stopped || rest === "" || stops.some((stop) => stop.startsWith(rest)));
    }),
    { numRuns: 2000 },
  );
});

test("an empty stop string is refused", () => {
  assert.throws(() => new StopMatcher(["a", ""]), {
    name: "RangeError",
    message: "stop: a stop string must have at least one character, got an empty one.",
  });
});
