import type { Device } from "../../node.ts";

/** What a measured rate is compared with: a ceiling measured in the same process, between the runs of the case. */
export type LimitKind = "memory bandwidth" | "FMA rate" | "GEMM rate";

/** One measurement, with all that was counted and measured for it: what `--json` prints. */
export interface BenchLine {
  readonly topic: string;
  readonly case: string;
  readonly device: string;
  readonly threads: number;
  /** Over all runs of all rounds. */
  readonly medianMs: number;
  readonly minMs: number;
  readonly runs: number;
  /** The median of each round: how steady the machine was. */
  readonly roundMs: readonly number[];
  /** Cores that the process kept busy during the runs: far fewer than threads, and others had them. */
  readonly cores: number | null;
  /** Work by median time, in `unit`; null where only the time says something. */
  readonly rate: number | null;
  readonly unit: string | null;
  /** The highest rate that the limits allow, in the same unit; null where none was measured. */
  readonly limit: number | null;
  readonly limitKind: LimitKind | null;
  /** rate / limit. */
  readonly fraction: number | null;
  /** What went into the numbers above: counted bytes and flops, measured limits, memory. */
  readonly details: Readonly<Record<string, number>>;
}

/** What the command gives a topic. */
export interface BenchContext {
  readonly device: Device;
  /** Of the device; 1 for the plain one. */
  readonly threads: number;
  /** Small sizes, about a second: it shows that a topic works, not how fast anything is. */
  readonly quick: boolean;
  report(line: BenchLine): void;
  /** What is being measured now, for someone who watches. */
  progress(text: string): void;
}

/** Something that `statewise bench` measures. */
export interface Topic {
  readonly summary: string;
  run(context: BenchContext): Promise<void>;
}
