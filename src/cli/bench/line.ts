import type { BenchLine } from "./topic.ts";

/** A line for people: what was measured, how long it takes, how fast that is, and how near to the limit. */
export function formatLine(line: BenchLine): string {
  const { rate, unit, fraction, limitKind } = line;
  const speed = rate === null ? "" : `${significant(rate)} ${unit}`;
  const share = fraction === null ? "" : `${(100 * fraction).toFixed(0)} % of the ${limitKind}`;
  return [
    line.topic.padEnd(8),
    line.case.padEnd(36),
    `${line.device} ${line.threads === 1 ? "1 thread " : `${line.threads} threads`}`.padEnd(17),
    formatTime(line.medianMs).padStart(9),
    speed.padStart(18),
    `  ${share}`,
  ]
    .join(" ")
    .trimEnd();
}

/** A time in the unit that keeps its digits few. */
export function formatTime(ms: number): string {
  if (ms < 1) return `${significant(1000 * ms)} µs`;
  if (ms < 1000) return `${significant(ms)} ms`;
  return `${significant(ms / 1000)} s`;
}

/** Three digits, more only before the point. */
function significant(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}
