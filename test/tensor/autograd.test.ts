import assert from "node:assert/strict";
import { after, test } from "node:test";
import { exp, sigmoid } from "../../src/ops/activation.ts";
import { add, mul, scale } from "../../src/ops/arithmetic.ts";
import { assign } from "../../src/ops/assign.ts";
import { argmax, sum } from "../../src/ops/reduce.ts";
import { concat, split } from "../../src/ops/reshape.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

/** The gradient of `fn` with respect to `u`, as numbers. */
async function slopeOf(u: Tensor, fn: () => Tensor): Promise<number[]> {
  return [...(await gradients([u], fn).gradients.get(u)!.read())]; // the tests ask where there is one
}

test("the value is what the function returned, and its elements are summed for the gradient", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2, 3]);
    const { value, gradients: grads } = gradients([u], () => mul(u, device.tensor([4, 5, 6])));
    assert.deepEqual([...(await value.read())], [4, 10, 18]);
    assert.deepEqual([...(await grads.get(u)!.read())], [4, 5, 6], device.name);
  }
});

test("a tensor used in several places gets the sum of their gradients", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    assert.deepEqual(
      await slopeOf(u, () => add(add(scale(u, 3), mul(u, device.tensor([5, 7]))), u)),
      [9, 11],
    );
  }
});

test("an op that is given one tensor twice adds both of its gradients", async () => {
  for (const device of devices) {
    const u = device.tensor([3, -4]);
    assert.deepEqual(await slopeOf(u, () => mul(u, u)), [6, -8], device.name);
    assert.deepEqual(await slopeOf(u, () => mul(mul(u, u), u)), [27, 48], device.name);
    assert.deepEqual(await slopeOf(u, () => concat([u, u, u], 0)), [3, 3], device.name);
  }
});

test("tensors that the value does not depend on have no gradient, though they were used", async () => {
  for (const device of devices) {
    const [u, unused, dead] = [device.tensor([1]), device.tensor([2]), device.tensor([3])];
    const grads = gradients([u, unused, dead], () => {
      exp(dead);
      return scale(u, 2);
    }).gradients;
    assert.deepEqual([...grads.keys()], [u]);
    assert.equal(gradients([unused], () => exp(u)).gradients.size, 0);
  }
});

test("only the wanted tensors have gradients, those in between too if they are wanted", async () => {
  for (const device of devices) {
    const [u, w] = [device.tensor([2]), device.tensor([10])];
    let v = u;
    gradients([u], () => (v = mul(u, w)));
    assert.deepEqual([...gradients([u], () => mul(u, w)).gradients.keys()], [u]);
    const between = gradients([u, v], () => sum(mul(v, v))).gradients;
    assert.deepEqual([...(await between.get(v)!.read())], [40]);
    assert.equal(between.has(u), false); // v was computed outside of this function
  }
});

test("a reshape passes its gradient on, beside other uses of the tensor in either order", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2, 3, 4], [2, 2]);
    const w = device.tensor([5, 6, 7, 8]);
    const flat = () => mul(reshape(u, [4]), w);
    assert.deepEqual(await slopeOf(u, flat), [5, 6, 7, 8], device.name);
    assert.deepEqual(await slopeOf(u, () => add(sum(flat()), sum(u))), [6, 7, 8, 9], device.name);
    assert.deepEqual(await slopeOf(u, () => add(sum(u), sum(flat()))), [6, 7, 8, 9], device.name);
    assert.deepEqual(await slopeOf(u, () => add(flat(), flat())), [10, 12, 14, 16], device.name);
  }
});

test("a tensor in between that is reshaped and used again gets both gradients once", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    const twice = () => {
      const v = scale(u, 10);
      const column = reshape(v, [2, 1]);
      return add(sum(mul(column, column)), sum(v)); // Σ v² + Σ v
    };
    assert.deepEqual(await slopeOf(u, twice), [210, 410], device.name);
    assert.deepEqual(await slopeOf(u, () => reshape(scale(u, 2), [2, 1])), [2, 2], device.name);
  }
});

