import type { Files } from "../../src/checkpoint/files.ts";
import type { Adapter, Context } from "./adapter.ts";
import { type GoldenCase, openCase, readKind, type Values } from "./case.ts";
import { compare, type Comparison, isUnreliable } from "./compare.ts";

/** What became of one golden case. */
export interface CaseResult {
  readonly name: string;
  readonly kind: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it failed or was skipped as a whole, or null. */
  readonly reason: string | null;
  /** False when there is no adapter for the kind. */
  readonly covered: boolean;
  readonly comparisons: readonly Comparison[];
  /** Expected tensors the adapter did not return. */
  readonly notCovered: readonly string[];
  /** Expected tensors that float32 cannot reproduce, in a float32 run. */
  readonly unreliable: readonly string[];
}

/** Runs the case `name` of a folder. Whatever is wrong with it is its result, never an exception. */
export async function runCase(
  files: Files,
  name: string,
  adapters: Readonly<Record<string, Adapter>>,
  context: Context,
): Promise<CaseResult> {
  const nothing = { name, kind: "unknown", covered: true, comparisons: [], notCovered: [], unreliable: [] };
  let kind = "unknown";
  try {
    kind = await readKind(files, name);
    if (!Object.hasOwn(adapters, kind)) {
      return { ...nothing, kind, covered: false, outcome: "skipped", reason: `no adapter for kind ${kind}` };
    }
    const golden = await openCase(files, name);
    return await compareAll(golden, await adapters[kind](golden, context));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ...nothing, kind, outcome: "failed", reason };
  }
}

async function compareAll(golden: GoldenCase, actual: Record<string, Values>): Promise<CaseResult> {
  const comparisons: Comparison[] = [];
  const notCovered: string[] = [];
  const unreliable: string[] = [];
  for (const tensor of golden.expected) {
    const expected = await golden.read(tensor);
    const note = golden.note(tensor);
    if (!Object.hasOwn(actual, tensor)) notCovered.push(tensor);
    else if (isUnreliable(actual[tensor], note)) unreliable.push(tensor);
    else comparisons.push(compare(tensor, actual[tensor], expected, note));
  }
  const wrong = comparisons.filter(({ failure }) => failure !== null).length;
  const verdict = judge(wrong, comparisons.length);
  return {
    name: golden.name,
    kind: golden.kind,
    covered: true,
    ...verdict,
    comparisons,
    notCovered,
    unreliable,
  };
}

function judge(wrong: number, compared: number): Pick<CaseResult, "outcome" | "reason"> {
  if (wrong > 0) return { outcome: "failed", reason: `${wrong} of ${compared} tensors differ` };
  if (compared === 0) return { outcome: "skipped", reason: "nothing to compare" };
  return { outcome: "passed", reason: null };
}
