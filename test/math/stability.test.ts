import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { generalEigen } from "../../src/math/eigen.ts";
import { legS } from "../../src/math/hippo.ts";
import { denseOf, dplr, legSEigenvectors, measures, nplr } from "../../src/math/nplr.ts";
import {
  fromDplr,
  fromEigen,
  fromEigenvectors,
  inFloat64,
  relativeError,
  spectralAbscissa,
} from "../../src/math/stability.ts";
import { assertClose, vector } from "./close.ts";

test("in float64 and with Q = P, fromDplr is denseOf", () => {
  const drawn = fc.tuple(fc.constantFrom(...measures), fc.integer({ min: 1, max: 8 }));
  fc.assert(
    fc.property(drawn, ([measure, half]) => {
      const found = dplr(nplr(measure, 2 * half));
      assertClose(fromDplr(found, inFloat64), denseOf(found), 1e-13);
    }),
  );
});

test("a small matrix comes back from its eigenvectors, complex ones too", async () => {
  const N = 6;
  const lambda = Float64Array.from({ length: N }, (_, k) => -(k + 1));
  assertClose(fromEigenvectors(legSEigenvectors(N), lambda, inFloat64), legS(N).A, 1e-11);
  const rotation = Float64Array.of(-0.1, -2, 2, -0.1);
  assertClose(fromEigen(await generalEigen(rotation)), rotation, 1e-13);
});

test("the eigenvectors of LegS lose A at N = 32 in float32, NPLR does not", () => {
  const { A } = legS(32);
  const lambda = Float64Array.from({ length: 32 }, (_, k) => -(k + 1));
  const lost = relativeError(fromEigenvectors(legSEigenvectors(32), lambda, Math.fround), A);
  const kept = relativeError(fromDplr(dplr(nplr("legS", 32)), Math.fround), A);
  assert.ok(lost > 1 && kept < 1e-5, `${lost} and ${kept}`);
});

test("Λ − P P* stays stable whatever P is, as long as Re Λ is below 0", async () => {
  const start = dplr(nplr("legS", 8));
  await fc.assert(
    fc.asyncProperty(vector(8, 3), async (P) => {
      assert.ok((await spectralAbscissa(fromDplr({ ...start, P }, inFloat64))) < 0);
    }),
    { numRuns: 30 },
  );
  const Q = start.P.map((p) => -p); // the low rank with the other sign
  assert.ok((await spectralAbscissa(fromDplr(start, inFloat64, Q))) > 0);
});

test("the abscissa of a triangular matrix is its largest diagonal entry", async () => {
  assert.ok(Math.abs((await spectralAbscissa(legS(5).A)) - -1) < 1e-12);
});
