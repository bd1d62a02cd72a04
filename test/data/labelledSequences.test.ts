import assert from "node:assert/strict";
import { test } from "node:test";

import { imageSequences, readLabelledFiles, readLongFormat } from "../../src/data/labelledSequences.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const format = { id: "id", label: "kind", inputs: "all" } as const;

test("rows of one id are one sequence, wherever they stand; classes are ordered", () => {
  const text = "id,kind,x,note,y\n7,10,1,a,2\n8,9,5,b,6\n7,10,3,c,\n";
  const { classes, inputs, sequences } = readLongFormat("a.csv", bytes(text), format);
  assert.deepEqual(classes, ["9", "10"]);
  assert.deepEqual(inputs, ["x", "y"]);
  assert.deepEqual(sequences, [
    { name: "7", label: 1, values: Float32Array.of(1, 2, 3, NaN) },
    { name: "8", label: 0, values: Float32Array.of(5, 6) },
  ]);
  assert.deepEqual(
    readLongFormat("a.csv", bytes(text), { ...format, inputs: ["y"] }).sequences[1].values,
    Float32Array.of(6),
  );
});

test("a sequence with two labels, a column without numbers, and a single class are refused", () => {
  const refused = (text: string, inputs: "all" | string[], message: string) =>
    assert.throws(() => readLongFormat("a.csv", bytes(text), { ...format, inputs }), {
      name: "FormatError",
      message,
    });
  refused(
    "id,kind,x\n1,up,0\n2,up,0\n1,down,0\n",
    "all",
    'a.csv: row 4: sequence "1" is labelled "up" in row 2, and here "down". A sequence has one label.',
  );
  refused(
    "id,kind,x\n1,up,0\n2,down,much\n",
    "all",
    'a.csv: row 3, column "x": must be a number, got "much". ' +
      "Choose other columns, or leave the cell empty where nothing was measured.",
  );
  refused(
    "id,kind,x\n1,up,0\n2,up,0\n",
    "all",
    "a.csv: must have sequences of at least 2 classes, got 2 of 1.",
  );
  refused("id,kind,x\n1,up,0\n", ["z"], 'a.csv: has no column "z". There are: "id", "kind", "x".');
  refused("id,kin,x\n1,up,0\n", "all", 'a.csv: has no column "kind". Did you mean "kin"?');
  refused(
    "id,kind,x\n1,up,a\n2,down,b\n",
    "all",
    "a.csv: no column but the label begins with a number. What are the sequences of?",
  );
});

test("files are sequences of their own, with the columns of the first", () => {
  const files = [
    { file: "up/1.csv", label: "up", bytes: bytes("t,x\nmonday,1\ntuesday,2\n") },
    { file: "down/1.csv", label: "down", bytes: bytes("x,t\n9,monday\n") },
  ];
  const { classes, inputs, sequences } = readLabelledFiles("folder", files, "all");
  assert.deepEqual([classes, inputs], [["down", "up"], ["x"]]);
  assert.deepEqual(sequences, [
    { name: "up/1.csv", label: 1, values: Float32Array.of(1, 2) },
    { name: "down/1.csv", label: 0, values: Float32Array.of(9) },
  ]);
  const lacking = [...files, { file: "down/2.csv", label: "down", bytes: bytes("z\n1\n") }];
  assert.throws(() => readLabelledFiles("folder", lacking, "all"), {
    message: 'down/2.csv: has no column "x". There are: "z".',
  });
});

const images = { shape: [2, 2, 2], data: Uint8Array.of(0, 51, 102, 153, 204, 255, 0, 255) };
const labels = { shape: [2], data: Uint8Array.of(7, 1) };

test("an image is the sequence of its pixels, row by row, from 0 to 1", () => {
  const { classes, sequences } = imageSequences("mnist", images, labels);
  assert.deepEqual(classes, ["1", "7"]);
  assert.deepEqual(sequences[0], { name: "0", label: 1, values: Float32Array.of(0, 0.2, 0.4, 0.6) });
});

test("permuted, all images have the same pixels in one other order, which the seed gives", () => {
  const ramp = { shape: [2, 100], data: Uint8Array.from({ length: 200 }, (_, i) => i % 100) };
  const valuesOf = (seed: number) =>
    imageSequences("mnist", ramp, labels, { permuted: true, seed }).sequences.map(({ values }) =>
      [...values].map((value) => Math.round(255 * value)),
    );
  const [one, two] = valuesOf(1);
  assert.deepEqual(one, two);
  assert.notDeepEqual(
    one,
    [...one].sort((a, b) => a - b),
  );
  assert.deepEqual(
    [...one].sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i),
  );
  assert.deepEqual(valuesOf(1)[0], one);
  assert.notDeepEqual(valuesOf(2)[0], one);
});

test("images without a label each are refused", () => {
  assert.throws(() => imageSequences("mnist", images, { shape: [3], data: Uint8Array.of(1, 2, 3) }), {
    name: "FormatError",
    message:
      "mnist: must be images (count, rows, columns) and as many labels (count), all bytes, got (2, 2, 2) and (3).",
  });
});
