import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { crossEntropy, crossEntropyOp } from "../../src/ops/crossEntropy.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { compareCalls, evaluate, integers, normals } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));
const ignore = -100;
const targetsOf = (...values: number[]) => ({ shape: [values.length], values, integer: true });

test("the loss is the mean of −log softmax(logits)[target] over the targets that count", async () => {
  const device = exactDevice();
  const logits = device.tensor([0, 0, 0, Math.log(3), 9, 9], [1, 3, 2]);
  const targets = device.integers([0, 1, ignore], [1, 3]);
  const { value, gradients: grads } = gradients([logits], () => crossEntropy(logits, targets));
  assert.deepEqual(value.shape, [1]);
  assert.ok(Math.abs((await value.item()) - (Math.log(2) + Math.log(4 / 3)) / 2) < 1e-15);
  const expected = [-0.25, 0.25, 0.125, -0.125, 0, 0];
  for (const [i, g] of (await grads.get(logits)!.read()).entries())
    assert.ok(Math.abs(g - expected[i]) < 1e-15);
});

test("the gradients are the slopes of the loss, with any target ignored", async () => {
  const loss = (ignore: number) => (logits: Parameters<typeof crossEntropy>[0]) =>
    crossEntropy(logits, logits.device.integers([3, 0, 1, 0], [2, 2]), { ignore });
  const values = (_input: number, i: number) => 2 * Math.sin(3 * i);
  for (const ignored of [-100, 0]) {
    assert.ok((await gradcheck(loss(ignored), [[2, 2, 4]], values, ([y]) => y)) < 1e-8);
  }
});

test("every device computes what the plain loops compute, for vocabularies of 1 to 50 280", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 70 }),
        fc.nat(),
        (rows, n, seed) =>
          compareCalls(device, crossEntropyOp, [normals(seed, rows, n), integers(seed, n, rows)], {
            ignore: 0,
          }),
      ),
      { numRuns: device.name === "webgpu" ? 4 : 20 }, // the GPU compiles for each vocabulary
    );
    const narrow = [normals(1, 1300, 16), integers(2, 16, 1300)];
    await compareCalls(device, crossEntropyOp, narrow, { ignore: 3 });
    const many = [normals(1, 300, 1030), integers(2, 1030, 300)];
    await compareCalls(device, crossEntropyOp, many, { ignore: 3 });
    const large = [normals(1, 3, 50_280), integers(2, 50_280, 3)];
    await compareCalls(device, crossEntropyOp, large, { ignore });
  }
});

test("logits in the thousands neither overflow nor lose the loss", async () => {
  const logits = { shape: [2, 3], values: [5000, 4990, 0, -5000, -5001, -9000] };
  for (const device of devices) {
    const { loss } = Object.fromEntries(
      await evaluate(device, crossEntropyOp, [logits, targetsOf(1, 0)], { ignore }),
    );
    const expected = (10 + Math.log1p(Math.exp(-10)) + Math.log1p(Math.exp(-1))) / 2;
    assert.ok(Math.abs(loss[0] - expected) < 1e-3, `${device.name}: ${loss[0]}`); // 5000 has 2⁻¹¹ between its floats
  }
});

test("when all targets are ignored the loss and the gradient are 0, whatever the logits", async () => {
  const logits = { shape: [2, 2], values: [1, NaN, Infinity, 2] };
  for (const device of devices) {
    const inputs = [logits, targetsOf(ignore, ignore)];
    const found = await evaluate(device, crossEntropyOp, inputs, { ignore });
    assert.deepEqual([...found.get("loss")!], [0], device.name);
    assert.deepEqual([...found.get("gradient of logits")!], [0, 0, 0, 0], device.name);
  }
});

test("a NaN logit makes the loss NaN, and −∞ is a token of probability 0", async () => {
  for (const device of devices) {
    const lossOf = async (values: number[], target: number) => {
      const inputs = [{ shape: [1, values.length], values }, targetsOf(target)];
      return (await evaluate(device, crossEntropyOp, inputs, { ignore })).get("loss")![0];
    };
    assert.equal(await lossOf([1, NaN, 2], 0), NaN, device.name);
    assert.equal(await lossOf([1, 2, Infinity], 0), NaN, device.name);
    assert.equal(await lossOf([1, -Infinity, 2], 1), Infinity, device.name);
    assert.ok(Math.abs((await lossOf([1, -Infinity, 1], 0)) - Math.LN2) < 1e-6, device.name);
  }
});

test("a target outside the vocabulary throws on the plain device and is NaN in its row in the kernels", async () => {
  const logits = { shape: [2, 2], values: [0, 0, 0, 0] };
  for (const device of devices) {
    for (const target of [-1, 2]) {
      const run = evaluate(device, crossEntropyOp, [logits, targetsOf(target, 0)], { ignore });
      if (device.name === "plain") {
        const message =
          `crossEntropy: each target must be from 0 to 1, got ${target}. ` +
          "Does the tokenizer belong to this model?";
        await assert.rejects(run, { name: "ShapeError", message });
        continue;
      }
      const found = await run;
      assert.ok(Number.isNaN(found.get("loss")![0]), device.name);
      assert.deepEqual([...found.get("gradient of logits")!], [NaN, NaN, -0.25, 0.25], device.name);
    }
  }
});

test("targets of another shape are refused", () => {
  const device = exactDevice();
  assert.throws(() => crossEntropy(device.zeros([2, 3, 5]), device.integers([0, 0, 0], [3])), {
    name: "ShapeError",
    message: "crossEntropy: targets must be (2, 3), the shape of logits without the vocabulary, got (3)",
  });
});
