import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import { exp } from "../../src/ops/activation.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import type { Device } from "../../src/tensor/device.ts";
import { scope } from "../../src/tensor/scope.ts";
import { openDevices } from "../devices.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));
const cpuDevices = devices.filter((device) => device.backend instanceof CpuBackend);

/** Garbage is collected between awaits only, so differences within one synchronous stretch are exact. */
const used = (device: Device) => (device.backend as CpuBackend).used();

test("a scope gives back the memory of all that it made, and the result stays", async () => {
  assert.ok(cpuDevices.length > 0);
  for (const device of cpuDevices) {
    const u = device.tensor(new Float32Array(1000).fill(0.5));
    const before = used(device);
    const y = scope(device, () => sum(mul(exp(u), exp(u))));
    assert.equal(used(device) - before, 64, device.name); // one number, in one cache line
    const kept = y;
    assert.ok(Math.abs((await kept.item()) / (1000 * Math.E) - 1) < 1e-5);
  }
});

test("results may be arrays, maps and objects of tensors, and tensors of outside", async () => {
  for (const device of cpuDevices) {
    const u = device.tensor([1, 2]);
    const before = used(device);
    const result = scope(device, () => ({
      list: [add(u, u), [mul(u, u)]] as const,
      map: gradients([u], () => mul(u, u)).gradients,
      u,
      count: 3,
    }));
    assert.equal(used(device) - before, 3 * 64);
    assert.deepEqual([...(await result.list[0].read())], [2, 4]);
    assert.deepEqual([...(await result.list[1][0].read())], [1, 4]);
    assert.deepEqual([...(await result.map.get(u)!.read())], [2, 4]);
    assert.deepEqual([...(await u.read())], [1, 2]);
  }
});

test("what an inner scope returns belongs to the outer one", () => {
  for (const device of cpuDevices) {
    const u = device.zeros([100]);
    const before = used(device);
    scope(device, () => {
      const inside = used(device);
      const y = scope(device, () => exp(exp(u)));
      assert.equal(used(device) - inside, 448); // 400 bytes in whole lines
      exp(y);
    });
    assert.equal(used(device), before, device.name);
  }
});

test("two hundred training-like steps use no more memory than one", () => {
  for (const device of cpuDevices) {
    const w = device.tensor(new Float32Array(5000).fill(0.1));
    const before = used(device);
    for (let step = 0; step < 200; step++)
      scope(device, () => void gradients([w], () => sum(exp(mul(w, w)))));
    assert.equal(used(device), before, device.name);
  }
});

test("an error gives the memory back too, and the device goes on", async () => {
  for (const device of cpuDevices) {
    const u = device.zeros([100]);
    const before = used(device);
    const broken = () => scope(device, () => add(exp(u), exp(device.zeros([3]))));
    assert.throws(broken, { name: "ShapeError" });
    assert.equal(used(device), before, device.name);
    assert.equal(device.allocated, null);
    assert.equal((await scope(device, () => exp(u)).read())[99], 1);
  }
});

test("a tensor freed by hand inside a scope is not freed again", () => {
  for (const device of cpuDevices) {
    const u = device.zeros([100]);
    const before = used(device);
    scope(device, () => {
      exp(u).free();
      const other = exp(u); // takes the place of the freed one
      other.free();
      other.free();
    });
    assert.equal(used(device), before, device.name);
  }
});

test("a tensor that its scope freed is refused, not read as what now lies there", () => {
  for (const device of cpuDevices) {
    const u = device.zeros([4]);
    let lost = u;
    scope(device, () => {
      lost = exp(u);
    });
    const before = used(device);
    const message = `${device.name}: the tensor was freed and then used again`;
    assert.throws(() => exp(lost), { name: "DeviceError", message });
    assert.equal(used(device) - before, 64, "the result that exp made room for, and nothing else");
  }
});
