/**
 * One layer of LSSL against one of S4, forward and backward (Gu et al. 2021, arXiv 2111.00396, section 4.1, Table 2, appendix
 * D.1): H features; LSSL has a dense A with N = H, S4 a state of N/4, which makes the parameters about as many.
 */
import {
  capture,
  type Device,
  dplrFilter,
  fftConv,
  gradients,
  krylovFilter,
  legS,
  s4dLin,
  type Tensor,
} from "../../node.ts";
import { uniform } from "../bench/inputs.ts";
import { bytes, short } from "../format.ts";
import type { Panel } from "../lineChart.ts";
import type { Experiment, Job } from "./experiment.ts";
import { powersFilter } from "./powersFilter.ts";
import { plannedBytes, time, type Timed, type Timing } from "./timing.ts";

interface Settings {
  readonly batch: number;
  readonly length: number;
  readonly dims: readonly number[];
}

export const s4Speed: Experiment<Settings> = {
  name: "s4-speed",
  quick: { batch: 1, length: 1024, dims: [64, 128] },
  paper: { batch: 1, length: 1024, dims: [128, 256, 512] },
  parts: [
    {
      title: "A layer forward and backward",
      heads: ["dim, layer", "ms", "times S4", "paper", "memory", "times S4", "paper"],
      run,
    },
  ],
  differences: ({ batch, length, dims }) => [
    `batch ${batch}, length ${length} (the paper does not say)`,
    ...(Math.max(...dims) < 512
      ? ["dims: the smaller ones; 512 takes many minutes (paper: 128, 256, 512)"]
      : []),
    "a layer is its filter, the convolution with it and the skip D, with the gradients of u and of all parameters",
    "LSSL, powers: the filter by repeated squaring of Ā, as in the paper; recurrence: as this library computes it, " +
      "in far less memory",
    "float32 on processor cores (paper: an A100); memory is all that the captured program and its tensors hold; where " +
      "that is more than the 4 GiB of a device there is no time, and the memory is that of the plan",
  ],
};

/** Table 2. */
const table: Readonly<Record<number, { readonly lssl: Figures; readonly s4: Figures }>> = {
  128: { lssl: { ms: 9.32, megabytes: 222.1 }, s4: { ms: 4.77, megabytes: 5.3 } },
  256: { lssl: { ms: 20.6, megabytes: 1685 }, s4: { ms: 3.07, megabytes: 12.6 } },
  512: { lssl: { ms: 140.7, megabytes: 13140 }, s4: { ms: 4.75, megabytes: 33.5 } },
};

interface Figures {
  readonly ms: number;
  readonly megabytes: number;
}

/** How many times faster S4 is than LSSL in the paper, and how many times less memory it takes. */
export function paperRatios(dim: number): { faster: number; smaller: number } | null {
  const row = table[dim];
  return row ? { faster: row.lssl.ms / row.s4.ms, smaller: row.lssl.megabytes / row.s4.megabytes } : null;
}

async function run({ settings, device, row, progress, once }: Job<Settings>): Promise<Panel[]> {
  const measured: { dim: number; layer: string; timing: Timing }[] = [];
  for (const dim of settings.dims) {
    let own: Timing | null = null; // of S4, the first
    for (const [layer, make] of Object.entries(layers)) {
      progress(`dim ${dim}: ${layer}`);
      const timing = await once(`${dim}, ${layer}`, () =>
        time(device, () => layerOf(device, settings, dim, make)),
      );
      const held = timing?.bytes ?? plannedBytes((none) => layerOf(none, settings, dim, make));
      if (timing) measured.push({ dim, layer, timing });
      own ??= timing;
      const compared = layer !== "S4" && own !== null;
      const paper = compared ? paperRatios(dim) : null;
      const ratio = (value: number, of: number) => (compared ? short(value / of) : "");
      const cells = [
        `${dim}, ${layer}`,
        timing ? short(1000 * timing.seconds) : "no room",
        timing && own ? ratio(timing.seconds, own.seconds) : "",
        paper ? short(paper.faster) : "",
        `${timing ? "" : "> "}${bytes(held)}`,
        own ? ratio(held, own.bytes) : "",
        paper ? short(paper.smaller) : "",
      ];
      await row(cells, { dim, layer, timing, bytes: held, paper: table[dim] ?? null });
    }
  }
  const panel = (label: string, of: (timing: Timing) => number): Panel => ({
    x: { label: "dim", log: true },
    y: { label, log: true },
    lines: Object.keys(layers).map((name) => ({
      name,
      points: measured.flatMap(({ dim, layer, timing }) => (layer === name ? [[dim, of(timing)]] : [])),
    })),
  });
  return [panel("ms", ({ seconds }) => 1000 * seconds), panel("MiB", ({ bytes }) => bytes / 2 ** 20)];
}

/** What a layer trains besides D, and its filter (dim, length) made of that. */
type Layer = (device: Device, dim: number, length: number) => { inputs: Tensor[]; filter: () => Tensor };

function layerOf(device: Device, { batch, length }: Settings, dim: number, layer: Layer): Timed {
  const u = uniform(device, [batch, length, dim]);
  const D = uniform(device, [dim]);
  const { inputs, filter } = layer(device, dim, length);
  const wanted = [u, D, ...inputs];
  const program = capture(device, () => gradients(wanted, () => fftConv(u, filter(), { D })));
  return { program, inputs: wanted };
}

/** N/4 states a feature, of which half are kept, one of each conjugate pair. */
const s4: Layer = (device, dim, length) => {
  const spectrum = s4dLin(dim / 4);
  const shape = [dim, dim / 4 / 2, 2];
  const repeated = Float32Array.from(
    { length: dim * spectrum.length },
    (_, i) => spectrum[i % spectrum.length],
  );
  const lambda = device.tensor(repeated, shape);
  const [P, B, C] = [[1, ...shape], shape, shape].map((shape) => uniform(device, shape));
  const delta = uniform(device, [dim], 0.001, 0.1);
  return { inputs: [lambda, P, B, C, delta], filter: () => dplrFilter(lambda, P, B, C, delta, { length }) };
};

/** A (1, N, N) and B (1, N) of LegS, one for all features. */
const lssl =
  (filter: typeof powersFilter): Layer =>
  (device, dim, length) => {
    const system = legS(dim);
    const A = device.tensor(system.A, [1, dim, dim]);
    const B = device.tensor(system.B, [1, dim]);
    const C = uniform(device, [dim, dim]);
    const delta = uniform(device, [dim], 0.001, 0.1);
    return { inputs: [A, B, C, delta], filter: () => filter(A, B, C, delta, length) };
  };

/** S4 first: the others are compared with it. */
const layers: Readonly<Record<string, Layer>> = {
  S4: s4,
  "LSSL, powers": lssl(powersFilter),
  "LSSL, recurrence": lssl((A, B, C, delta, length) => krylovFilter(A, B, C, delta, { length })),
};
