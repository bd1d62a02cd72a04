import assert from "node:assert/strict";
import { after, test } from "node:test";
import { addScalar } from "../../src/ops/arithmetic.ts";
import { assign } from "../../src/ops/assign.ts";
import { advance, assignAt, assignAtOp } from "../../src/ops/cache.ts";
import { capture } from "../../src/tensor/capture.ts";
import { compareCalls, normals } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

test("rows stand in the cache from the position on, in each sequence; what does not fit is left out", async () => {
  for (const device of devices) {
    const write = async (position: number) => {
      const cache = device.zeros([2, 3, 2]);
      const rows = device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]);
      assignAt(cache, rows, device.integers([position]));
      return [...(await cache.read())];
    };
    assert.deepEqual(await write(1), [0, 0, 1, 2, 3, 4, 0, 0, 5, 6, 7, 8], device.name);
    assert.deepEqual(await write(2), [0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 5, 6], device.name);
    assert.deepEqual(await write(-1), [3, 4, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0], device.name);
    assert.deepEqual(
      await write(3),
      Array.from({ length: 12 }, () => 0),
      device.name,
    );
  }
});

test("every device writes what the plain loops write, at sizes of several tasks", async () => {
  for (const device of devices) {
    for (const position of [0, 3, 40]) {
      const at = { shape: [1], values: [position], integer: true };
      const inputs = [normals(1, 3, 50, 7, 41), normals(2, 3, 20, 7, 41), at];
      await compareCalls(device, assignAtOp, inputs, null, 0);
    }
  }
});

test("a captured program writes one row after the other", async () => {
  for (const device of devices) {
    const [cache, position, row] = [
      device.zeros([1, 4, 1]),
      device.integers([0]),
      device.tensor([1], [1, 1, 1]),
    ];
    const program = capture(device, () => {
      assignAt(cache, row, position);
      assign(row, addScalar(row, 1));
      assign(position, advance(position, 1));
    });
    for (let i = 0; i < 3; i++) program.run();
    assert.deepEqual([...(await cache.read())], [1, 2, 3, 0], device.name);
    assert.equal(await position.item(), 3);
    program.free();
  }
});

test("rows that are not those of the cache are refused", () => {
  const device = exactDevice();
  const refuses = (cache: number[], rows: number[], message: string) =>
    assert.throws(() => assignAt(device.zeros(cache), device.zeros(rows), device.integers([0])), {
      name: "ShapeError",
      message: `assignAt: ${message}`,
    });
  refuses([2, 3], [2, 1], "cache must be (batch, capacity, ...), got (2, 3)");
  refuses([2, 3, 5], [2, 1, 4], "rows must be (2, at most 3, 5), got (2, 1, 4)");
  refuses([2, 3, 5], [2, 4, 5], "rows must be (2, at most 3, 5), got (2, 4, 5)");
  refuses([2, 3, 5], [1, 1, 5], "rows must be (2, at most 3, 5), got (1, 1, 5)");
});
