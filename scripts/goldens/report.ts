import type { Comparison } from "./compare.ts";
import type { CaseResult } from "./run.ts";

/** The lines on one case: its outcome, then one line a tensor. */
export function describeCase({ name, outcome, reason, comparisons }: CaseResult): string {
  const width = Math.max(0, ...comparisons.map(({ tensor }) => tensor.length));
  const lines = comparisons.map(({ tensor, ratio, relative, reference, failure }) => {
    const figures = `ratio ${short(ratio)}  error/max ${short(relative)}`;
    const against = reference === undefined ? "" : ` (reference's f32 ${short(reference)})`;
    return `  ${tensor.padEnd(width)}  ${figures}${against}${failure === null ? "" : `  WRONG: ${failure}`}`;
  });
  return [`${outcome.padEnd(7)} ${name}: ${reason ?? describeWorst(comparisons)}`, ...lines].join("\n");
}

function describeWorst(comparisons: readonly Comparison[]): string {
  const worst = comparisons.reduce((a, b) => (b.ratio > a.ratio ? b : a));
  return `worst ratio ${short(worst.ratio)}, of ${worst.tensor}`;
}

/** What was not compared, and why: a line a kind without an adapter, then a line a case with tensors left out. */
export function describeGaps(results: readonly CaseResult[]): string {
  const kinds = new Map<string, number>();
  for (const { kind, covered } of results) if (!covered) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const lines = [...kinds].map(
    ([kind, cases]) => `  kind ${kind}: no adapter (${cases} ${plural(cases, "case")})`,
  );
  for (const { name, notCovered, unreliable } of results) {
    if (notCovered.length > 0) lines.push(`  ${name}: no result for ${notCovered.join(", ")}`);
    if (unreliable.length > 0) lines.push(`  ${name}: float32 cannot reproduce ${unreliable.join(", ")}`);
  }
  return lines.length === 0 ? "not covered: nothing" : ["not covered:", ...lines].join("\n");
}

/** The last line. */
export function describeTotals(results: readonly CaseResult[]): string {
  const count = (outcome: CaseResult["outcome"]) =>
    results.filter((result) => result.outcome === outcome).length;
  return `${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`;
}

function short(figure: number): string {
  return figure === 0 ? "0" : figure.toExponential(1);
}

function plural(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}
