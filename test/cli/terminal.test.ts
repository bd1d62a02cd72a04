import assert from "node:assert/strict";
import { test } from "node:test";
import { Terminal } from "../../src/cli/terminal.ts";

/** A stream that remembers. */
function stream(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, columns: 80, written, write: (text: string) => written.push(text) };
}

test("a person and a program hear the same, each in its way", () => {
  for (const json of [false, true]) {
    const out = stream(false);
    const terminal = new Terminal(out, stream(false), json);
    terminal.say("loss 2");
    terminal.emit({ loss: 2 });
    assert.deepEqual(out.written, [json ? '{"loss":2}\n' : "loss 2\n"]);
  }
});

test("notes go to standard error, asides only where a person watches it", () => {
  const [out, error] = [stream(false), stream(false)];
  const terminal = new Terminal(out, error, false);
  terminal.note("note");
  terminal.aside("aside");
  assert.deepEqual([out.written, error.written], [[], ["note\n"]]);
  const watched = stream(true);
  new Terminal(out, watched, false).aside("aside");
  assert.equal(watched.written.length, 1);
});

test("the live line is where a person watches and no result goes", async () => {
  const has = async (out: boolean, error: boolean, json: boolean) =>
    (await new Terminal(stream(out), stream(error), json).liveLine()) !== null;
  assert.equal(await has(true, true, false), true, "on a terminal");
  assert.equal(await has(false, true, false), false, "not into a file");
  assert.equal(await has(false, true, true), true, "beside JSON that goes to a file");
  assert.equal(await has(true, true, true), false, "not between JSON lines on the screen");
  assert.equal(await has(false, false, true), false, "not where nobody watches");
});

test("a line that is said takes the place of the live line", async () => {
  const out = stream(true);
  const terminal = new Terminal(out, stream(true), false);
  const live = await terminal.liveLine();
  live?.update("step 1");
  terminal.say("evaluated");
  const text = out.written.join("");
  assert.ok(text.indexOf("\u001b[2K") > text.indexOf("step 1"), "erased");
  assert.ok(text.endsWith("evaluated\n"));
});

test("colours go to a terminal only, and not with NO_COLOR or a dumb one", () => {
  const colored = (isTTY: boolean) =>
    new Terminal(stream(isTTY), stream(false), false).colors.red("x") !== "x";
  const { NO_COLOR, TERM } = process.env;
  try {
    delete process.env.NO_COLOR;
    process.env.TERM = "xterm";
    assert.deepEqual([colored(true), colored(false)], [true, false]);
    process.env.TERM = "dumb";
    assert.equal(colored(true), false);
    process.env.TERM = "xterm";
    process.env.NO_COLOR = "1";
    assert.equal(colored(true), false);
  } finally {
    for (const [name, value] of Object.entries({ NO_COLOR, TERM })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});
