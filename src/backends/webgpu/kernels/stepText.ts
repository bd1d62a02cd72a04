/** What the kernels of one step of a selective scan share, as text. */
import { sumText } from "./library.ts";

/** Parts that are on their way together. */
const together = 16;

/**
 * What x_proj made of a sequence, (parts, columns) in `projected`, added up in workgroup memory by every workgroup for
 * itself, in a fixed order. `statements` end with a barrier.
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
  const collected = (b: string, slot: string, team: string) => `
    var sum = ${type}(0.0);
    for (var at = 0u; at < ${rounds}u; at++) {
      ${list(inRound, (i) => `let part${i} = (at * ${inRound}u + ${i}u) * ${teams}u + ${team};`)}
      ${list(inRound, (i) => `let some${i} = projected[(${b} * ${parts}u + min(part${i}, ${parts - 1}u)) * ${places}u + ${slot}];`)}
      ${list(inRound, (i) => (ragged ? `if (part${i} < ${parts}u) { sum += some${i}; }` : `sum += some${i};`))}
    }`;
  return {
    binding: vector ? "projected: vec4f" : "projected",
    declarations: `${teams > 1 ? `var<workgroup> sums: array<${type}, ${size}>;` : ""}
var<workgroup> row: array<${type}, ${places}>;`,
    statements: (b: string) =>
      teams > 1
        ? `let slot = lane % ${places}u;
  let team = lane / ${places}u;
  if (team < ${teams}u) {${collected(b, "slot", "team")}
    sums[lane] = sum;
  }
  workgroupBarrier();
  if (team == 0u) { row[slot] = ${sumText(teams, (i) => `sums[slot + ${i * places}u]`)}; }
  workgroupBarrier();`
        : `for (var slot = lane; slot < ${places}u; slot += ${size}u) {${collected(b, "slot", "0u")}
    row[slot] = sum;
  }
  workgroupBarrier();`,
    at: (index: string) => (vector ? `row[(${index}) / 4u][(${index}) % 4u]` : `row[${index}]`),
  };
}

/** What an invocation has of `count` numbers that `sharers` invocations divide: every sharers-th, from `sharer` on. */
export function turnsOf(count: number, sharers: number, name: string) {
  const turns = Math.ceil(count / sharers);
  return (text: (turn: { index: string; i: string; guard: (statement: string) => string }) => string) =>
    list(turns, (turn) => {
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