test("a tensor and its reshape can both be wanted, and their gradients share no memory", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    const column = reshape(u, [2, 1]);
    const grads = gradients([u, column], () => add(sum(mul(column, column)), sum(u))).gradients;
    assert.deepEqual([...(await grads.get(u)!.read())], [1, 1], device.name);
    assert.deepEqual([...(await grads.get(column)!.read())], [2, 4], device.name);
  }
});

test("a recurrence of 10 000 steps is differentiated without recursion", async () => {
  for (const device of devices) {
    const a = device.tensor([0.999]);
    const u = device.tensor([1]);
    const { value, gradients: grads } = gradients([a, u], () => {
      let h = u;
      for (let t = 0; t < 10_000; t++) h = add(mul(a, h), u);
      return h;
    });
    // h = Σ aᵏ u for k = 0 … 10⁴
    const h = (1 - 0.999 ** 10_001) / 0.001;
    const slope = (h - 10_001 * 0.999 ** 10_000) / 0.001;
    const near = async (tensor: Tensor, expected: number) =>
      assert.ok(
        Math.abs((await tensor.item()) / expected - 1) < 1e-4,
        `${device.name}: ${await tensor.item()}`,
      );
    await near(value, h);
    await near(grads.get(u)!, h);
    await near(grads.get(a)!, slope);
  }
});

test("gradients are written into the tensors given for them, or added there", async () => {
  for (const device of devices) {
    const [u, w] = [device.tensor([1, 2]), device.tensor([3, 4])];
    const mine = new Map([[u, device.tensor([100, 100])]]);
    const product = () => mul(reshape(u, [2, 1]), reshape(w, [2, 1]));
    const written = gradients([u, w], product, { gradients: mine, accumulate: false }).gradients;
    assert.equal(written.get(u), mine.get(u));
    assert.deepEqual([...(await mine.get(u)!.read())], [3, 4], device.name);
    assert.deepEqual([...(await written.get(w)!.read())], [1, 2]);
    gradients([u], () => add(product(), product()), { gradients: mine, accumulate: true });
    assert.deepEqual([...(await mine.get(u)!.read())], [9, 12], device.name);
  }
});

test("an error inside leaves the device as it was", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    assert.throws(() => gradients([u], () => add(u, device.zeros([3]))), { name: "ShapeError" });
    assert.throws(
      () =>
        gradients([u], () => {
          throw new RangeError("mine");
        }),
      { name: "RangeError" },
    );
    assert.equal(device.tape, null);
    assert.deepEqual(await slopeOf(u, () => scale(u, 2)), [2, 2], device.name);
  }
});

test("ops in place run inside gradients and are not differentiated", async () => {
  for (const device of devices) {
    const [u, h] = [device.tensor([2]), device.tensor([0])];
    const slope = await slopeOf(u, () => {
      const y = mul(u, u);
      assign(h, y);
      return y;
    });
    assert.deepEqual([slope, await h.item()], [[4], 4]);
  }
});

test("what cannot be differentiated is named", () => {
  const device = exactDevice();
  const u = device.tensor([1, 2]);
  assert.throws(() => gradients([u], () => argmax(u)), {
    name: "ShapeError",
    message: "argmax: has no gradient. Use it outside gradients().",
  });
  assert.throws(() => gradients([u], () => gradients([u], () => sum(u)).value), {
    name: "ShapeError",
    message: "gradients: called inside gradients. Second derivatives are not supported.",
  });
  assert.throws(() => gradients([], () => sum(u)), {
    name: "ShapeError",
    message: "gradients: must be given at least one tensor, got none",
  });
});

test("an op that nothing wanted needs is not run backwards, whether it could or not", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    const slope = await slopeOf(u, () => {
      argmax(u);
      return sigmoid(split(reshape(scale(u, 0), [1, 2]), [1, 1])[0]);
    });
    assert.deepEqual(slope, [0, 0]);
  }
});
