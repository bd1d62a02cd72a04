/** What the kernels of one step of a selective scan share, as text. */
import { bytesPerNumber } from "../../../tensor/backend.ts";
import type { KernelCall } from "../kernel.ts";
import { pinned, sumText } from "./library.ts";

/** Parts that are on their way together. */
const together = 16;

/** Bytes that a step moves: what it is given once, the state twice; small vectors do not count. */
export function moved(call: KernelCall): number {
  const [u, projected, logA, state] = ["u", "projected", "logA", "state"].map((name) => call.length(name));
  return (
    bytesPerNumber[call.dtype("dtProj")] * call.length("dtProj") + 4 * (u + projected + logA + 2 * state)
  );
}

/**
 * What x_proj made of a sequence, (parts, columns) in `projected`, added up in workgroup memory by every workgroup for
 * itself, in a fixed order: `ahead` asks for the first of it, `statements` end with a barrier.
 */
export function rowText(parts: number, columns: number, size: number) {
  const vector = columns % 4 === 0;
  const [type, width] = vector ? (["vec4f", 4] as const) : (["f32", 1] as const);
  const places = columns / width;
  const teams = Math.max(1, Math.min(parts, Math.floor(size / places)));
  const perTeam = Math.ceil(parts / teams);
  const rounds = Math.ceil(perTeam / together);
  const inRound = Math.ceil(perTeam / rounds);
  const ragged = rounds * inRound * teams > parts;
  const part = (i: number) => `(at * ${inRound}u + ${i}u) * ${teams}u + team`;
  const value = (b: string, i: number) =>
    `projected[(${b} * ${parts}u + min(${part(i)}, ${parts - 1}u)) * ${places}u + slot]`;
  const indices = Array.from({ length: inRound }, (_, i) => i);
  const added = list(inRound, (i) =>
    ragged ? `if (${part(i)} < ${parts}u) { sum += some${i}; }` : `sum += some${i};`,
  );
  const inLoop = (b: string, from: number) =>
    rounds > from
      ? `for (var at = ${from}u; at < ${rounds}u; at++) {
      ${list(inRound, (i) => `let some${i} = ${value(b, i)};`)}
      ${added}
    }`
      : "";
  return {
    binding: vector ? "projected: vec4f" : "projected",
    declarations: `${teams > 1 ? `var<workgroup> sums: array<${type}, ${size}>;` : ""}
var<workgroup> row: array<${type}, ${places}>;`,
    ahead: (b: string) =>
      teams > 1
        ? `let slot = lane % ${places}u;
  let team = lane / ${places}u;
  let at = 0u;
  ${pinned(
    `team < ${teams}u`,
    type,
    indices.map((i) => [`some${i}`, value(b, i)] as const),
  )}`
        : "",
    statements: (b: string) =>
      teams > 1
        ? `if (team < ${teams}u) {
    var sum = ${type}(0.0);
    ${added}
    ${inLoop(b, 1)}
    sums[lane] = sum;
  }
  workgroupBarrier();
  if (lane < ${places}u) { row[slot] = ${sumText(teams, (i) => `sums[slot + ${i * places}u]`)}; }
  workgroupBarrier();`
        : `let team = 0u;
  for (var slot = lane; slot < ${places}u; slot += ${size}u) {
    var sum = ${type}(0.0);
    ${inLoop(b, 0)}
    row[slot] = sum;
  }
  workgroupBarrier();`,
    at: (index: string) => (vector ? `row[(${index}) / 4u][(${index}) % 4u]` : `row[${index}]`),
  };
}

/** What an invocation has of `count` numbers that `sharers` invocations divide: every sharers-th, from `sharer` on. */
export function turnsOf(count: number, sharers: number, name: string) {
  const turns = Math.ceil(count / sharers);
  return <T>(text: (turn: { index: string; i: string; guard: (statement: string) => string }) => T) =>
    Array.from({ length: turns }, (_, turn) => {
      const place = `sharer + ${turn * sharers}u`;
      const over = (turn + 1) * sharers > count;
      return text({
        index: over ? `min(${place}, ${count - 1}u)` : `(${place})`,
        i: `${name}${turn}`,
        guard: (statement) => (over ? `if (${place} < ${count}u) { ${statement} }` : statement),
      });
    });
}

export function list(count: number, text: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => text(i)).join("\n  ");
}
