/**
 * Why S4 is built as it is: HiPPO cannot be used in a basis of its eigenvectors (S4, arXiv 2111.00396, lemma 3.2), but can
 * as normal plus low rank (theorem 1); Λ − P P* stays stable where Λ − P Q* does not (SaShiMi, arXiv 2202.09729, section
 * 3); and Euler's rule explodes where bilinear and zero-order hold do not.
 */
import {
  bilinear,
  denseStepper,
  dplr,
  euler,
  fromDplr,
  fromEigen,
  fromEigenvectors,
  generalEigen,
  inFloat64,
  legS,
  legSEigenvectors,
  nplr,
  random,
  type Random,
  relativeError,
  spectralAbscissa,
  zoh,
} from "../../node.ts";
import { short } from "../format.ts";
import type { Panel } from "../lineChart.ts";
import type { Experiment, Part } from "./experiment.ts";

interface Settings {
  /** N. */
  readonly states: readonly number[];
  /** N of the systems that are disturbed, how many are drawn, and by how much their parameters change. */
  readonly disturbedStates: number;
  readonly draws: number;
  readonly disturbances: readonly number[];
  /** N and steps of the systems that are made discrete, and their step sizes. */
  readonly discreteStates: number;
  readonly steps: number;
  readonly deltas: readonly number[];
  readonly seed: number;
}

/** The two forms that are disturbed. */
const pq = "Λ − P Q*";
const pp = "Λ − P P*";

const basis: Part<Settings> = {
  title: "LegS rebuilt: largest error in A, as a part of its largest entry",
  heads: ["N", "max V", "2^(4N/3)", "V: f32", "V: f64", "library: f64", "NPLR: f32", "NPLR: f64"],
  async run({ settings, row, progress, once }) {
    const points: Record<string, [number, number][]> = {};
    for (const N of settings.states) {
      progress(`N ${N}`);
      const V = legSEigenvectors(N);
      const errors = await once(`rebuilt, N ${N}`, async () => {
        const { A } = legS(N);
        const lambda = Float64Array.from({ length: N }, (_, k) => -(k + 1));
        const found = dplr(nplr("legS", N));
        return {
          "V: f32": relativeError(fromEigenvectors(V, lambda, Math.fround), A),
          "V: f64": relativeError(fromEigenvectors(V, lambda, inFloat64), A),
          "library: f64": relativeError(fromEigen(await generalEigen(A)), A),
          "NPLR: f32": relativeError(fromDplr(found, Math.fround), A),
          "NPLR: f64": relativeError(fromDplr(found, inFloat64), A),
        };
      });
      const largest = V.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const cells = [largest, 2 ** ((4 * N) / 3), ...Object.values(errors)].map(figure);
      await row([String(N), ...cells], { N, largest, ...errors });
      for (const [name, error] of Object.entries(errors)) (points[name] ??= []).push([N, error]);
    }
    return [panelOf("N", "error", points)];
  },
};

const lowRank: Part<Settings> = {
  title: "Parameters disturbed, as training does: the largest Re λ of A, which must stay below 0",
  heads: ["disturbance", "Λ − P Q*", "unstable", "Λ − P P*", "unstable"],
  async run({ settings, row, progress, once }) {
    const { disturbedStates: N, draws, disturbances, seed } = settings;
    const start = dplr(nplr("legS", N));
    const points: Record<string, [number, number][]> = {};
    for (const size of disturbances) {
      progress(`disturbance ${size}`);
      const { worst, unstable } = await once(`disturbed, ${size}`, async () => {
        const worst = { [pq]: -Infinity, [pp]: -Infinity };
        const unstable = { [pq]: 0, [pp]: 0 };
        for (let draw = 0; draw < draws; draw++) {
          const stream = random(seed, draw);
          const [P, Q] = [disturbed(start.P, size, stream), disturbed(start.P, size, stream)];
          const system = { ...start, lambda: disturbedSpectrum(start.lambda, size, stream), P };
          for (const [name, right] of [
            [pq, Q],
            [pp, P],
          ] as const) {
            const abscissa = await spectralAbscissa(fromDplr(system, inFloat64, right));
            worst[name] = Math.max(worst[name], abscissa);
            unstable[name] += abscissa > 0 ? 1 : 0;
          }
        }
        return { worst, unstable };
      });
      const cells = ([pq, pp] as const).flatMap((name) => [
        figure(worst[name]),
        `${unstable[name]} of ${draws}`,
      ]);
      await row([String(size), ...cells], { disturbance: size, worst, unstable });
      for (const [name, count] of Object.entries(unstable)) (points[name] ??= []).push([size, count / draws]);
    }
    const lines = Object.entries(points).map(([name, line]) => ({ name, points: line }));
    return [{ x: { label: "disturbance", log: true }, y: { label: "unstable, as a part of all" }, lines }];
  },
};

