import {
  Decoder,
  type Device,
  type GpuDispatch,
  type GpuExecutable,
  mamba,
  Trainer,
  UsageError,
} from "../../node.ts";
import { watch } from "../watch.ts";
import { paceOf, secondsOnGpu } from "./cases.ts";
import { config130m, sizeOf, smallDecode } from "./decode.ts";
import { gpuExecutableOf, type GpuLimits, gpuLimits } from "./gpuLimits.ts";
import { repeatingParameters } from "./inputs.ts";
import { interleave, median } from "./measure.ts";
import type { BenchContext, BenchLine, Topic } from "./topic.ts";
import { large, small, trained } from "./train.ts";

/** Programs on the GPU, whose kernels are to be timed one by one. */
interface Subject {
  readonly name: string;
  readonly programs: readonly GpuExecutable[];
  free(): void;
}

export const kernels: Topic = {
  summary:
    "on the GPU: each kernel of a training step and of decoding beside its limit, and what JavaScript takes",

  async run(context) {
    const { device, quick } = context;
    if (device.name !== "webgpu") {
      throw new UsageError(
        `kernels: only the GPU times each kernel of a program, got ${device.name}. Use --device webgpu.`,
      );
    }
    const limits = gpuLimits(context);
    try {
      const samples = await interleave(limits.cases, paceOf(context));
      const clock = await secondsOnGpu(limits.cases, context);
      const secondsOf = (subject: GpuLimits["cases"][number]) =>
        clock.get(subject) ?? samples.get(subject)!.medianMs / 1000; // all were measured
      const limitOf: LimitOf = (dispatches) => limits.limitOfDispatches(dispatches, secondsOf);
      const subjects = [
        () => decoding(device, quick ? smallDecode : config130m),
        ...(quick ? small : [...trained, large]).map((setting) => () => training(device, setting)),
      ];
      for (const make of subjects) {
        const subject = make();
        try {
          await measure(subject, context, limitOf);
        } finally {
          subject.free();
        }
      }
    } finally {
      limits.free();
      context.progress("");
    }
  },
};

type LimitOf = (
  dispatches: Parameters<GpuLimits["limitOfDispatches"]>[0],
) => ReturnType<GpuLimits["limitOfDispatches"]>;

function decoding(device: Device, config: typeof config130m): Subject {
  const watched = watch(device);
  const model = mamba(config, repeatingParameters(watched.device));
  const decoder = new Decoder(model);
  return {
    name: `decode ${sizeOf(config)}`,
    programs: programsOf(watched),
    free() {
      decoder.free();
      for (const parameter of model.parameters.values()) parameter.free();
    },
  };
}

function training(device: Device, { name, batch, length, make }: (typeof trained)[number]): Subject {
  const watched = watch(device);
  const model = make(watched.device);
  const trainer = new Trainer(model);
  trainer.plan({ batch, length });
  return {
    name: `train ${name}, ${batch} x ${length}`,
    programs: programsOf(watched),
    free() {
      trainer.free();
      const { m, v } = trainer.optimizer.moments;
      for (const part of [...m.values(), ...v.values(), ...model.parameters.values()]) part.free();
    },
  };
}

function programsOf({ compiled }: ReturnType<typeof watch>): GpuExecutable[] {
  return compiled.flatMap(({ executable }) => gpuExecutableOf(executable) ?? []);
}

/**
 * A line for each kernel, the slowest first, and one for all of them together. Those of one kernel run one after the other in
 * one pass, by the GPU's clock: a pass of its own takes longer to begin and end than a small kernel does.
 */
async function measure(subject: Subject, context: BenchContext, limitOf: LimitOf): Promise<void> {
  const { device, quick, progress, report } = context;
  const { name, programs } = subject;
  progress(`${name}: ${programs.length} programs`);
  const all = programs.flatMap(({ dispatches }) => dispatches);
  const settle = async () => device.backend.settle?.();
  const times = quick ? 2 : 32;

  /** Milliseconds of the GPU for the dispatches of that label, or all, run by run; null without a clock. */
  const clock = async (label?: string): Promise<number[] | null> => {
    const sums = Array<number>(times).fill(0);
    for (const program of programs) {
      program.repeat(times); // a GPU that was idle begins slowly
      const of = (dispatch: GpuDispatch) => label === undefined || dispatch.label === label;
      const seconds = await program.time(times, { of });
      if (seconds === null) return null;
      for (const [i, own] of seconds.entries()) sums[i] += 1000 * own;
    }
    return sums;
  };
  const line = (
    what: string,
    ms: readonly number[],
    of: typeof all,
    details: Record<string, number>,
  ): BenchLine => {
    const limit = limitOf(of);
    const moved = limit.kind === "memory bandwidth";
    const { declaredBytes, declaredOperations } = limit.details;
    const amount = (moved ? declaredBytes : declaredOperations) / 1e9;
    const medianMs = Math.max(median(ms), 1e-6); // a clock may be too coarse for it
    return {
      topic: "kernels",
      case: `${name}: ${what}`,
      device: device.name,
      threads: context.threads,
      medianMs,
      minMs: Math.max(Math.min(...ms), 1e-6),
      runs: ms.length,
      roundMs: ms,
      cores: null,
      rate: (1000 * amount) / medianMs,
      unit: moved ? "GB/s" : "GFLOP/s",
      limit: amount / limit.seconds,
      limitKind: limit.kind,
      fraction: (1000 * limit.seconds) / medianMs,
      details: { ...limit.details, ...details },
    };
  };
  const lines: BenchLine[] = [];
  for (const label of new Set(all.map((dispatch) => dispatch.label))) {
    const of = all.filter((dispatch) => dispatch.label === label);
    const ms = await clock(label);
    if (ms) lines.push(line(`${label} x ${of.length}`, ms, of, {}));
  }
  for (const each of lines.sort((a, b) => b.medianMs - a.medianMs)) report(each);

  const alone: number[] = [];
  for (let round = 0; round < (quick ? 2 : 7); round++) {
    await settle();
    const started = performance.now();
    for (const program of programs) program.repeat(times);
    await settle();
    alone.push((performance.now() - started) / times);
  }
  const telling: number[] = [];
  for (let run = 0; run < (quick ? 2 : 100); run++) {
    await settle();
    const told = performance.now();
    for (const program of programs) program.run();
    await Promise.resolve(); // the commands of the next run are made in a microtask
    telling.push(performance.now() - told);
  }
  const hot = telling.slice(telling.length / 2); // engines compile what is hot
  const computing = await clock();
  report(
    line(`all ${all.length} dispatches`, alone, all, {
      javascriptMs: median(hot),
      ...(computing && { gpuMs: median(computing) }),
      programs: programs.length,
    }),
  );
}
