import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LanguageModel, Task } from "../../node.ts";
import { measure, type Row } from "../evaluation.ts";
import { count, duration, percent, superscript } from "../format.ts";
import { readMetrics } from "../metrics.ts";
import { type Run, writeJson } from "../run.ts";
import type { Terminal } from "../terminal.ts";
import { evaluationOf, paperRow, type Recipe } from "./inductionHeads.ts";

/** What `reproduce` leaves as results.json, rewritten after every row. */
export interface Results {
  /** The training step that is evaluated. */
  readonly step: number;
  readonly device: string;
  /** The steps alone, over all times that the run was resumed. */
  readonly training: { readonly seconds: number; readonly tokens: number };
  readonly rows: readonly Row[];
}

export interface EvaluationJob {
  readonly model: LanguageModel;
  readonly step: number;
  readonly task: Task;
  readonly run: Run;
  readonly evaluation: Recipe["evaluation"];
  readonly terminal: Terminal;
}

/** Evaluates at every length that results.json does not have yet, and prints the table with all of them. */
export async function evaluateLengths(job: EvaluationJob): Promise<Results> {
  const { model, step, task, run, evaluation, terminal } = job;
  const path = `${run.name}/results.json`;
  const training = await trainingCost(run);
  const device = model.device.name;
  const known = await knownRows(run, step, device);
  const rows: Row[] = [];
  const live = await terminal.liveLine();
  terminal.aside("Ctrl-C keeps the lengths that are done; the same command goes on with the others.");
  terminal.say();
  terminal.say(
    terminal.colors.bold(tableLine("length", "statewise", "paper: Mamba", "best attention", "sequences")),
  );
  for (const length of evaluation.lengths) {
    const shape = evaluationOf(evaluation, length);
    const row =
      known.find((row) => row.length === length && row.sequences === shape.batches * shape.batch) ??
      (await measure({ model, task, length, ...shape, live }));
    rows.push(row);
    const paper = paperRow(length);
    terminal.say(
      tableLine(
        `${inPowers(length)} = ${count(length)}`,
        percent(row.accuracy),
        paper.mamba,
        paper.attention,
        `${count(row.sequences)} in ${duration(row.seconds)}`,
      ),
    );
    terminal.emit({ type: "evaluation", step, ...row, paper });
    await writeJson(run.files, path, { step, device, training, rows } satisfies Results);
  }
  return { step, device, training, rows };
}

function tableLine(length: string, own: string, mamba: string, attention: string, sequences: string): string {
  return [
    length.padEnd(16),
    own.padStart(9),
    mamba.padStart(14),
    attention.padStart(16),
    `   ${sequences}`,
  ].join("");
}

/** 256 → 2⁸ */
function inPowers(length: number): string {
  return `2${superscript(Math.log2(length))}`;
}

async function trainingCost({ directory }: Run): Promise<Results["training"]> {
  let seconds = 0;
  let tokens = 0;
  for (const metric of await readMetrics(join(directory, "metrics.jsonl"))) {
    if (metric.type !== "step") continue;
    seconds += metric.seconds;
    tokens += metric.tokens;
  }
  return { seconds, tokens };
}

/** The rows of an evaluation that was interrupted, or done before. */
async function knownRows({ directory }: Run, step: number, device: string): Promise<readonly Row[]> {
  try {
    const results = JSON.parse(await readFile(join(directory, "results.json"), "utf8")) as Partial<Results>;
    return results.step === step && results.device === device ? (results.rows ?? []) : [];
  } catch {
    return []; // there is none, or it is damaged: it is made again
  }
}
