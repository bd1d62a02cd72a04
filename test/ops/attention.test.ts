import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { scale } from "../../src/ops/arithmetic.ts";
import { attention, attentionOp } from "../../src/ops/attention.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { softmax } from "../../src/ops/softmax.ts";
import type { Device } from "../../src/tensor/device.ts";
import { elementsOf, type Shape } from "../../src/tensor/shape.ts";
import { assertNear, compareCalls, evaluate, type Input, normals, weigh } from "../compareCalls.ts";
import { openDevices, openGpus } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

/** Sums of a few hundred products near 1, and exponentials of them, in float32. */
const tolerance = 5e-5;

const devices = await openDevices();
const gpus = await openGpus({ defaultLimits: true, subgroups: false });
after(() => Promise.all([...devices, ...gpus].map((device) => device.dispose())));

interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly keys: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
}

/** q, k, v of normal numbers. */
function inputsOf({ batch, length, keys, kvHeads, group, headDim }: Sizes): Input[] {
  return [
    normals(1, batch, length, kvHeads * group, headDim),
    normals(2, batch, keys, kvHeads, headDim),
    normals(3, batch, keys, kvHeads, headDim),
  ];
}

const at = (position: number): Input => ({ shape: [1], values: [position], integer: true });

test("two keys are weighed by the exponentials of their scores, and the first query sees only the first", async () => {
  for (const device of devices) {
    const tensor = (...values: number[]) => device.tensor(values, [1, 2, 1, 1]);
    const y = await attention(tensor(5, 2), tensor(1, 3), tensor(10, 20)).read();
    assert.equal(y[0], 10, device.name);
    const [a, b] = [Math.exp(2), Math.exp(6)]; // √headDim is 1
    assert.ok(Math.abs(y[1] - (10 * a + 20 * b) / (a + b)) < 1e-5, device.name);
  }
});

test("it is softmax(q kᵀ / √headDim) v under a causal mask", async () => {
  const device = exactDevice();
  const [length, headDim] = [7, 4];
  const [q, k, v] = [1, 2, 3].map((seed) => {
    const { values } = normals(seed, length, headDim);
    return device.tensor(values, [length, headDim]);
  });
  const y = await attention(...heads(q, k, v)).read();
  const scores = await scale(matmul(q, k, { transposeB: true }), 1 / Math.sqrt(headDim)).read();
  const masked = scores.map((s, at) => (at % length > Math.floor(at / length) ? -Infinity : s));
  const expected = await matmul(softmax(device.tensor(masked, [length, length])), v).read();
  for (const [i, value] of y.entries()) assert.ok(Math.abs(value - expected[i]) < 1e-12);

  function heads<Some extends { reshaped(shape: Shape): Some }>(...tensors: Some[]): [Some, Some, Some] {
    return tensors.map((tensor) => tensor.reshaped([1, length, 1, headDim])) as [Some, Some, Some];
  }
});

test("the gradient agrees with finite differences, with grouped heads and keys that nobody sees", async () => {
  const sizes = { batch: 2, length: 3, keys: 6, kvHeads: 2, group: 2, headDim: 3 };
  const inputs = inputsOf(sizes);
  for (const position of [undefined, 1]) {
    const gap = await gradcheck(
      (q, k, v) => attention(q, k, v, position ? { position: q.device.integers([position]) } : {}),
      inputs.map(({ shape }) => shape),
      (input, i) => inputs[input].values[i],
      weigh,
    );
    assert.ok(gap < 1e-8, `gap ${gap}`);
  }
});

const anySizes = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  length: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(64, 97)),
  before: fc.constantFrom(0, 1, 63, 64),
  room: fc.constantFrom(0, 1, 70),
  kvHeads: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 2 }),
  headDim: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(33, 40)),
});

test("every device computes what the plain loops compute, forward and backward", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(anySizes, async ({ before, room, ...sizes }) => {
      const keys = before + sizes.length + room;
      const position = room > 0 || sizes.batch > 1 ? at(before) : null;
      const inputs = [...inputsOf({ ...sizes, keys }), position];
      await compareCalls(device, attentionOp, inputs, null, tolerance);
    });
    await fc.assert(agrees, {
      seed: 2,
      numRuns: device.name === "plain" ? 2 : device.name === "webgpu" ? 2 : 12,
    });
  }
});

/** Rows `from` to `to` of an input (1, rows, …). */
function cut({ shape: [, , ...rest], values }: Input, from: number, to: number): Input {
  const row = elementsOf(rest);
  return { shape: [1, to - from, ...rest], values: Array.from(values).slice(from * row, to * row) };
}

test("so does the GPU for few queries on many keys, by chunks, and for many channels", async () => {
  for (const gpu of gpus) {
    const few = inputsOf({ batch: 2, length: 3, keys: 300, kvHeads: 2, group: 2, headDim: 20 });
    for (const position of [null, at(100)]) {
      const found = await forward(gpu, [...few, position]);
      assertNear("chunks", found, await forward(exactDevice(), [...few, position]), tolerance);
    }
    const wide = inputsOf({ batch: 1, length: 70, keys: 70, kvHeads: 1, group: 2, headDim: 72 });
    await compareCalls(gpu, attentionOp, [...wide, null], null, tolerance);
  }

  function forward(device: Device, [q, k, v, position]: (Input | null)[]) {
    const [a, b, c] = [q!, k!, v!].map(({ shape, values }) => device.tensor(values, shape)); // three are there
    return attention(a, b, c, position ? { position: device.integers(position.values) } : {}).read();
  }
});

