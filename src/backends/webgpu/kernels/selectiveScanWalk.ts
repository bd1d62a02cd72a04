/** How a workgroup of the selective scan's way back goes through 16 steps: WGSL between its fetching and its last sums. */
import type { KernelCall } from "../kernel.ts";
import { chunkSteps, each, gather, isCut, turnStride } from "./selectiveScanParts.ts";
import {
  fewSteps,
  finishCells,
  partsOfStep,
  putSums,
  strideOf,
  sumRows,
  type Tile,
} from "./selectiveScanTile.ts";
import type { Work } from "./work.ts";

const few = Array.from({ length: fewSteps }, (_, t) => t);
const fours = chunkSteps / fewSteps;

/** Step t of the four from 4q on. */
const step = (t: number) => `(${fewSteps}u * q + ${t}u)`;

/**
 * `there` leaves in start0 … start3 the states that each four of the steps begin with; `back` takes the fours, the last
 * first, there again and back with the adjoint g, and finishes the gradients of all 16.
 */
export function walkText(call: KernelCall, work: Work, tile: Tile): { there: string; back: string } {
  const { channels, lanes, padded, ragged, inside } = tile.share;
  const unlessCut = (t: string, value: string) =>
    call.has("resets") ? `select(${value}, vec4f(0.0), ${isCut(call, t)})` : value;
  const row = (name: string, t: string) => {
    if (tile.rows) {
      const first = tile.quads ? `turn * ${turnStride(lanes, chunkSteps)}u + ` : "";
      return `rows${name}[${first}${t} * ${lanes}u + s]`;
    }
    const line = `((b * length + begin + min(${t}, count - 1u)) * groups + ofGroup) * dState`;
    return gather(padded, "n", (m) => work.at(name, `${line} + ${m}`), tile.quads);
  };
  const part = (value: string) => {
    const own = ragged ? `select(vec4f(0.0), ${value}, mine)` : value;
    return tile.quads ? `sumOfQuad(${own})` : own;
  };
  const partType = tile.quads ? "f32" : "vec4f";

  const stepThere = (t: number) => /* wgsl */ `      let cell${t} = cells[${step(t)} * ${channels}u + c];
      let B${t} = ${row("B", step(t))};
      let input${t} = cell${t}.x * cell${t}.y;
      let decay${t} = exp2(rate * cell${t}.x);
      let carried${t} = decay${t} * ${unlessCut(step(t), t === 0 ? "start" : `h${t - 1}`)};
      let h${t} = fma(B${t}, vec4f(input${t}), carried${t});`;
  const stepBack = (t: number) => /* wgsl */ `      var toB${t}: ${partType};
      var toC${t}: ${partType};
      var sum${t}: vec3f;
      {
        let pull = pulls[${step(t)} * ${channels}u + c];
        let C = ${row("C", step(t))};
        g = fma(C, vec4f(pull), g);
        ${padded ? "g = select(g, vec4f(0.0), beyond);" : ""}
        let slope = g * carried${t};
        dRate = fma(slope, vec4f(cell${t}.x), dRate);
        toB${t} = ${part(`g * input${t}`)};
        toC${t} = ${part(`h${t} * pull`)};
        sum${t} = vec3f(${call.has("z") ? `dot(C, h${t})` : "0.0"}, dot(g, B${t}), dot(slope, rate));
        g = ${unlessCut(step(t), `g * decay${t}`)};
      }`;
  return {
    there: /* wgsl */ `    var start0 = h;
    var start1: vec4f;
    var start2: vec4f;
    var start3: vec4f;
    for (var q = 0u; q < ${fours - 1}u; q++) {
${each(
  fewSteps,
  (t) => `      {
        let cell = cells[${step(t)} * ${channels}u + c];
        h = fma(${row("B", step(t))}, vec4f(cell.x * cell.y), exp2(rate * cell.x) * ${unlessCut(step(t), "h")});
      }`,
)}
      start1 = start2;
      start2 = start3;
      start3 = h;
    }`,
    back: /* wgsl */ `    for (var e = 0u; e < ${fours}u; e++) {
      let q = (${fours - 1}u - e) % ${fours}u;
      let start = start3;
      start3 = start2;
      start2 = start1;
      start1 = start0;
${few.map(stepThere).join("\n")}
${few.map((t) => stepBack(fewSteps - 1 - t)).join("\n")}
${inside ? keepFour(work, tile) : finishFour(call, work, tile)}
    }
    ${inside ? `workgroupBarrier();\n${summing(work, tile, "0u")}\n${finishCells(call, work, tile, chunkSteps)}` : ""}`,
  };
}

function summing(work: Work, tile: Tile, from: string): string {
  return `    let from_ = ${from};\n${sumRows(tile, work)}`;
}

/** Keeps what four steps give until all 16 are finished; what they give to B and C, as long as there is room. */
function keepFour(work: Work, tile: Tile): string {
  const perStep = partsOfStep(tile);
  return /* wgsl */ `      ${putSums(tile)}
${each(
  fewSteps,
  (t) => `      {
        let at = (${step(t)} % ${tile.steps}u) * ${2 * perStep}u + own;
        parts[at] = toB${t};
        parts[at + ${perStep}u] = toC${t};
      }`,
)}
      if (q % ${tile.steps / fewSteps}u == 0u && q > 0u) {
        workgroupBarrier();
        ${summing(work, tile, `${fewSteps}u * q`)}
        workgroupBarrier();
      }`;
}

/** Adds up what four steps give, and finishes them, `tile.steps` at once. */
function finishFour(call: KernelCall, work: Work, tile: Tile): string {
  const { share, steps } = tile;
  const perStep = partsOfStep(tile);
  const stride = strideOf(share, tile.quads);
  const phases = Array.from({ length: fewSteps / steps }, (_, j) => fewSteps - (j + 1) * steps);
  return phases
    .map(
      (first) => /* wgsl */ `      {
${each(
  steps,
  (i) => `        parts[s * ${stride}u + c + ${i * perStep}u] = toB${first + i};
        parts[s * ${stride}u + c + ${(i + steps) * perStep}u] = toC${first + i};
        sums[own + ${i * share.size}u] = vec4f(sum${first + i}, 0.0);`,
)}
        workgroupBarrier();
        ${summing(work, tile, step(first))}
${finishCells(call, work, tile, steps)}
        workgroupBarrier();
      }`,
    )
    .join("\n");
}
