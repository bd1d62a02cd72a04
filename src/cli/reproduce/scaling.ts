/**
 * How a Transformer, Mamba and S4 grow with the length of a sequence: time and memory of a forward pass (Gu, Goel & Ré
 * 2022, section 4.1, the table against efficient Transformers), time and state of a generated token (Gu & Dao 2023,
 * section 4.5, figure 8), and the lengths at which the curves cross. The models have about as many parameters.
 */
import {
  capture,
  createLanguageModel,
  Decoder,
  type Device,
  languageConfig,
  type LanguageModel,
} from "../../node.ts";
import { paceOf } from "../bench/cases.ts";
import { interleave } from "../bench/measure.ts";
import { bytes, count, short } from "../format.ts";
import type { Panel } from "../lineChart.ts";
import type { Experiment, Job } from "./experiment.ts";

interface Settings {
  readonly dModel: number;
  readonly layers: number;
  readonly vocabulary: number;
  readonly lengths: readonly number[];
  readonly seed: number;
}

const names = ["Transformer", "Mamba", "S4"] as const;
type Name = (typeof names)[number];

/** What was measured at one length. */
interface Cost {
  readonly ms: number;
  readonly bytes: number;
}
type Costs = Readonly<Record<Name, Cost>>;

const powers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => 2 ** (from + i));

/** S4 by Transformer, as table 3 of the S4 paper has it; nothing else is said of these lengths. */
export const paperForward: Readonly<Partial<Record<number, { speed: number; memory: number }>>> = {
  1024: { speed: 1.58, memory: 0.43 },
  4096: { speed: 5.19, memory: 0.091 },
};

/** A new experiment: its last part compares what the first two have measured. */
export function scaling(): Experiment<Settings> {
  const forward = new Map<number, Costs>();
  const token = new Map<number, Costs>();
  return {
    name: "scaling",
    quick: { dModel: 256, layers: 2, vocabulary: 256, lengths: powers(7, 13), seed: 0 },
    paper: { dModel: 512, layers: 6, vocabulary: 256, lengths: powers(7, 14), seed: 0 },
    parts: [
      {
        title: "Time of a forward pass",
        heads: ["length", ...names.map((name) => `${name}, ms`), "S4 is faster", "paper"],
        run: (job) => forwardTimes(job, forward),
      },
      {
        title: "Memory of a forward pass",
        heads: ["length", ...names, "S4 needs", "with L × L", "paper"],
        run: (job) => forwardMemory(job, forward),
      },
      {
        title: "One generated token",
        heads: [
          "tokens before",
          ...names.map((name) => `${name}, µs`),
          "Mamba is faster",
          "paper",
          ...names.map((name) => `${name}, state`),
        ],
        run: (job) => tokenPart(job, token),
      },
      {
        title: "Lengths from which a model is ahead of the Transformer",
        heads: ["model", "forward, time", "forward, memory", "token, time", "token, state"],
        run: (job) => crossingPart(job, forward, token),
      },
    ],
    differences: ({ dModel, layers }) => [
      `models: D ${dModel}, ${layers} blocks of the Transformer, as many of S4 with a wider feed-forward part, ` +
        "twice as many of Mamba (papers: models of the Long Range Arena; 1.4 and 6.9 billion parameters)",
      'attention: tiled, without a matrix of length × length; "with L × L" counts the scores of one layer, as if stored',
      "a forward pass (S4 paper: a training step), one sequence, float32 on processor cores (papers: on a GPU)",
      "a token of one sequence (Mamba paper: throughput of the largest batch that fits; 4 to 5 times, prompt 2048)",
    ],
  };
}

/** For sequences of at most `context` tokens. About 12 layers dModel² parameters besides the embedding, each. */
export function modelOf(device: Device, name: Name, settings: Settings, context: number): LanguageModel {
  const { dModel, layers, vocabulary, seed } = settings;
  const given = { dModel, layers, vocabulary };
  const config = {
    Transformer: () => languageConfig("transformer", { ...given, context, heads: headsOf(settings) }),
    Mamba: () => languageConfig("mamba", { ...given, layers: 2 * layers }),
    S4: () =>
      languageConfig("s4", {
        ...given,
        feedForward: Math.round((10 * dModel) / 3),
        filterLength: context,
      }),
  }[name]();
  return createLanguageModel(device, config, seed);
}

function headsOf({ dModel }: Settings): number {
  return Math.max(1, Math.round(dModel / 64));
}

function free(model: LanguageModel): void {
  for (const parameter of model.parameters.values()) parameter.free();
}

async function forwardTimes(job: Job<Settings>, found: Map<number, Costs>): Promise<Panel[]> {
  const { settings, device } = job;
  for (const length of settings.lengths) {
    const costs = await job.once(`forward, ${length}`, async () => {
      const models = names.map((name) => modelOf(device, name, settings, length));
      const ids = Int32Array.from({ length }, (_, i) => i % settings.vocabulary);
      const tokens = device.integers(ids, [1, length]);
      const programs = models.map((model) => capture(device, () => model.forward(tokens).logits));
      const cases = programs.map((program, i) => ({
        name: `length ${count(length)}: ${names[i]}`,
        run: () => program.run(),
        bytes: program.bytes,
      }));
      const costs = await timed(job, cases);
      for (const part of [...programs, tokens]) part.free();
      for (const model of models) free(model);
      return costs;
    });
    found.set(length, costs);
    const faster = costs.Transformer.ms / costs.S4.ms;
    const { speed } = paperForward[length] ?? {};
    const times = names.map((name) => short(costs[name].ms));
    await job.row([count(length), ...times, ratio(faster), inPaper(speed)], {
      length,
      ...costs,
      faster,
      paper: speed,
    });
  }
  return [panel(found, "length", "ms, forward pass", ({ ms }) => ms)];
}

