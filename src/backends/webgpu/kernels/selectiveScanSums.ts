/** The last pass of the selective scan's way back: what workgroups have of a gradient, added up. */
import type { KernelCall, Pass } from "../kernel.ts";
import { into, wide } from "./library.ts";
import { each, type Share, spanExtent, type Spans } from "./selectiveScanParts.ts";
import type { Work } from "./work.ts";

/** Numbers that are read before they are added: to wait once, not for each. */
const together = 8;

/** Adds up over workgroups, sequences and spans, for every gradient of that kind that is asked for. */
export function finishPass(call: KernelCall, work: Work, { perBlocks }: Share, spans: Spans): Pass[] {
  const { batch, length, dInner, dState, groups } = call.sizes;
  const rows = `batch * ${spanExtent(spans).wgsl}`;
  const overRows = (region: string, width: string) =>
    `for (var r = 0u; r < ${rows}; r += ${together}u) {
${each(together, (k) => `      let row${k} = ${work.at(region, `min(r + ${k}u, ${rows} - 1u) * ${width} + i`)};`)}
${each(together, (k) => `      sum += select(0.0, row${k}, r + ${k}u < ${rows});`)}
    }`;
  const overBlocks = (which: number) =>
    `for (var p = 0u; p < ${perBlocks}u; p++) {
      sum += ${work.at("sumsBC", `((i / dState * ${perBlocks}u + p) * 2u + ${which}u) * dState + i % dState`)};
    }`;
  const perStep = { count: batch * length * groups * dState, extent: "batch * length * groups * dState" };
  const many = batch * spans.count;
  const outputs = [
    {
      name: "d_A",
      count: dState * dInner,
      extent: "dState * dInner",
      terms: many,
      sum: overRows("sumsA", "(dState * dInner)"),
    },
    { name: "d_D", count: dInner, extent: "dInner", terms: many, sum: overRows("sumsD", "dInner") },
    {
      name: "d_deltaBias",
      count: dInner,
      extent: "dInner",
      terms: many,
      sum: overRows("sumsBias", "dInner"),
    },
    {
      name: "d_state",
      count: batch * dState * dInner,
      extent: "batch * dState * dInner",
      terms: 1,
      sum: `sum = ${work.at("initial", "i")};`,
    },
    {
      name: "d_z",
      count: work.has("gates") ? call.length("u") : 0,
      extent: "batch * length * dInner",
      terms: 1,
      sum: `sum = ${work.at("gates", "i")};`,
    },
    { name: "d_B", ...perStep, terms: perBlocks, sum: overBlocks(0) },
    { name: "d_C", ...perStep, terms: perBlocks, sum: overBlocks(1) },
  ].filter(({ name, count }) => call.has(name) && count > 0);
  if (outputs.length === 0) return [];
  const all = outputs.reduce((sum, { count }) => sum + count, 0);
  return [
    {
      reads: ["work"],
      writes: outputs.map(({ name }) => name),
      workgroups: Math.ceil(all / wide),
      workgroupSize: wide,
      bytes:
        4 *
        outputs.reduce((sum, { name, count, terms }) => sum + count * (terms + (call.adds(name) ? 2 : 1)), 0),
      operations: outputs.reduce((sum, { count, terms }) => sum + count * terms, 0),
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  var i = ${wide}u * group + lane;
  var sum = 0.0;
${outputs
  .map(
    ({ name, extent, sum }) => `  if (i < ${extent}) {
    ${sum}
    ${name}[i] ${into(call.adds(name))} sum;
    return;
  }
  i -= ${extent};`,
  )
  .join("\n")}
}`,
    },
  ];
}
