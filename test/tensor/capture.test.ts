import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import { exp, sigmoid, tanh } from "../../src/ops/activation.ts";
import { add, addScalar, mul, scale, sub } from "../../src/ops/arithmetic.ts";
import { assign } from "../../src/ops/assign.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { concat, slice, transpose } from "../../src/ops/reshape.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { capture } from "../../src/tensor/capture.ts";
import type { Device } from "../../src/tensor/device.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import { scope } from "../../src/tensor/scope.ts";
import { tensorsIn, type Tensor } from "../../src/tensor/tensor.ts";
import { normals } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const used = ({ backend }: Device) => (backend instanceof CpuBackend ? backend.used() : 0);

/** Every number of a result, in order. */
async function numbersOf(result: unknown): Promise<number[][]> {
  return Promise.all(tensorsIn(result).map(async (tensor) => [...(await tensor.read())]));
}

/** Steps of a random computation on (rows, columns): each makes a tensor of that shape from two earlier ones. */
const steps: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
  add,
  sub,
  mul,
  (a) => tanh(a),
  (a) => sigmoid(a),
  (a) => scale(a, -0.7),
  (a, b) => add(a, mean(b, 0)),
  (a, b) => mul(a, reshape(mean(b, 1), [b.shape[0], 1])),
  (a) => reshape(transpose(a), a.shape),
  (a, b) => slice(concat([a, b], 0), 0, 1, 1 + a.shape[0]),
];

const computations = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 15 });

function compute(u: Tensor, w: Tensor, recipe: readonly (readonly [number, number, number])[]): Tensor {
  const made = [u, w];
  for (const [step, a, b] of recipe)
    made.push(steps[step % steps.length](made[a % made.length], made[b % made.length]));
  return mean(mul(made[made.length - 1], w));
}

test("a replay gives the bits of running eagerly, gradients included, for any numbers written between", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(
        computations,
        fc.constantFrom([3, 5], [40, 33], [300, 110]),
        async (recipe, [rows, columns]) => {
          const [u, w] = [1, 2].map((seed) =>
            device.tensor(normals(seed, rows, columns).values, [rows, columns]),
          );
          const pass = () => gradients([u, w], () => compute(u, w, recipe));
          const program = capture(device, pass);
          for (const seed of [3, 4]) {
            u.write(normals(seed, rows, columns).values);
            program.run();
            assert.deepEqual(await numbersOf(program.result), await numbersOf(pass()), device.name);
          }
          program.free();
        },
      ),
      { numRuns: 15 },
    );
  }
});

test("nothing is computed before run(), and each run computes anew", async () => {
  for (const device of devices) {
    const [u, h] = [device.tensor([1]), device.tensor([5])];
    const program = capture(device, () => {
      assign(h, add(h, u));
      return scale(u, 2);
    });
    assert.equal(await h.item(), 5);
    program.run();
    u.write([10]);
    program.run();
    assert.deepEqual([await h.item(), await program.result.item()], [16, 20], device.name);
    program.free();
  }
});

test("calls whose results nobody needs are dropped, those that update something outside stay", () => {
  for (const device of devices) {
    const [u, h] = [device.zeros([8]), device.zeros([8])];
    const program = capture(device, () => {
      exp(exp(u)); // dead
      const next = add(h, u);
      assign(h, next);
      const inside = scale(u, 2);
      assign(inside, u); // updates what only the next line reads
      return [sum(inside)];
    });
    const names = program.calls.map(({ op }) => op.name);
    assert.deepEqual(names, ["add", "assign", "scale", "assign", "sum"], device.name);
    program.free();
  }
});

test("a result read from a tensor that was updated in place holds the update", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    const program = capture(device, () => {
      const y = scale(u, 10);
      const before = addScalar(y, 0);
      assign(y, u);
      return { before, y };
    });
    program.run();
    assert.deepEqual(await numbersOf(program.result), [
      [10, 20],
      [1, 2],
    ]);
    program.free();
  }
});

test("results may share memory, be constants, or be tensors of outside", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2, 3, 4]);
    const program = capture(device, () => {
      const y = scale(u, 2);
      return [y, reshape(y, [2, 2]), device.tensor([7]), u];
    });
    program.run();
    const [y, square, constant, same] = program.result;
    assert.equal(y.buffer, square.buffer);
    assert.deepEqual(await numbersOf([y, square, constant]), [[2, 4, 6, 8], [2, 4, 6, 8], [7]]);
    assert.equal(same, u);
    program.free();
  }
});

