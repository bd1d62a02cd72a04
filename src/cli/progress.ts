import { stripVTControlCharacters } from "node:util";
import type { TrainEvent } from "../node.ts";
import { count, duration, measures, rate, short, thousands } from "./format.ts";
import type { LiveLine, Terminal } from "./terminal.ts";

type StepEvent = Extract<TrainEvent, { type: "step" }>;

/** Steps whose loss, accuracy and speed are averaged for the eye. */
const window = 50;
const redrawMs = 100;
/** Without a terminal, a line comes at every tenth of the steps, and at least this often. */
const longestSilenceMs = 10_000;

/** Shows how a training run goes: one line drawn over itself on a terminal, a line now and then elsewhere. */
export class TrainingProgress {
  readonly #terminal: Terminal;
  readonly #live: LiveLine | null;
  /** The step at which the run ends; `atMost` when it may end before. */
  #steps = 0;
  #atMost = false;
  readonly #now: () => number;
  readonly #recent: { event: StepEvent; at: number }[] = [];
  #saidAt: number;

  constructor(terminal: Terminal, live: LiveLine | null, now: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#live = live;
    this.#now = now;
    this.#saidAt = now();
  }

  /** Says where the run ends; what follows is measured anew. */
  begin({ steps, atMost }: { steps: number; atMost: boolean }): void {
    this.#steps = steps;
    this.#atMost = atMost;
    this.#recent.length = 0;
  }

  step(event: StepEvent): void {
    const at = this.#now();
    const isFirst = this.#recent.length === 0;
    this.#recent.push({ event, at });
    if (this.#recent.length > window + 1) this.#recent.shift();
    const isLast = event.step === this.#steps;
    if (this.#live) {
      if (!isFirst && !isLast && at - this.#saidAt < redrawMs) return;
      this.#live.update(fitted([this.#bar(event.step, this.#live), ...this.#fields()], this.#live.width));
    } else {
      const isTenth =
        Math.floor((10 * event.step) / this.#steps) > Math.floor((10 * (event.step - 1)) / this.#steps);
      if (!isFirst && !isLast && !isTenth && at - this.#saidAt < longestSilenceMs) return;
      this.#terminal.say(this.#fields().join("   "));
    }
    this.#saidAt = at;
  }

  clear(): void {
    this.#live?.clear();
  }

  #fields(): string[] {
    const events = this.#recent.map(({ event }) => event);
    const { step, learningRate } = events[events.length - 1];
    const mean = (of: (event: StepEvent) => number) =>
      events.map(of).reduce((a, b) => a + b, 0) / events.length;
    const { accuracy, mae } = events[0]; // all steps of a run have the same measures
    const fields = [
      `step ${count(step)} of ${count(this.#steps)}`,
      `loss ${short(mean(({ loss }) => loss))}`,
      ...measures({
        ...(accuracy !== undefined && { accuracy: mean((event) => event.accuracy ?? NaN) }),
        ...(mae !== undefined && { mae: mean((event) => event.mae ?? NaN) }),
      }),
    ];
    if (this.#recent.length < 2) return fields;
    const seconds = (this.#recent[this.#recent.length - 1].at - this.#recent[0].at) / 1000;
    const tokens = events.slice(1).reduce((sum, event) => sum + event.tokens, 0);
    const left = ((this.#steps - step) * seconds) / (events.length - 1);
    if (step < this.#steps) fields.push(`${this.#atMost ? "at most " : ""}${duration(left)} left`);
    return [...fields, `${thousands(tokens / seconds)} tokens/s`, `rate ${rate(learningRate)}`];
  }

  #bar(step: number, { width, colors }: LiveLine): string {
    const { cyan, dim } = colors;
    const size = width < 100 ? 10 : 20;
    const done = Math.floor((size * step) / this.#steps);
    return `${cyan("━".repeat(done))}${dim("━".repeat(size - done))}`;
  }
}

/** As many fields as the width has room for, from the left. */
function fitted(fields: readonly string[], width: number): string {
  let line = "";
  for (const field of fields) {
    const longer = line === "" ? field : `${line}  ${field}`;
    if (stripVTControlCharacters(longer).length >= width) break;
    line = longer;
  }
  return line;
}
