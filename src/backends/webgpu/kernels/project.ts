/**
 * A workgroup owns 16 to 256 columns of one product and reads them once, from all rows of the weight: lanes side by side
 * have four columns each, slices of the inner size are added up in workgroup memory at the end, in a fixed order. The
 * row that is multiplied is prepared by every workgroup for itself, from the caches. Traffic: the weights. Wrong for
 * many rows: it does rows multiply-adds for each weight it reads.
 */
import { type Gpu, type Kernel, type KernelCall, type KernelSet, onePass } from "../kernel.ts";
import { convStepText } from "./convStep.ts";
import { sumOfGroup, weightAt, weightBinding } from "./library.ts";

const size = 256;

/** Numbers of all rows that are prepared at once, more or less. */
const staged = 2048;

interface Product {
  readonly weight: string;
  readonly y: string;
  readonly columns: number;
}

function productsOf({ sizes }: KernelCall): Product[] {
  return [0, 1, 2]
    .map((i) => ({ weight: `w${i}`, y: `y${i}`, columns: sizes[`c${i}`] }))
    .filter(({ columns }) => columns > 0);
}

/** Lanes side by side: as many as leave workgroups for the whole GPU, since long lines are read fastest. */
function acrossOf(products: readonly Product[], width: number, { parallelism }: Gpu): number {
  const groups = (across: number) =>
    products.reduce((sum, { columns }) => sum + Math.ceil(columns / (width * across)), 0);
  const widths = [256, 128, 64, 32, 16, 8, 4]
    .map((columns) => columns / width)
    .filter((across) => across <= 64);
  const enough = widths.find((across) => groups(across) >= parallelism / size);
  return enough ?? widths.find((across) => groups(across) >= parallelism / size / 8) ?? 4 / width;
}

const forward: Kernel = (call, gpu) => {
  const { rows, inner } = call.sizes;
  const products = productsOf(call);
  const vector = products.every(({ columns }) => columns % 4 === 0);
  const [type, width] = vector ? (["vec4f", 4] as const) : (["f32", 1] as const);
  const across = acrossOf(products, width, gpu);
  const slices = size / across;
  // Loads of one invocation that are on their way together: the time of one is what a small product takes.
  const together = Math.min(rows > 2 ? 4 : 8, Math.ceil(inner / slices));
  const round = slices * together;
  const tile = Math.min(Math.ceil(inner / round), Math.max(1, Math.floor(staged / rows / round))) * round;
  const groups = products.map(({ columns }) => Math.ceil(columns / (width * across)));
  const as = (name: string) => (vector ? `${name}: vec4f` : name);
  const [norm, gate, residual, conv] = ["gain", "z", "residual", "convWeight"].map((name) => call.has(name));
  // The row is prepared by vectors of four where it has whole ones.
  const four = inner % 4 === 0;
  const [numbers, wide] = four ? ["vec4f", 4] : ["f32", 1];
  const inFours = (name: string) => (four ? `${name}: vec4f` : name);
  const perProduct = (line: (product: Product, i: number) => string) =>
    products.map((product, i) => `if (part == ${i}u) { ${line(product, i)} }`).join(" else ");
  const starts = groups.map((_, i) => groups.slice(0, i).reduce((a, b) => a + b, 0));
  const each = Array.from({ length: rows }, (_, row) => row);
  const loads = Array.from({ length: together }, (_, i) => i);
  const totalColumns = products.reduce((sum, { columns }) => sum + columns, 0);

  const convolution = () =>
    convStepText(call.sizes, {
      type,
      weight: "convWeight",
      start: call.has("convBias") ? "convBias[j]" : `${type}(0.0)`,
      row: "row",
      channel: "j",
      channels: "columns",
      input: "y",
      y: "y0[row * columns + j]",
    });

  return onePass({
    reads: [
      ...["u", "gain", "z"].filter((name) => call.has(name)).map(inFours),
      ...products.map(({ weight }) => weightBinding(weight, call.dtype(weight), vector)),
      ...["residual", "convWeight", "convBias"].filter((name) => call.has(name)).map(as),
    ],
    writes: [...(conv ? [as("state")] : []), ...products.map(({ y }) => as(y))],
    workgroups: groups.reduce((a, b) => a + b, 0),
    workgroupSize: size,
    operations: 2 * rows * inner * totalColumns,
    code: /* wgsl */ `
var<workgroup> prepared: array<${numbers}, ${Math.ceil((rows * tile) / wide)}>;
var<workgroup> partial: array<${type}, ${size}>;
${norm ? sumOfGroup("f32", size) : ""}
${products.map(({ weight }) => weightAt(weight, call.dtype(weight), vector)).join("")}
fn weight(part: u32, at: u32) -> ${type} {
  ${perProduct(({ weight }) => `return ${weight}_at(at);`)}
  return ${type}(0.0);
}
fn prepared_at(i: u32) -> f32 { return prepared[${four ? "i >> 2u][i & 3u" : "i"}]; }
fn finish(part: u32, row: u32, columns: u32, j: u32, y: ${type}) {
  ${perProduct(({ y }, i) =>
    conv && i === 0
      ? convolution()
      : `${y}[row * columns + j] = y${residual ? " + residual[row * columns + j]" : ""};`,
  )}
}
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
  let j = (group - start) * ${across}u + x;
  let inside = j < columns;
  ${each.map((row) => `var sum${row} = ${type}(0.0);${norm ? ` var squares${row} = 0.0;` : ""}`).join("\n  ")}
  for (var at = 0u; at < inner; at += ${tile}u) {
    for (var i = lane; i < ${Math.ceil(tile / wide)}u; i += ${size}u) {
      let first = at / ${wide}u + i;
      ${each
        .map(
          (row) => `{
        var value = ${numbers}(0.0);
        if (first < ${inner / wide}u) {
          value = u[${(row * inner) / wide}u + first];
          ${norm ? `squares${row} += ${four ? "dot(value, value)" : "value * value"}; value *= gain[first];` : ""}
          ${gate ? `let gate = z[${(row * inner) / wide}u + first]; value *= gate / (1.0 + exp(-gate));` : ""}
        }
        prepared[${Math.ceil((row * tile) / wide)}u + i] = value;
      }`,
        )
        .join("\n      ")}
    }
    workgroupBarrier();
    if (inside) {
      let end = min(${tile}u, inner - at);
      for (var k = slice; k < end; k += ${round}u) {
        ${loads.map((i) => `let weight${i} = weight(part, min(at + k + ${i * slices}u, inner - 1u) * columns + j);`).join("\n        ")}
        ${loads
          .flatMap((i) =>
            each.map(
              (row) =>
                `sum${row} = fma(${type}(prepared_at(${row * tile}u + k + ${i * slices}u)), weight${i}, sum${row});`,
            ),
          )
          .join("\n        ")}
      }
    }
    workgroupBarrier();
  }
  ${each
    .map(
      (row) => `
  partial[lane] = sum${row};
  workgroupBarrier();
  for (var half = ${slices / 2}u; half > 0u; half >>= 1u) {
    if (slice < half) { partial[lane] += partial[lane + half * ${across}u]; }
    workgroupBarrier();
  }
  ${norm ? `let scale${row} = 1.0 / sqrt(sumOfGroup(squares${row}, lane) / f32(inner) + epsilon);` : ""}
  if (slice == 0u && inside) { finish(part, ${row}u, columns, j, partial[x]${norm ? ` * scale${row}` : ""}); }
  workgroupBarrier();`,
    )
    .join("")}
}`,
  });
};

export const project: KernelSet = { forward, floats: ["epsilon"] };
