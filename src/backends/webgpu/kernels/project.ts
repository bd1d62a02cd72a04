/**
 * A workgroup owns 8 to 256 columns of one product and reads them once, from all rows of the weight: lanes side by side
 * have four columns each, slices share the inner size. All that an invocation reads is asked for before the first use of
 * any, as far as it has registers for it, since for one token the time of a load is longer than that of all bytes: the
 * lines of the weight, the numbers of the row that go with them, and what the end needs. The slices are added up in
 * workgroup memory, in a fixed order. Traffic: the weights. Wrong for many rows: it does rows multiply-adds for each weight
 * it reads.
 */
import type { Sizes } from "../../../tensor/op.ts";
import { type Gpu, type Kernel, type KernelCall, type KernelSet, onePass } from "../kernel.ts";
import { convStepText } from "./convStep.ts";
import { pinned, sumText, weightAt, weightBinding } from "./library.ts";

const size = 256;

interface Product {
  readonly weight: string;
  readonly y: string;
  readonly columns: number;
}

function productsOf(sizes: Sizes): Product[] {
  return [0, 1, 2]
    .map((i) => ({ weight: `w${i}`, y: `y${i}`, columns: sizes[`c${i}`] }))
    .filter(({ columns }) => columns > 0);
}

/**
 * Columns of a workgroup: as many as leave workgroups for the whole GPU, since long lines are read fastest. Where the weight
 * is small, lines of 128, 64 or 32 bytes are worth more than workgroups.
 */
export function columnsOf(sizes: Sizes, { parallelism }: Gpu): number {
  const products = productsOf(sizes);
  const widest = products.every(({ columns }) => columns % 4 === 0) ? 256 : 64;
  const enough = parallelism / size;
  const groups = (each: number) => products.reduce((sum, { columns }) => sum + Math.ceil(columns / each), 0);
  const wide = [256, 128, 64, 32].find((columns) => columns <= widest && groups(columns) >= enough);
  return wide ?? [32, 16].find((columns) => groups(columns) >= (3 * enough) / 8) ?? 8;
}

/** Most columns of a weight whose product is made in parts, and most channels of all rows that a workgroup makes then. */
export const mostInParts = { columns: 4 * size, channels: 1024 };

/** Lines of the weight that an invocation asks for at once. */
const together = { few: 12, many: 8 };

/** Rows whose sums are in workgroup memory at once. */
const rowsAtOnce = 2;

