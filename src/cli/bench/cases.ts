import type { GpuExecutable, Program } from "../../node.ts";
import { gpuExecutableOf, gpuLimits } from "./gpuLimits.ts";
import { interleave, median, type Pace, type Samples } from "./measure.ts";
import { fmaCase, readBuffer, readCase } from "./probes.ts";
import type { BenchContext, BenchLine, LimitKind } from "./topic.ts";

/** One thing to measure, and the least that it must cost on any machine. */
export interface Case {
  readonly name: string;
  /** Bytes that must move: each input read once, each output written once. */
  readonly bytes: number;
  /** Operations that an FMA unit must do, a fused multiply-add counted as two. */
  readonly flops: number;
  /** What one run gets done, for the rate. */
  readonly work: { readonly amount: number; readonly unit: string };
  /** A product of matrices in the same run, whose rate is the limit instead of that of the FMA units. */
  readonly against?: Case;
  /** Does it once; a promise is waited for. */
  run(): unknown;
  /** Begins that many runs at once, on the GPU. */
  repeat?(times: number): void;
  /** The programs of one run on the GPU: the bytes and operations that their kernels declare are its limit there. */
  readonly executables?: readonly GpuExecutable[];
  /** More numbers for the line, asked for after the last run. */
  details?(samples: ReadonlyMap<Case, Samples>): Record<string, number>;
  free(): void;
}

/** A case that replays a program. */
export function replays({
  run,
  executable,
}: Pick<Program<unknown>, "run" | "executable">): Pick<Case, "run" | "repeat" | "executables"> {
  const gpu = gpuExecutableOf(executable);
  return { run, ...(gpu && { repeat: (times) => gpu.repeat(times), executables: [gpu] }) };
}

/** Above this, reading is no slower: no cache is as large. */
const mostProbed = 2 ** 29;

/** Ceilings that are measured with the cases. */
export interface Limits {
  /** The probes. */
  readonly cases: readonly Case[];
  /** The shortest time that a case could take. */
  limitOf(subject: Case, secondsOf: (subject: Case) => number): Limit;
  free(): void;
}

/**
 * Measures the cases and their limits by turns and reports a line for each case, in order. The limits of a case on a
 * CPU device are the time to read as many bytes as it must move, from a buffer of that size, in the faster of two ways,
 * and the time of its flops at the rate of the FMA units; the longer one counts. Those of the GPU: gpuLimits.ts. The
 * plain device has no limits: its loops keep neither memory nor FMA units busy.
 */
export async function runCases(topic: string, context: BenchContext, cases: readonly Case[]): Promise<void> {
  const limits = limitsFor(context, cases);
  const all = [...cases, ...(limits?.cases ?? [])];
  try {
    const samples = await interleave(all, paceOf(context));
    const clock = await secondsOnGpu(all, context);
    for (const subject of cases) {
      const line = lineOf(topic, context, subject, samples, limits);
      context.report({ ...line, details: { ...line.details, ...byClock(subject, clock, limits) } });
    }
  } finally {
    for (const subject of cases) subject.free();
    limits?.free();
    context.progress("");
  }
}

/** Passes over which a median is taken, and how often each does what is timed: to begin and end a pass takes time, too. */
const passes = 16;
const timesInPass = 8;

/**
 * How long the GPU itself takes for what is replayed there, by its own clock: without what JavaScript takes to tell it,
 * which is more for programs of many small dispatches.
 */
export async function secondsOnGpu(
  cases: readonly Case[],
  { quick }: BenchContext,
): Promise<ReadonlyMap<Case, number>> {
  const options = { times: quick ? 1 : timesInPass };
  const clock = new Map<Case, number>();
  for (const subject of cases) {
    if (!subject.executables?.length) continue;
    let seconds = 0;
    for (const executable of subject.executables) {
      executable.repeat(passes); // a GPU that was idle begins slowly
      seconds += median((await executable.time(quick ? 2 : passes, options)) ?? [NaN]);
    }
    if (seconds > 0) clock.set(subject, seconds);
  }
  return clock;
}

/** The case's time by the GPU's clock, and the part of it that its limit takes, by the same clock. */
function byClock(
  subject: Case,
  clock: ReadonlyMap<Case, number>,
  limits: Limits | null,
): Record<string, number> {
  const seconds = clock.get(subject);
  if (seconds === undefined || limits === null || !limits.cases.every((probe) => clock.has(probe))) return {};
  const limit = limits.limitOf(subject, (any) => clock.get(any)!); // all have one, as just seen
  return { gpuMs: 1000 * seconds, gpuFraction: limit.seconds / seconds };
}

