import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { add, at, type Complex, mul, scale } from "../../src/math/complex.ts";
import { bilinearComplex, zohComplex } from "../../src/math/diagonal.ts";
import { bilinearMode, type Mode, zohMode } from "../../src/math/mode.ts";

const rules = { zohMode, bilinearMode };
const gap = (a: Complex, b: Complex) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const size = (a: Complex) => Math.hypot(...a);

test("a mode is discretized as the systems of math/diagonal.ts are", () => {
  for (const lambda of [
    [-3, 0],
    [-0.5, 40],
    [-1e-9, 1e-9],
    [0, 0],
  ] as const) {
    const A = Float64Array.from(lambda);
    const B = Float64Array.of(1, 0);
    for (const [mode, known] of [
      [zohMode(lambda, 0.3), zohComplex(A, B, 0.3)],
      [bilinearMode(lambda, 0.3), bilinearComplex(A, B, 0.3)],
    ] as const) {
      assert.ok(gap(mode.A, at(known.Abar, 0)) < 1e-15);
      assert.ok(gap(mode.g, at(known.Bbar, 0)) < 1e-15);
    }
  }
});

const lambdas = fc.tuple(fc.double({ min: -20, max: 0 }), fc.double({ min: -200, max: 200 })).filter(finite);
const deltas = fc.double({ min: 1e-3, max: 1, noNaN: true });

test("the derivatives are those of central differences, for λ in both directions and for Δ", () => {
  const check = fc.property(lambdas, deltas, (lambda, delta) => {
    for (const [name, rule] of Object.entries(rules)) {
      const mode = rule(lambda, delta);
      const eps = 1e-5 / delta / Math.max(1, delta * size(lambda)) ** 0.5;
      const along = (by: Complex, part: "A" | "g") =>
        scale(
          0.5 / eps,
          add(
            rule(add(lambda, scale(eps, by)), delta)[part],
            scale(-1, rule(add(lambda, scale(-eps, by)), delta)[part]),
          ),
        );
      const near = (derivative: Complex, difference: Complex, scale: number, what: string) =>
        assert.ok(
          gap(derivative, difference) <= 1e-6 * scale,
          `${name}: ${what} ${derivative} ${difference}`,
        );
      for (const by of [
        [1, 0],
        [0, 1],
      ] as const) {
        near(mul(mode.AbyLambda, by), along(by, "A"), delta, "∂A/∂λ");
        near(mul(mode.gByLambda, by), along(by, "g"), delta * delta, "∂g/∂λ");
      }
      const step = 1e-6 * delta;
      const late = rule(lambda, delta + step);
      const early = rule(lambda, delta - step);
      const byDelta = (part: "A" | "g") => scale(0.5 / step, add(late[part], scale(-1, early[part])));
      near(mode.AbyDelta, byDelta("A"), Math.max(1 / delta, size(lambda)), "∂A/∂Δ");
      near(mode.gByDelta, byDelta("g"), Math.max(1, delta * size(lambda)), "∂g/∂Δ");
    }
  });
  fc.assert(check, { seed: 1, numRuns: 300 });
});

test("zero-order hold loses no digits where exp(z) − 1 is nearly 0, and its two forms meet at |z| = ½", () => {
  assert.deepEqual(fields(zohMode([0, 0], 0.25)), { A: [1, 0], g: [0.25, 0], gByLambda: [0.03125, 0] });
  const tiny = zohMode([-1e-12, 2e-12], 0.5);
  assert.ok(gap(tiny.g, [0.5 - 1.25e-13, 2.5e-13]) < 1e-16);
  for (let angle = 0; angle < 6.28; angle += 0.1) {
    const at = (r: number) => zohMode([r * Math.cos(angle), r * Math.sin(angle)], 1);
    const [inside, outside] = [at(0.5 - 1e-15), at(0.5 + 1e-15)];
    assert.ok(gap(inside.g, outside.g) < 1e-14);
    assert.ok(gap(inside.gByLambda, outside.gByLambda) < 1e-14);
  }
});

function fields({ A, g, gByLambda }: Mode) {
  return { A, g, gByLambda };
}

function finite(pair: readonly number[]): boolean {
  return pair.every(Number.isFinite);
}