const forward: Kernel = (call, gpu) => {
  const { rows, inner, uParts = 1 } = call.sizes;
  const gathers = uParts > 1 || call.has("whole");
  const products = productsOf(call.sizes);
  const vector = products.every(({ columns }) => columns % 4 === 0);
  const [type, width] = vector ? (["vec4f", 4] as const) : (["f32", 1] as const);
  const wide = columnsOf(call.sizes, gpu);
  const across = wide / width;
  const slices = size / across;
  const groups = products.map(({ columns }) => Math.ceil(columns / wide));
  const starts = groups.map((_, i) => groups.slice(0, i).reduce((a, b) => a + b, 0));
  const [norm, gate, residual, conv] = ["gain", "z", "residual", "convWeight"].map((name) => call.has(name));

  // Slices take the inner size in turns of `turn` neighbours, of which a round has several.
  const turn = gathers ? 4 : ([4, 2].find((n) => inner % (n * slices) === 0) ?? (inner % 4 === 0 ? 4 : 1));
  const numbers = turn === 1 ? "f32" : `vec${turn}f`;
  const turns = inner / turn;
  const perSlice = Math.ceil(turns / slices);
  const inRound = Math.ceil(
    perSlice / Math.ceil((perSlice * turn) / (rows > 2 ? together.many : together.few)),
  );
  const rounds = Math.ceil(perSlice / inRound);
  const ragged = rounds * inRound * slices > turns;

  const as = (name: string) => (vector ? `${name}: vec4f` : name);
  const inTurns = (name: string) => (turn > 1 ? `${name}: ${numbers}` : name);
  const each = <T>(count: number, text: (i: number) => T) => Array.from({ length: count }, (_, i) => text(i));
  const lines = (count: number, text: (i: number) => string) => each(count, text).join("\n    ");
  const perProduct = (text: (product: Product, i: number) => string) =>
    products.map((product, i) => `if (part == ${i}u) { ${text(product, i)} }`).join(" else ");

  /** What a turn is multiplied with, of one row. */
  const prepared = (i: number, row: number) => {
    const at = `${row * turns}u + turn${i}`;
    return `
      var value${i} = ${gathers ? "gathered" : "u"}[${at}];
      ${norm ? `squares${row} += ${turn > 1 ? `dot(value${i}, value${i})` : `value${i} * value${i}`}; value${i} *= gain${i};` : ""}
      ${gate ? `let gate${i} = z[${at}]; value${i} *= gate${i} / (1.0 + exp(-gate${i}));` : ""}`;
  };
  const multiplied = (i: number, row: number) =>
    each(turn, (c) => {
      const value = turn > 1 ? `value${i}.${"xyzw"[c]}` : `value${i}`;
      return `sum${row} = fma(${type}(${value}), w${i}_${c}, sum${row});`;
    }).join(" ");

  const loads = `
    ${lines(inRound, (i) => `let turn${i} = ${ragged ? `min((at * ${inRound}u + ${i}u) * ${slices}u + slice, ${turns - 1}u)` : `(at * ${inRound}u + ${i}u) * ${slices}u + slice`};`)}
    ${lines(inRound, (i) => each(turn, (c) => `var w${i}_${c}: ${type};`).join(" "))}
    ${perProduct(({ weight }) => lines(inRound, (i) => each(turn, (c) => `w${i}_${c} = ${weight}_at((${turn}u * turn${i} + ${c}u) * columns + j);`).join(" ")))}
    ${norm ? lines(inRound, (i) => `let gain${i} = gain[turn${i}];`) : ""}`;
  const uses = `
    ${lines(rows, (row) =>
      ragged
        ? lines(
            inRound,
            (i) =>
              `if ((at * ${inRound}u + ${i}u) * ${slices}u + slice < ${turns}u) { ${prepared(i, row)} ${multiplied(i, row)} }`,
          )
        : `{ ${lines(inRound, (i) => prepared(i, row))} ${lines(inRound, (i) => multiplied(i, row))} }`,
    )}`;

  // What comes in parts is asked for first, then the weight; while that is on its way the workgroup adds the parts up.
  const passes = gathers ? Math.ceil(turns / size) : 0;
  const inPass = (pass: number) => `lane + ${pass * size}u`;
  const part = (pass: number, i: number) => `u[${i * turns}u + ${inPass(pass)}]`;
  const gatherAhead = gathers
    ? pinned(
        `lane < ${turns}u`,
        "vec4f",
        each(uParts, (i) => [`part${i}`, part(0, i)] as const),
      )
    : "";
  const gather = `${lines(
    passes,
    (pass) => `if (${inPass(pass)} < ${turns}u) {
      let sum = ${sumText(uParts, (i) => (pass === 0 ? `part${i}` : part(pass, i)))};
      gathered[${inPass(pass)}] = sum;
      ${call.has("whole") ? `if (group == 0u) { whole[${inPass(pass)}] = sum; }` : ""}
    }`,
  )}
    ${gathers ? "workgroupBarrier();" : ""}`;

  const convolution = conv
    ? convStepText(call.sizes, {
        type,
        weight: "convWeight",
        bias: call.has("convBias") ? "convBias" : null,
        channels: "columns",
        channel: "j",
      })
    : null;
  const next = call.has("xProj") ? partsText(call, wide, groups[0]) : null;
  /** What the end of a row reads, and the end itself. */
  const ahead = (some: readonly number[]) => {
    const residuals = some.map((row) => [`residual${row}`, `residual[${row}u * columns + j]`] as const);
    if (!convolution) return residual ? pinned("inside", type, residuals) : "";
    const wanted = [
      ...(some[0] === 0 ? convolution.taps : []),
      ...some.flatMap((row) => convolution.past(`${row}u`, row)),
    ];
    return pinned("part == 0u", type, wanted);
  };
  const finish = (row: number) =>
    perProduct(({ y }, i) =>
      convolution && i === 0
        ? `${convolution.step(`${row}u`, "y", "next", row)} ${y}[${row}u * columns + j] = next; ${next?.keep(row, "next") ?? ""}`
        : `${y}[${row}u * columns + j] = y${residual ? ` + residual${row}` : ""};`,
    );

  // Few invocations add up what many have: first each of those that remain adds some, then one adds those.
  const remain = slices > 16 ? Math.max(8, slices / 16) : slices;
  const batches = each(Math.ceil(rows / rowsAtOnce), (i) =>
    each(Math.min(rowsAtOnce, rows - i * rowsAtOnce), (k) => i * rowsAtOnce + k),
  );
  const place = (k: number, at: string) => `${k * size}u + ${at}`;
  const own = `lane % ${remain * across}u`;
  const total = (name: string, k: number, count: number, first: string, step: number) =>
    sumText(count, (i) => `${name}[${place(k, `${first} + ${i * step}u`)}]`);
  const reduced = (batch: number[]) => `
  ${batch.map((row, k) => `partial[${place(k, "lane")}] = sum${row}; ${norm ? `squares[${place(k, "lane")}] = squares${row};` : ""}`).join("\n  ")}
  workgroupBarrier();
  ${
    remain < slices
      ? `if (lane < ${remain * across}u) {
    ${batch
      .flatMap((_, k) =>
        (norm ? ["partial", "squares"] : ["partial"]).map(
          (name) => `${name}[${place(k, own)}] = ${total(name, k, slices / remain, own, remain * across)};`,
        ),
      )
      .join("\n    ")}
  }
  workgroupBarrier();`
      : ""
  }
  if (slice == 0u && inside) {
    ${batch
      .map(
        (row, k) => `{
      ${norm ? `let scale = 1.0 / sqrt(${total("squares", k, remain, `x % ${across}u`, across)} / f32(inner) + epsilon);` : ""}
      let y = ${norm ? "scale * " : ""}(${total("partial", k, remain, `x % ${across}u`, across)});
      ${finish(row)}
    }`,
      )
      .join("\n    ")}
  }`;

  return onePass({
    reads: [
      ...["u", "gain", "z"].filter((name) => call.has(name)).map(inTurns),
      ...products.map(({ weight }) => weightBinding(weight, call.dtype(weight), vector)),
      ...["residual", "convWeight", "convBias"].filter((name) => call.has(name)).map(as),
      ...(next ? [weightBinding("xProj", call.dtype("xProj"), true)] : []),
    ],
    writes: [
      ...(conv ? [as("state")] : []),
      ...products.map(({ y }) => as(y)),
      ...(next ? ["projected: vec4f"] : []),
      ...(call.has("whole") ? ["whole: vec4f"] : []),
    ],
    workgroups: groups.reduce((a, b) => a + b, 0),
    workgroupSize: size,
    operations: 2 * rows * inner * products.reduce((sum, { columns }) => sum + columns, 0),
    code: /* wgsl */ `
var<workgroup> partial: array<${type}, ${size * Math.min(rows, rowsAtOnce)}>;
${norm ? `var<workgroup> squares: array<f32, ${size * Math.min(rows, rowsAtOnce)}>;` : ""}
${products.map(({ weight }) => weightAt(weight, call.dtype(weight), vector)).join("")}
${next?.declarations ?? ""}
${gathers ? `var<workgroup> gathered: array<vec4f, ${turns}>;` : ""}
fn run(group: u32, lane: u32) {
  let x = lane % ${across}u;
  let slice = lane / ${across}u;
  var part = 0u;
  var start = 0u;
  var columns = ${products[0].columns / width}u;
  ${products
    .slice(1)
    .map(
      ({ columns }, i) =>
        `if (group >= ${starts[i + 1]}u) { part = ${i + 1}u; start = ${starts[i + 1]}u; columns = ${columns / width}u; }`,
    )
    .join("\n  ")}
  let inside = (group - start) * ${across}u + x < columns;
  let j = min((group - start) * ${across}u + x, columns - 1u);
  ${ahead(batches[0])}
  ${next?.ahead ?? ""}
  ${lines(rows, (row) => `var sum${row} = ${type}(0.0);${norm ? ` var squares${row} = 0.0;` : ""}`)}
  ${gatherAhead}
  ${gathers || rounds === 1 ? `{ let at = 0u;${loads}\n    ${gather}${uses}\n  }` : ""}
  ${rounds > 1 ? `for (var at = ${gathers ? 1 : 0}u; at < ${rounds}u; at++) {${loads}${uses}\n  }` : ""}
  ${batches.map((batch, i) => `${i > 0 ? `workgroupBarrier();\n  ${ahead(batch)}` : ""}${reduced(batch)}`).join("\n  ")}
  ${next?.finish ?? ""}
}`,
  });
};

