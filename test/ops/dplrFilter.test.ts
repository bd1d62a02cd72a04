import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { bilinear } from "../../src/math/discretize.ts";
import { discreteDplr, truncatedReadout } from "../../src/math/dplr.ts";
import { matmul } from "../../src/math/linalg.ts";
import { dplrFilter } from "../../src/ops/dplrFilter.ts";
import { dplrReadout } from "../../src/ops/dplrReadout.ts";
import { dplrScan } from "../../src/ops/dplrScan.ts";
import { halfSystem, type HalfSystem } from "../../src/ops/dplrSystem.ts";
import type { Device } from "../../src/tensor/device.ts";
import { assertNear } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";
import { anySystems, systemInputs, type SystemSizes } from "./dplrSystems.ts";

/** Three ways to the same numbers in float64: rounding alone, times the length. */
const tolerance = 1e-10;
/** In float32: as in dplrSpectrum.test.ts. */
const tolerance32 = 1e-4;

let devices: Device[];
before(async () => {
  devices = [exactDevice(), ...(await openDevices())];
});
after(async () => {
  for (const device of devices) await device.dispose();
});

/** The systems in float64, one a channel. */
function systemsOf(sizes: SystemSizes): HalfSystem[] {
  const inputs = systemInputs(sizes).map(({ values }) => Float32Array.from(values));
  return Array.from({ length: sizes.channels }, (_, h) => halfSystem(inputs, { ...sizes }, h));
}

const readoutOf = ({ lambda, P, B, C, delta }: HalfSystem, length: number) =>
  truncatedReadout(C, discreteDplr(lambda, P, B, delta), length);

/** K by powers of a dense real Ā: of each pair, Re h and Im h. */
function densePowers({ lambda, P, B, C, delta }: HalfSystem, length: number): Float64Array {
  const N = lambda.length;
  const A = new Float64Array(N * N);
  for (let i = 0; i < N; i += 2) {
    A[i * N + i] = A[(i + 1) * N + i + 1] = lambda[i];
    A[(i + 1) * N + i] = lambda[i + 1];
    A[i * N + i + 1] = -lambda[i + 1];
  }
  for (const p of P) for (let at = 0; at < N * N; at++) A[at] -= 2 * p[Math.floor(at / N)] * p[at % N];
  const { Abar, Bbar } = bilinear(A, B, delta);
  let h = Bbar;
  return Float64Array.from({ length }, () => {
    const value = h.reduce((sum, v, i) => sum + (i % 2 === 0 ? 2 : -2) * C[i] * v, 0);
    h = matmul(Abar, h, N);
    return value;
  });
}

const anyLength = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 150 }));
const few = anySystems.map((sizes) => ({ ...sizes, n: Math.min(sizes.n, 12) }));

test("Cauchy = powers, diagonal plus low rank = dense: the filter is C Ā^l B̄", async () => {
  const agrees = fc.asyncProperty(few, anyLength, async (sizes, length) => {
    const systems = systemsOf(sizes);
    const expected = Float64Array.from(systems.flatMap((system) => [...densePowers(system, length)]));
    const Ctilde = systems.flatMap((system) => [...readoutOf(system, length)]);
    for (const device of devices) {
      const [lambda, P, B, C, delta] = systemInputs(sizes).map(({ shape, values }) =>
        device.tensor(values, shape),
      );
      const given = device.tensor(Ctilde, C.shape);
      const K = await dplrFilter(lambda, P, B, given, delta, { length }).read();
      assertNear(`${device.name}: K`, K, expected, device.float === "f64" ? tolerance : tolerance32);
    }
  });
  await fc.assert(agrees, { seed: 1, numRuns: 15 });
});

test("the recurrence with the readout of C̃ answers an impulse with the filter", async () => {
  const agrees = fc.asyncProperty(few, anyLength, async (sizes, length) => {
    const Ctilde = systemsOf(sizes).flatMap((system) => [...readoutOf(system, length)]);
    for (const device of devices) {
      const [lambda, P, B, C, delta] = systemInputs(sizes).map(({ shape, values }) =>
        device.tensor(values, shape),
      );
      const given = device.tensor(Ctilde, C.shape);
      const near = device.float === "f64" ? tolerance : tolerance32;
      const readout = dplrReadout(lambda, P, given, delta, { length });
      assertNear(`${device.name}: C`, await readout.read(), await C.read(), near);
      const impulse = device.tensor(
        Float64Array.from({ length: length * sizes.channels }, (_, i) => (i < sizes.channels ? 1 : 0)),
        [1, length, sizes.channels],
      );
      const y = await dplrScan(impulse, lambda, P, B, readout, delta).y.read();
      const K = await dplrFilter(lambda, P, B, given, delta, { length }).read();
      const byStep = K.map((_, i) => K[(i % sizes.channels) * length + Math.floor(i / sizes.channels)]);
      assertNear(`${device.name}: y`, y, byStep, near);
    }
  });
  await fc.assert(agrees, { seed: 1, numRuns: 15 });
});

test("shapes that dplrReadout does not know are refused by name", () => {
  const device = devices[0];
  const zeros = (...shape: number[]) => device.zeros(shape);
  assert.throws(
    () => dplrReadout(zeros(2, 3, 2), zeros(1, 2, 3, 2), zeros(2, 4, 2), zeros(2), { length: 8 }),
    {
      name: "ShapeError",
      message: "dplrReadout: Ctilde must be (channels, n, complex) = (2, 3, 2), got (2, 4, 2)",
    },
  );
});