function limitsFor(context: BenchContext, cases: readonly Case[]): Limits | null {
  const { name } = context.device;
  if (name === "plain") return null;
  return name === "webgpu" ? gpuLimits(context) : cpuLimits(context, cases);
}

/** How long to measure: a few seconds a topic, or next to nothing. */
export function paceOf({ quick, device, progress }: BenchContext): Pace {
  const brief = { rounds: 2, turnMs: 1, warmMs: 1 };
  const full =
    device.name === "plain" ? { rounds: 3, turnMs: 1, warmMs: 1 } : { rounds: 7, turnMs: 120, warmMs: 300 };
  const busy = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const { backend } = device;
  const settle = backend.settle && { settle: () => backend.settle!() }; // as just seen
  return { ...(quick ? brief : full), now: () => performance.now(), busy, progress, ...settle };
}

function cpuLimits({ device, threads, quick }: BenchContext, cases: readonly Case[]): Limits {
  const sizes = new Set(cases.map(probedBytes));
  const buffer = readBuffer(device, Math.max(...sizes));
  const reads = new Map(
    [...sizes].map((bytes) => [
      bytes,
      [readCase(buffer, bytes, threads, 1), readCase(buffer, bytes, threads, 4)],
    ]),
  );
  const fma = fmaCase(device, 64 * threads, quick ? 64 : 4096);
  const probes = [...[...reads.values()].flat(), fma];
  return {
    cases: probes,
    limitOf: (subject, secondsOf) => limitOf(subject, reads.get(probedBytes(subject))!, fma, secondsOf), // made for each case
    free() {
      for (const probe of probes) probe.free();
      buffer.free();
    },
  };
}

function probedBytes({ bytes }: Case): number {
  return Math.min(Math.max(bytes, 4096), mostProbed);
}

/** The shortest time that a limit allows. */
export interface Limit {
  readonly kind: LimitKind;
  readonly seconds: number;
  /** The measured rates behind it. */
  readonly details: Readonly<Record<string, number>>;
}

/** `ways` are those to read as much, of which the fastest counts. */
function limitOf(
  subject: Case,
  ways: readonly Case[],
  fma: Case,
  secondsOf: (subject: Case) => number,
): Limit {
  const readRate = Math.max(...ways.map((read) => read.bytes / secondsOf(read)));
  const fmaRate = fma.flops / secondsOf(fma);
  const details = { readGBs: readRate / 1e9, fmaGFLOPs: fmaRate / 1e9 };
  if (subject.against) {
    const rate = subject.against.flops / secondsOf(subject.against);
    return {
      kind: "GEMM rate",
      seconds: subject.flops / rate,
      details: { ...details, gemmGFLOPs: rate / 1e9 },
    };
  }
  const reading = subject.bytes / readRate;
  const computing = subject.flops / fmaRate;
  return reading > computing
    ? { kind: "memory bandwidth", seconds: reading, details }
    : { kind: "FMA rate", seconds: computing, details };
}

/** The line of a case: with limits, or times only. */
export function lineOf(
  topic: string,
  { device, threads }: BenchContext,
  subject: Case,
  samples: ReadonlyMap<Case, Samples>,
  limits: Limits | null,
): BenchLine {
  const { bytes, flops, work } = subject;
  const own = samples.get(subject)!; // every case was measured, as were the probes
  const limit = limits && limits.limitOf(subject, (any) => samples.get(any)!.medianMs / 1000);
  const best = limits && limits.limitOf(subject, (any) => samples.get(any)!.minMs / 1000);
  return {
    topic,
    case: subject.name,
    device: device.name,
    threads,
    ...own,
    rate: (1000 * work.amount) / own.medianMs,
    unit: `${work.unit}/s`,
    limit: limit && work.amount / limit.seconds,
    limitKind: limit?.kind ?? null,
    fraction: limit && (1000 * limit.seconds) / own.medianMs,
    details: {
      bytes,
      flops,
      ...limit?.details,
      ...(best && { minFraction: (1000 * best.seconds) / own.minMs }), // the same from the minima alone
      ...subject.details?.(samples),
    },
  };
}