/**
 * The product of the channels that a workgroup has made, by their rows of xProj: an invocation has four columns and some of
 * the channels. Statements for y0's workgroups; the others pass by.
 */
function partsText(call: KernelCall, channels: number, groups: number) {
  const { rows, cx } = call.sizes;
  const slots = cx / 4;
  const each = Math.ceil(channels / Math.min(channels, Math.floor(size / slots)));
  const teams = Math.ceil(channels / each);
  const own = Array.from({ length: each }, (_, i) => i);
  const guarded = (i: number, statement: string) =>
    each * teams > channels ? `if (team * ${each}u + ${i}u < ${channels}u) { ${statement} }` : statement;
  return {
    declarations: `var<workgroup> made: array<f32, ${rows * channels}>;${weightAt("xProj", call.dtype("xProj"), true)}`,
    /** The weight: it does not wait for anything. */
    ahead: `let slot = lane % ${slots}u;
  let team = lane / ${slots}u;
  ${own.map((i) => `var next${i} = vec4f();`).join(" ")}
  if (part == 0u && team < ${teams}u) {
    ${own.map((i) => guarded(i, `next${i} = xProj_at((group * ${channels}u + team * ${each}u + ${i}u) * ${slots}u + slot);`)).join("\n    ")}
  }`,
    /** Keeps four channels of a row. */
    keep: (row: number, made: string) =>
      [0, 1, 2, 3]
        .map((c) => `made[${row * channels + c}u + 4u * (x % ${channels / 4}u)] = ${made}[${c}];`)
        .join(" "),
    finish: Array.from(
      { length: rows },
      (_, row) => `
  workgroupBarrier();
  {
    var some = vec4f();
    ${own.map((i) => guarded(i, `some = fma(vec4f(made[${row * channels}u + (team * ${each}u + ${i}u) % ${channels}u]), next${i}, some);`)).join("\n    ")}
    partial[lane] = some;
  }
  workgroupBarrier();
  if (part == 0u && lane < ${slots}u) {
    projected[(${row * groups}u + group) * ${slots}u + slot] = ${sumText(teams, (t) => `partial[slot + ${t * slots}u]`)};
  }`,
    ).join(""),
  };
}

export const project: KernelSet = { forward, floats: ["epsilon"] };
