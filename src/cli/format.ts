/** Numbers as people read them. */
import type { MemoryPlan, Score } from "../node.ts";

/** 1234567 → "1 234 567" */
export function count(value: number): string {
  return String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, " ");
}

/** 1 → "1 step", 20 → "20 steps" */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** 0.9987 → "99.9 %"; 100 % is said of everything only, 0 % of nothing. */
export function percent(fraction: number): string {
  if (fraction === 0 || fraction === 1) return `${100 * fraction} %`;
  return `${Math.min(Math.max(100 * fraction, 0.1), 99.9).toFixed(1)} %`;
}

/** What a score says beside the loss: "accuracy 97 %", "mean absolute error 0.12", or both. */
export function measures({ accuracy, mae }: Pick<Score, "accuracy" | "mae">): string[] {
  return [
    ...(accuracy === undefined ? [] : [`accuracy ${percent(accuracy)}`]),
    ...(mae === undefined ? [] : [`mean absolute error ${short(mae)}`]),
  ];
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

function unitOf(bytes: number): number {
  return bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
}

/** 13107200 → "12.5 MiB" */
export function bytes(value: number): string {
  const unit = unitOf(value);
  return `${(value / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

/** Seconds → "42 s", "2:31 min", "1:02:31 h" */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)} min`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)} h`;
}

/** 3 digits that mean something: 2.7726 → "2.77", 0.0021345 → "0.00213", 0 → "0" */
export function short(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -4) return value.toExponential(1);
  return value.toFixed(Math.min(Math.max(2 - size, 0), 6));
}

/** A learning rate: 0.001 → "0.001", 0.00012345 → "0.000123" */
export function rate(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** 3 → "³", -12 → "⁻¹²" */
export function superscript(value: number): string {
  return [...String(value)].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)] ?? "⁻").join("");
}

/** 178345 → "178k" */
export function thousands(value: number): string {
  if (value < 10_000) return count(value);
  return value < 1e7 ? `${count(value / 1000)}k` : `${(value / 1e6).toFixed(1)}M`;
}

/** 12.5 MiB = parameters 1.0 + gradients 1.0 + optimizer 2.1 + activations 8.4 */
export function memoryInWords(plan: MemoryPlan): string {
  const unit = unitOf(plan.total);
  const parts = (["parameters", "gradients", "optimizer", "activations"] as const).map(
    (name) => `${name} ${(plan[name] / 1024 ** unit).toFixed(1)}`,
  );
  return `${bytes(plan.total)} = ${parts.join(" + ")}`;
}

/** Columns of equal width, two spaces between: texts to the left, numbers (`right`) to the right. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join("  ")
      .trimEnd(),
  );
}