/** What the programs hold beside the parameters; and as if the scores of one layer had been stored, as in the S4 paper. */
async function forwardMemory({ settings, row }: Job<Settings>, found: Map<number, Costs>): Promise<Panel[]> {
  for (const [length, { Transformer, Mamba, S4 }] of found) {
    const scores = 4 * headsOf(settings) * length ** 2;
    const needs = S4.bytes / Transformer.bytes;
    const withScores = S4.bytes / (Transformer.bytes + scores);
    const { memory } = paperForward[length] ?? {};
    const cells = [Transformer, Mamba, S4].map((cost) => bytes(cost.bytes));
    await row([count(length), ...cells, ratio(needs), ratio(withScores), inPaper(memory)], {
      length,
      needs,
      withScores,
      paper: memory,
    });
  }
  return [panel(found, "length", "MiB, forward pass", (cost) => cost.bytes / 2 ** 20)];
}

async function tokenPart(job: Job<Settings>, found: Map<number, Costs>): Promise<Panel[]> {
  const { settings, device } = job;
  for (const length of settings.lengths) {
    const costs = await job.once(`token, ${length}`, async () => {
      const decoders = names.map((name) => new Decoder(modelOf(device, name, settings, length)));
      const cases = decoders.map(({ state }, i) => ({
        name: `token ${count(length)}: ${names[i]}`,
        run() {
          for (const { position } of state) position?.write([length - 1]); // the last of a full cache
          return decoders[i].step(1);
        },
        bytes: state
          .flatMap((layer) => Object.values(layer))
          .reduce((sum, { buffer }) => sum + 4 * buffer.length, 0),
      }));
      const costs = await timed(job, cases);
      for (const decoder of decoders) {
        decoder.free();
        free(decoder.model);
      }
      return costs;
    });
    found.set(length, costs);
    await job.row(
      [
        count(length),
        ...names.map((name) => short(1000 * costs[name].ms)),
        ratio(costs.Transformer.ms / costs.Mamba.ms),
        length === 2048 ? "4 to 5 ×" : "",
        ...names.map((name) => bytes(costs[name].bytes)),
      ],
      { length, ...costs },
    );
  }
  return [
    panel(found, "tokens before", "µs, a token", ({ ms }) => 1000 * ms),
    panel(found, "tokens before", "KiB, state", (cost) => cost.bytes / 1024),
  ];
}

/** The fastest of a few runs each, by turns. */
async function timed(
  { device, progress }: Job<Settings>,
  cases: readonly { name: string; run(): unknown; bytes: number }[],
): Promise<Costs> {
  const pace = paceOf({ device, quick: true, threads: 1, report() {}, progress });
  const samples = await interleave(cases, { ...pace, rounds: 3, turnMs: 60, warmMs: 30 });
  const costs = cases.map((subject) => ({ ms: samples.get(subject)!.minMs, bytes: subject.bytes })); // all were measured
  return { Transformer: costs[0], Mamba: costs[1], S4: costs[2] };
}

function panel(found: ReadonlyMap<number, Costs>, x: string, y: string, of: (cost: Cost) => number): Panel {
  const lines = names.map((name) => ({
    name,
    points: [...found].map(([length, costs]) => [length, of(costs[name])] as const),
  }));
  return { x: { label: x, log: true }, y: { label: y, log: true }, lines };
}

const ratio = (value: number) => `${short(value)} ×`;
const inPaper = (value: number | undefined) => (value === undefined ? "" : `${value} ×`);

async function crossingPart(
  { row }: Job<Settings>,
  forward: ReadonlyMap<number, Costs>,
  token: ReadonlyMap<number, Costs>,
): Promise<Panel[]> {
  for (const name of ["Mamba", "S4"] as const) {
    const crossings = [forward, token].flatMap((found) =>
      (["ms", "bytes"] as const).map((of) =>
        crossing([...found].map(([length, costs]) => [length, costs[name][of] / costs.Transformer[of]])),
      ),
    );
    await row([name, ...crossings.map(inWords)], { name, crossings });
  }
  return [];
}

/**
 * The length from which the ratio stays below 1, on a line between the points around it in logarithms; the first length if it
 * is below 1 at all of them, null if not at the last.
 */
export function crossing(ratios: readonly (readonly [length: number, ratio: number])[]): number | null {
  const last = ratios.findLastIndex(([, ratio]) => !(ratio < 1));
  if (last === ratios.length - 1) return null;
  if (last < 0) return ratios[0][0];
  const [[from, before], [to, after]] = [ratios[last], ratios[last + 1]];
  const part = Math.log(before) / (Math.log(before) - Math.log(after));
  return Math.round(from * (to / from) ** part);
}

function inWords(length: number | null): string {
  return length === null ? "not reached" : count(length);
}
