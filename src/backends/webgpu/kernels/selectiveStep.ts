/**
 * A workgroup has 16 channels of one sequence; for each of them 16 invocations share the states and the inner product
 * that gives Δ. All that an invocation reads is asked for before the first use of any: for one token the time of a load is
 * longer than that of all bytes. What x_proj made comes in parts that are to be added up, which every workgroup does
 * for itself, in a fixed order. Traffic: dtProj and logA once, the state twice; the parts from the caches.
 */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { log1p, scalar, softplus, sumText, weightAt } from "./library.ts";

const size = 256;
/** Channels of a workgroup. */
export const channels = 16;
const sharers = size / channels;

/** Parts that are on their way together. */
const together = 16;

const selectiveStepForward: Kernel = (call) => {
  const { batch, dInner, dState, dtRank, parts } = call.sizes;
  const [skip, bias, gate] = ["D", "deltaBias", "z"].map((name) => call.has(name));
  const columns = dtRank + 2 * dState;
  const perRow = Math.ceil(dInner / channels);
  const ranks = turnsOf(dtRank, "r");
  const states = turnsOf(dState, "n");

  const vector = columns % 4 === 0;
  const [type, width] = vector ? (["vec4f", 4] as const) : (["f32", 1] as const);
  const places = columns / width;
  const teams = Math.max(1, Math.min(parts, Math.floor(size / places)));
  const perTeam = Math.ceil(parts / teams);
  const rounds = Math.ceil(perTeam / together);
  const inRound = Math.ceil(perTeam / rounds);
  const row = (index: string) => (vector ? `row[(${index}) / 4u][(${index}) % 4u]` : `row[${index}]`);
  const collected = (slot: string, team: string) => `
    var sum = ${type}(0.0);
    for (var at = 0u; at < ${rounds}u; at++) {
      ${list(inRound, (i) => `let part${i} = (at * ${inRound}u + ${i}u) * ${teams}u + ${team};`)}
      ${list(inRound, (i) => `let some${i} = projected[(b * ${parts}u + min(part${i}, ${parts - 1}u)) * ${places}u + ${slot}];`)}
      ${list(inRound, (i) => (rounds * inRound * teams > parts ? `if (part${i} < ${parts}u) { sum += some${i}; }` : `sum += some${i};`))}
    }`;

  return onePass({
    reads: [
      "u",
      vector ? "projected: vec4f" : "projected",
      "dtProj",
      "logA",
      ...["D", "deltaBias", "z"].filter((name) => call.has(name)),
    ],
    writes: ["state", "y"],
    workgroups: batch * perRow,
    workgroupSize: size,
    operations: batch * dInner * (dState * 8 + 2 * dtRank),
    code: /* wgsl */ `${scalar(log1p + softplus)}${weightAt("dtProj", call.dtype("dtProj"), false)}
${teams > 1 ? `var<workgroup> sums: array<${type}, ${size}>;` : ""}
var<workgroup> row: array<${type}, ${places}>;
var<workgroup> deltas: array<f32, ${size}>;
var<workgroup> outputs: array<f32, ${size}>;
fn run(group: u32, lane: u32) {
  let b = group / ${perRow}u;
  let channel = lane % ${channels}u;
  let sharer = lane / ${channels}u;
  let inside = (group % ${perRow}u) * ${channels}u + channel < dInner;
  let d = min((group % ${perRow}u) * ${channels}u + channel, dInner - 1u);
  ${ranks.each(({ index, i }) => `let w${i} = dtProj_at(${index} * dInner + d);`)}
  ${states.each(({ index, i }) => `let a${i} = logA[${index} * dInner + d]; let h${i} = state[(b * dState + ${index}) * dInner + d];`)}
  let input = u[b * dInner + d];
  ${bias ? "let deltaStart = deltaBias[d];" : ""}
  ${skip ? "let skipped = D[d];" : ""}
  ${gate ? "let gate = z[b * dInner + d];" : ""}

  ${
    teams > 1
      ? `let slot = lane % ${places}u;
  let team = lane / ${places}u;
  if (team < ${teams}u) {${collected("slot", "team")}
    sums[lane] = sum;
  }
  workgroupBarrier();
  if (team == 0u) { row[slot] = ${sumText(teams, (i) => `sums[slot + ${i * places}u]`)}; }`
      : `for (var slot = lane; slot < ${places}u; slot += ${size}u) {${collected("slot", "0u")}
    row[slot] = sum;
  }`
  }
  workgroupBarrier();

  var product = 0.0;
  ${ranks.each(({ index, i, guard }) => guard(`product = fma(${row(index)}, w${i}, product);`))}
  deltas[lane] = product;
  workgroupBarrier();
  let delta = ${bias ? "deltaStart + " : ""}${sumText(sharers, (i) => `deltas[channel + ${i * channels}u]`)};
  let step = select(softplus(delta), delta, delta > 20.0);

  var output = 0.0;
  ${states.each(({ index, i, guard }) =>
    guard(`{
    let h = fma(exp(-step * exp(a${i})), h${i}, step * ${row(`${dtRank}u + ${index}`)} * input);
    if (inside) { state[(b * dState + ${index}) * dInner + d] = h; }
    output = fma(${row(`${dtRank + dState}u + ${index}`)}, h, output);
  }`),
  )}
  outputs[lane] = output;
  workgroupBarrier();
  if (sharer == 0u && inside) {
    let sum = ${skip ? "skipped * input + " : ""}${sumText(sharers, (i) => `outputs[channel + ${i * channels}u]`)};
    y[b * dInner + d] = sum${gate ? " * gate / (1.0 + exp(-gate))" : ""};
  }
}`,
  });
};

/** What an invocation has of `count` numbers that the sharers of a channel divide: every sixteenth. */
function turnsOf(count: number, name: string) {
  const turns = Math.ceil(count / sharers);
  return {
    each: (
      text: (turn: { index: string; i: string; guard: (statement: string) => string }) => string,
    ): string =>
      list(turns, (turn) => {
        const place = `sharer + ${turn * sharers}u`;
        const over = (turn + 1) * sharers > count;
        return text({
          index: over ? `min(${place}, ${count - 1}u)` : `(${place})`,
          i: `${name}${turn}`,
          guard: (statement) => (over ? `if (${place} < ${count}u) { ${statement} }` : statement),
        });
      }),
  };
}

function list(count: number, text: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => text(i)).join("\n  ");
}

export const selectiveStep: KernelSet = { forward: selectiveStepForward };