const discretization: Part<Settings> = {
  title:
    "LegS made discrete: |x| after many steps of noise, and how far that is from zero-order hold, which is exact",
  heads: ["Δ", "Euler: |x|", "error", "bilinear: |x|", "error", "ZOH: |x|"],
  async run({ settings, row, progress }) {
    const { discreteStates: N, steps, deltas, seed } = settings;
    const { A, B } = legS(N);
    const points: Record<string, [number, number][]> = {};
    for (const delta of deltas) {
      progress(`Δ ${delta}`);
      const ends = Object.entries({ Euler: euler, bilinear, ZOH: zoh }).map(([name, rule]) => {
        const [step, stream] = [denseStepper(rule(A, B, delta)), random(seed)];
        const x = new Float64Array(N);
        for (let k = 0; k < steps; k++) step(x, stream.normal());
        return { name, x };
      });
      const truth = ends[2].x;
      const found = ends.map(({ name, x }) => {
        const error = Math.hypot(...x.map((v, n) => v - truth[n])) / Math.hypot(...truth);
        return { name, size: Math.hypot(...x), error };
      });
      const cells = found.flatMap(({ size, error }) => [figure(size), figure(error)]).slice(0, 5);
      await row([String(delta), ...cells], { delta, found });
      for (const { name, size } of found.filter(({ size }) => Number.isFinite(size))) {
        (points[name] ??= []).push([delta, size]);
      }
    }
    return [panelOf("Δ", "|x|", points)];
  },
};

export const stability: Experiment<Settings> = {
  name: "stability",
  quick: {
    states: [4, 8, 16, 32, 64, 128],
    disturbedStates: 32,
    draws: 20,
    disturbances: [0.001, 0.01, 0.1, 0.3, 1],
    discreteStates: 64,
    steps: 1000,
    deltas: [1e-4, 1e-3, 1e-2, 0.03, 0.1, 1],
    seed: 0,
  },
  paper: {
    states: [4, 8, 16, 32, 64, 128, 256],
    disturbedStates: 64,
    draws: 100,
    disturbances: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1],
    discreteStates: 256,
    steps: 1000,
    deltas: [1e-4, 1e-3, 1e-2, 0.03, 0.1, 1],
    seed: 0,
  },
  parts: [basis, lowRank, discretization],
  differences: () => [
    "The papers prove these things; the numbers are ours. Lemma 3.2 of S4 gives the growth of V, beside which max V stands.",
    "Training is stood in for by random changes of each parameter, relative to its size; Re Λ stays below 0 as S4 keeps it.",
  ],
};

/** Each entry times 1 + `size` times a complex normal number. */
function disturbed(x: Float64Array, size: number, stream: Random): Float64Array {
  const result = x.slice();
  for (let i = 0; i < x.length; i += 2) {
    const [a, b] = [1 + size * stream.normal(), size * stream.normal()];
    result[i] = a * x[i] - b * x[i + 1];
    result[i + 1] = a * x[i + 1] + b * x[i];
  }
  return result;
}

/** Λ with its real parts, kept as −exp, and its imaginary parts changed. */
function disturbedSpectrum(lambda: Float64Array, size: number, stream: Random): Float64Array {
  return lambda.map((x, i) =>
    i % 2 === 0 ? x * Math.exp(size * stream.normal()) : x * (1 + size * stream.normal()),
  );
}

function panelOf(x: string, y: string, points: Readonly<Record<string, [number, number][]>>): Panel {
  const lines = Object.entries(points).map(([name, line]) => ({
    name,
    points: line.filter(([, value]) => value > 0 && value < Infinity), // what a logarithmic axis can show
  }));
  return { x: { label: x, log: true }, y: { label: y, log: true }, lines };
}

/** Three digits; NaN is what is left where numbers overflowed. */
function figure(value: number): string {
  if (Number.isNaN(value)) return "overflow";
  return Math.abs(value) < 1e5 ? short(value) : value.toExponential(1).replace("+", "");
}
