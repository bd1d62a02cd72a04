import assert from "node:assert/strict";
import { after, test } from "node:test";
import { add, addScalar, scale } from "../../src/ops/arithmetic.ts";
import { assign } from "../../src/ops/assign.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { capture } from "../../src/tensor/capture.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

test("assign overwrites the target and leaves the value alone, at any size", async () => {
  for (const device of devices) {
    for (const n of [1, 7, 5000, 40_001]) {
      const value = device.tensor(Float32Array.from({ length: n }, (_, i) => i - 3));
      const target = device.zeros([n]);
      assign(target, value);
      assert.deepEqual(await target.read(), await value.read(), device.name);
      assert.equal((await value.read())[n - 1], n - 4);
    }
  }
});

test("a tensor assigned to itself stays as it is", async () => {
  for (const device of devices) {
    const h = device.tensor([1, 2, 3]);
    assign(h, h);
    assign(h, h.reshaped([3]));
    assert.deepEqual([...(await scale(h, 2).read())], [2, 4, 6], device.name);
  }
});

test("assign keeps every bit of NaN, -0 and integers", async () => {
  for (const device of devices) {
    const target = device.zeros([4]);
    assign(target, device.tensor([NaN, -0, Infinity, 2 ** -149]));
    assert.deepEqual([...(await target.read())], [NaN, -0, Infinity, 2 ** -149]);
    const tokens = device.integers([0, 0, 0]);
    assign(tokens, device.integers([2 ** 31 - 1, -1, 0x7fc00001]));
    assert.deepEqual([...(await tokens.read())], [2 ** 31 - 1, -1, 0x7fc00001], device.name);
  }
});

test("a captured state goes on from where the last run left it", async () => {
  for (const device of devices) {
    const [h, u] = [device.tensor([1, 1]), device.tensor([0, 1])];
    const program = capture(device, () => {
      const next = add(scale(h, 2), u);
      assign(h, next);
      return next;
    });
    for (let i = 0; i < 10; i++) program.run();
    assert.deepEqual([...(await h.read())], [1024, 2047], device.name);
    assert.deepEqual([...(await program.result.read())], [1024, 2047], device.name);
    program.free();
  }
});

test("a captured token can be fed back", async () => {
  for (const device of devices) {
    const token = device.integers([0]);
    const scores = device.zeros([4]);
    const program = capture(device, () => {
      assign(scores, addScalar(scores, 1));
      assign(token, argmax(scores));
    });
    scores.write([0, 0, 5, 0]);
    program.run();
    assert.equal(await token.item(), 2, device.name);
    program.free();
  }
});

test("what does not fit is named", () => {
  const device = exactDevice();
  assert.throws(() => assign(device.zeros([2, 3]), device.zeros([3, 2])), {
    name: "ShapeError",
    message: "assign: value must have the shape of target, (2, 3), got (3, 2)",
  });
  assert.throws(() => assign(device.zeros([2]), device.integers([1, 2])), {
    name: "ShapeError",
    message: "assign: value must be f64, got i32",
  });
  assert.throws(() => assign(device.integers([1, 2]), device.zeros([2])), {
    name: "ShapeError",
    message: "assignIntegers: value must be i32, got f64",
  });
});
