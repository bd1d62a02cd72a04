/**
 * An invocation computes one vector of four. Buffers are padded to whole vectors, so the last one needs no care; what it
 * writes past the end is never read. Traffic: forward 2, backward 3 or 4 floats an element.
 */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { into, wide } from "./library.ts";
import { exponential, gaussian, hyperbolic, logarithm, logistic, softplus } from "./vectorMath.ts";

export interface Expressions {
  /** y as WGSL, from the vector u. */
  readonly value: string;
  /** dy/du, from u or, where `needs` says so, from y or from nothing. */
  readonly slope: string;
  readonly needs?: "u" | "y" | null;
  /** Functions that the two use. */
  readonly functions?: string;
}

function elementwise({ value, slope, needs = "u", functions = "" }: Expressions): KernelSet {
  const workgroups = (length: number) => Math.ceil(length / (4 * wide));
  const forward: Kernel = (call) =>
    onePass({
      reads: ["u: vec4f"],
      writes: ["y: vec4f"],
      workgroups: workgroups(call.length("u")),
      workgroupSize: wide,
      code: /* wgsl */ `${functions}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&y)) { return; }
  let u = u[i];
  y[i] = ${value};
}`,
    });
  const backward: Kernel = (call) =>
    onePass({
      reads: [...(needs ? [`${needs}: vec4f`] : []), "d_y: vec4f"],
      writes: ["d_u: vec4f"],
      workgroups: workgroups(call.length("u")),
      workgroupSize: wide,
      code: /* wgsl */ `${functions}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&d_u)) { return; }
  ${needs ? `let ${needs} = ${needs}[i];` : ""}
  d_u[i] ${into(call.adds("d_u"))} d_y[i] * (${slope});
}`,
    });
  return { forward, backward };
}

/** Whether u ≤ 0, told by its bits: of NaN a comparison may say anything. */
const atMostZero = /* wgsl */ `
fn atMostZero(u: vec4f) -> vec4<bool> {
  let word = bitcast<vec4u>(u);
  return (word == vec4u(0u)) | ((word >= vec4u(0x80000000u)) & (word <= vec4u(0xff800000u)));
}`;

/** The functions of one number, by the name of their op. */
export const expressions: Readonly<Record<string, Expressions>> = {
  neg: { value: "-u", slope: "vec4f(-1.0)", needs: null },
  exp: { value: "exp1(u)", slope: "y", needs: "y", functions: exponential },
  log: { value: "log1(u)", slope: "1.0 / u", functions: logarithm },
  sqrt: { value: "sqrt(u)", slope: "0.5 / y", needs: "y" },
  square: { value: "u * u", slope: "2.0 * u" },
  sigmoid: { value: "sigmoid1(u)", slope: "sigmoidSlope(u)", functions: logistic },
  tanh: { value: "tanh1(u)", slope: "4.0 * sigmoidSlope(2.0 * u)", functions: hyperbolic },
  relu: {
    value: "select(u, vec4f(0.0), atMostZero(u))",
    slope: "select(vec4f(1.0), vec4f(0.0), atMostZero(u))",
    functions: atMostZero,
  },
  silu: {
    value: "u * sigmoid1(u)",
    slope: "sigmoid1(u) + u * sigmoidSlope(u)",
    functions: logistic,
  },
  softplus: { value: "softplus1(u)", slope: "sigmoid1(u)", functions: softplus },
  gelu: {
    value: "u * normal(u, gauss(u))",
    slope: "normal(u, gauss(u)) + u * gauss(u) * 0.3989422804",
    functions: gaussian,
  },
};

/** The functions that a chain may hold: their numbers in the sizes of a chain. */
export const chainNames: readonly string[] = Object.keys(expressions);

export const activationSets: Readonly<Record<string, KernelSet>> = Object.fromEntries(
  Object.entries(expressions).map(([name, own]) => [name, elementwise(own)]),
);