test("the arena reuses memory: a long chain needs no more than a short one", () => {
  for (const device of devices) {
    const u = device.zeros([1000]);
    const chain = (length: number) => () => {
      let y = u;
      for (let i = 0; i < length; i++) y = exp(y);
      return sum(y);
    };
    const [short, long] = [capture(device, chain(3)), capture(device, chain(50))];
    assert.equal(long.arenaBytes, short.arenaBytes);
    assert.ok(long.unplannedBytes > 20 * long.arenaBytes);
    short.free();
    long.free();
  }
});

test("free() gives back all that the program held, which is what `bytes` said", () => {
  for (const device of devices) {
    const u = device.zeros([700, 64]);
    const before = used(device);
    const program = capture(device, () => gradients([u], () => sum(mul(exp(u), device.zeros([64])))));
    if (device.backend instanceof CpuBackend) {
      const held = used(device) - before;
      assert.ok(
        held >= program.bytes && held < program.bytes + 6 * 64,
        `${held} held, ${program.bytes} said`,
      );
    }
    program.free();
    assert.equal(used(device), before, device.name);
    program.free();
    assert.equal(used(device), before, `${device.name}: freed twice`);
  }
});

test("a captured program outlives the scope it was made in, and tensors freed while it needs them", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    const before = used(device);
    const program = scope(device, () => {
      const v = scale(u, 3); // computed eagerly; the scope gives it back
      return capture(device, () => scale(v, 2));
    });
    program.run();
    assert.deepEqual([...(await program.result.read())], [6, 12], device.name);
    const held = used(device);
    program.free();
    assert.ok(used(device) === before || held === 0, device.name);
  }
});

test("reading or writing inside a captured function what it computes is refused", () => {
  for (const device of devices) {
    const u = device.tensor([1]);
    const message = (verb: string) =>
      `capture: a tensor computed inside a captured function has no numbers to ${verb}. ` +
      "Return it from the function and read it after run().";
    const captured = (fn: (y: Tensor) => unknown) => () => capture(device, () => void fn(exp(u)));
    assert.throws(
      captured((y) => y.read()),
      { name: "DeviceError", message: message("read") },
    );
    assert.throws(
      captured((y) => y.write([1])),
      { name: "DeviceError", message: message("write") },
    );
  }
});

test("a tensor that stayed inside is refused afterwards too; freeing it does nothing", () => {
  for (const device of devices) {
    const u = device.tensor([1]);
    let inside = u;
    const program = capture(device, () => {
      inside = exp(u);
      inside.free();
      return sum(inside);
    });
    program.run();
    assert.throws(() => inside.read(), { name: "DeviceError", message: /no numbers to read\. Return it/ });
    assert.throws(() => exp(inside), { name: "DeviceError", message: /no numbers to use\. Return it/ });
    assert.throws(() => capture(device, () => exp(inside)), { name: "DeviceError" });
    inside.free();
    program.free();
  }
});

test("tensors of outside can be read and written inside", async () => {
  for (const device of devices) {
    const u = device.tensor([1]);
    const program = capture(device, () => {
      u.write([4]);
      return scale(u, 2);
    });
    program.run();
    assert.equal(await program.result.item(), 8);
    program.free();
  }
});

test("an error inside leaves the device usable and its memory as it was", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2]);
    const before = used(device);
    const broken = () => capture(device, () => add(exp(u), device.zeros([3])));
    assert.throws(broken, { name: "ShapeError" });
    assert.equal(used(device), before, device.name);
    assert.equal(device.recording, null);
    assert.deepEqual([...(await scale(u, 2).read())], [2, 4]);
  }
});

test("capture inside capture is refused", () => {
  for (const device of devices) {
    const u = device.tensor([1]);
    const nested = () => capture(device, () => capture(device, () => exp(u)).result);
    assert.throws(nested, {
      name: "DeviceError",
      message: "capture: called inside a captured function. Call it before.",
    });
  }
});

test("a program without calls runs", () => {
  for (const device of devices) {
    const program = capture(device, () => null);
    program.run();
    assert.equal(program.arenaBytes, 0);
    program.free();
  }
});
