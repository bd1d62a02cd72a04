import assert from "node:assert/strict";
import { test } from "node:test";
import picocolors from "picocolors";
import { commands, groups } from "../../src/cli/commands.ts";
import { spelled } from "../../src/cli/flag.ts";
import { parse } from "../../src/cli/parse.ts";

const colors = picocolors.createColors(false);
const understood = (line: string) =>
  parse(line === "" ? [] : line.split(" "), { commands, groups, version: "1.2.3", colors, width: 200 });

function given(line: string) {
  const call = understood(line);
  assert.ok("given" in call, `${line} is a call`);
  return call.given;
}

const help = (line: string) => {
  const text = understood(line);
  assert.ok("help" in text, `${line} is answered with text`);
  return text.help;
};

const mistakes: Readonly<Record<string, string>> = {
  "train induction-heads --dstate 4": "train: unknown flag --dstate. Did you mean --d-state?",
  "train text --xyzzy": "train: unknown flag --xyzzy. See statewise train text --help.",
  "evla --run x": "statewise: unknown command evla. Did you mean eval?",
  xyzzy:
    "statewise: unknown command xyzzy. Choose one of train, eval, generate, forecast, inspect, reproduce, devices, bench.",
  "--xyzzy": "statewise: unknown flag --xyzzy. See statewise --help.",
  train:
    "train: which one? Choose one of induction-heads, selective-copying, copying, list-ops, text, forecast, classify.",
  "train induction":
    "train: unknown command induction. Choose one of induction-heads, selective-copying, copying, list-ops, text, forecast, classify.",
  "train induction-head": "train: unknown command induction-head. Did you mean induction-heads?",
  "train text --steps": "train: --steps needs a value. See statewise train text --help.",
  "train text --steps many": "train: --steps must be a whole number of at least 1, got many.",
  "train text --steps 0": "train: --steps must be a whole number of at least 1, got 0.",
  "train text --steps 1.5": "train: --steps must be a whole number of at least 1, got 1.5.",
  "train text --learning-rate 0": "train: --learning-rate must be a number above 0, got 0.",
  "train text --beta1 1": "train: --beta1 must be a number of at least 0 and below 1, got 1.",
  "train text --schedule linear": "train: --schedule must be constant or cosine, got linear.",
  "train text --device gpu": "train: --device must be native, wasm, plain or webgpu, got gpu.",
  "train text novel.txt": "train: unexpected word novel.txt. See statewise train text --help.",
  "inspect a b": "inspect: unexpected word b. See statewise inspect --help.",
  "generate --stop=": "generate: --stop must be a text of at least one character, got nothing.",
};

for (const [line, message] of Object.entries(mistakes)) {
  test(`"statewise ${line}" is answered with what is wrong and what to do`, () => {
    assert.throws(() => understood(line), { name: "UsageError", message });
  });
}

test("flags that are not given have their initial values, and are told apart", () => {
  const { values, given: named } = given("train induction-heads --d-model 16 --batch 64");
  assert.equal(values.dModel, 16);
  assert.equal(values.batch, 64);
  assert.equal(values.layers, 2);
  assert.equal(values.dtRank, undefined);
  assert.deepEqual([...named].sort(), ["batch", "dModel"]);
});

test("numbers may be written as in code", () => {
  assert.equal(given("train text --learning-rate 1e-4").values.learningRate, 1e-4);
  assert.equal(given("train text --clip Infinity").values.clip, Infinity);
});

test("a repeated flag collects its values, however they are given", () => {
  assert.deepEqual(given("eval --run x --length 64 128 --length 256").values.length, [64, 128, 256]);
  assert.deepEqual(given("generate --stop a --stop b").values.stop, ["a", "b"]);
  assert.deepEqual(given("generate").values.stop, []);
});

test("a word without a flag is the argument", () => {
  assert.equal(given("inspect some/where --json").argument, "some/where");
  assert.equal(given("inspect").argument, undefined);
});

test("nothing at all is answered with the help", () => {
  assert.equal(help(""), help("--help"));
  assert.equal(help("--version"), "1.2.3\n");
});

for (const { name, doc, flags } of commands) {
  test(`the help of ${name} says what it does, and every flag with its default`, () => {
    const text = help(`${name} --help`);
    assert.ok(text.includes(doc));
    assert.ok(!text.includes("\u001b"));
    for (const [name, flag] of Object.entries(flags)) {
      const line = text.split("\n").find((line) => line.trim().startsWith(`${spelled(name)} `));
      assert.ok(line, name);
      assert.ok(line.includes(flag.doc), line);
      if (typeof flag.initial === "number") assert.match(line, /\(default: /);
    }
  });
}