test("a NaN key spoils the chunks' queries that see it, and no other", async () => {
  const [q, k, v] = inputsOf({ batch: 1, length: 2, keys: 200, kvHeads: 1, group: 1, headDim: 8 });
  const spoilt = { ...k, values: Float64Array.from(k.values).fill(NaN, 199 * 8) };
  for (const device of devices) {
    const [a, b, c] = [q, spoilt, v].map(({ shape, values }) => device.tensor(values, shape));
    const y = await attention(a, b, c).read();
    assert.deepEqual([Number.isNaN(y[0]), Number.isNaN(y[8])], [false, true], device.name);
  }
});

test("queries whole, in pieces and one by one have the same bits (on the GPU up to rounding), whatever lies in the cache beyond them", async () => {
  const [length, capacity] = [150, 200];
  const [q, k, v] = inputsOf({ batch: 1, length, keys: capacity, kvHeads: 2, group: 2, headDim: 20 });
  for (const device of devices) {
    const place = ({ shape, values }: Input) => device.tensor(Float32Array.from(values), shape);
    const whole = await attention(place(q), place(cut(k, 0, length)), place(cut(v, 0, length))).read();
    for (const ends of [
      [1, 97, 128, 150],
      [64, 65, 66, 67, 150],
    ]) {
      const pieces: number[] = [];
      for (const [i, end] of ends.entries()) {
        const start = ends[i - 1] ?? 0;
        const filled = (cache: Input) =>
          place({ ...cache, values: Array.from(cache.values).fill(NaN, end * 2 * 20) });
        const position = device.integers([start]);
        const y = attention(place(cut(q, start, end)), filled(k), filled(v), { position });
        pieces.push(...(await y.read()));
      }
      // The GPU adds few queries' keys up by chunks, many queries' by tiles.
      if (device.name === "webgpu") assertNear("webgpu", Float32Array.from(pieces), whole, tolerance);
      else assert.deepEqual(pieces, [...whole], device.name);
    }
  }
});

test("a sequence has the same bits alone and in a batch, gradients included", async () => {
  const sizes = { batch: 3, length: 70, keys: 100, kvHeads: 1, group: 2, headDim: 16 };
  for (const device of devices) {
    const together = inputsOf(sizes);
    const alone = together.map(({ shape: [, ...rest], values }) => ({
      shape: [1, ...rest],
      values: Array.from(values).slice(0, elementsOf(rest)),
    }));
    const whole = await evaluate(device, attentionOp, [...together, null], null);
    const single = await evaluate(device, attentionOp, [...alone, null], null);
    for (const name of ["y", "logSum", "gradient of q", "gradient of k", "gradient of v"]) {
      const values = single.get(name)!; // named as the op names them
      assert.deepEqual(values, whole.get(name)!.slice(0, values.length), `${device.name}: ${name}`);
    }
  }
});

test("NaN in a token reaches those after it and none before, in outputs and gradients", async () => {
  const length = 140;
  const sizes = { batch: 1, length, keys: length, kvHeads: 1, group: 1, headDim: 8 };
  const names = ["y", "gradient of q", "gradient of k", "gradient of v"];
  const spoilt = 75;
  for (const input of [0, 1, 2]) {
    const inputs: (Input | null)[] = [...inputsOf(sizes), null];
    const values = Float64Array.from(inputs[input]!.values).fill(NaN, spoilt * 8, spoilt * 8 + 8); // of the first three
    inputs[input] = { ...inputs[input]!, values };
    const rows = async (device: Device) => {
      const found = await evaluate(device, attentionOp, inputs, null);
      return names.map((name) => {
        const numbers = found.get(name)!; // named as the op names them
        return Array.from({ length }, (_, i) => (Number.isNaN(numbers[i * 8]) ? "x" : ".")).join("");
      });
    };
    const expected = await rows(exactDevice());
    assert.match(expected[0], input === 0 ? /^\.{75}x\.{64}$/ : /^\.{75}x{65}$/);
    for (const device of devices) assert.deepEqual(await rows(device), expected, device.name);
  }
});

test("large scores do not overflow, and a query beyond the last key gives NaN", async () => {
  for (const device of devices) {
    const tensor = (...values: number[]) => device.tensor(values, [1, values.length, 1, 1]);
    const large = await attention(tensor(300, 300), tensor(300, 200), tensor(1, 2)).read();
    assert.deepEqual([...large], [1, 1], device.name);
    const [q, k] = [tensor(1, 1), tensor(1, 1, 1)];
    const beyond = await attention(q, k, k, { position: device.integers([2]) }).read();
    assert.deepEqual([...beyond], [1, NaN], device.name);
  }
});

test("shapes that do not fit are refused by name", () => {
  const refuses = (shapes: Shape[], message: string) =>
    assert.throws(() => attentionOp.shapes([...shapes, null, null].slice(0, 4), null), {
      name: "ShapeError",
      message: `attention: ${message}`,
    });
  const q = [2, 5, 4, 8];
  refuses([[5, 4, 8], q, q], "q must be (batch, length, heads, headDim), got (5, 4, 8)");
  refuses([q, [2, 5, 4, 7], q], "k must be (batch, keys, kvHeads, headDim) = (2, 5, 4, 8), got (2, 5, 4, 7)");
  refuses([q, q, [2, 6, 4, 8]], "v must be (batch, keys, kvHeads, headDim) = (2, 5, 4, 8), got (2, 6, 4, 8)");
  refuses([q, [2, 4, 4, 8], [2, 4, 4, 8]], "keys must be at least length = 5, got 4");
  refuses([q, [2, 5, 3, 8], [2, 5, 3, 8]], "heads must be a multiple of kvHeads = 3, got 4");
});
