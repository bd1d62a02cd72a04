/**
 * An invocation computes one vector of four. Buffers are padded to whole vectors, so the last one needs no care; what it
 * writes past the end is never read. Traffic: forward 2, backward 3 or 4 floats an element.
 */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { into, log1p, normal, sigmoid, softplus, wide } from "./library.ts";

interface Expressions {
  /** y as WGSL, from the vector u. */
  readonly value: string;
  /** dy/du, from u or, where `needs` says so, from y. */
  readonly slope: string;
  readonly needs?: "u" | "y";
  /** Functions that the two use. */
  readonly functions?: string;
}

export function elementwise({ value, slope, needs = "u", functions = "" }: Expressions): KernelSet {
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
      reads: [`${needs}: vec4f`, "d_y: vec4f"],
      writes: ["d_u: vec4f"],
      workgroups: workgroups(call.length("u")),
      workgroupSize: wide,
      code: /* wgsl */ `${functions}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&d_u)) { return; }
  let ${needs} = ${needs}[i];
  d_u[i] ${into(call.adds("d_u"))} d_y[i] * (${slope});
}`,
    });
  return { forward, backward };
}

const sigmoidSlope = /* wgsl */ `${sigmoid}
fn sigmoidSlope(u: vec4f) -> vec4f {
  let e = exp(-abs(u));
  return e / ((1.0 + e) * (1.0 + e));
}`;

export const activationSets: Readonly<Record<string, KernelSet>> = {
  neg: elementwise({ value: "-u", slope: "vec4f(-1.0)" }),
  exp: elementwise({ value: "exp(u)", slope: "y", needs: "y" }),
  log: elementwise({ value: "log(u)", slope: "1.0 / u" }),
  sqrt: elementwise({ value: "sqrt(u)", slope: "0.5 / y", needs: "y" }),
  square: elementwise({ value: "u * u", slope: "2.0 * u" }),
  sigmoid: elementwise({ value: "sigmoid(u)", slope: "sigmoidSlope(u)", functions: sigmoidSlope }),
  tanh: elementwise({
    value: "tanh(u)",
    slope: "4.0 * sigmoidSlope(2.0 * u)",
    functions: sigmoidSlope,
  }),
  relu: elementwise({
    value: "select(u, vec4f(0.0), u < vec4f(0.0))",
    slope: "select(vec4f(1.0), vec4f(0.0), u <= vec4f(0.0))",
  }),
  silu: elementwise({
    value: "u * sigmoid(u)",
    slope: "sigmoid(u) + u * sigmoidSlope(u)",
    functions: sigmoidSlope,
  }),
  softplus: elementwise({
    value: "softplus(u)",
    slope: "sigmoid(u)",
    functions: sigmoid + log1p + softplus,
  }),
  gelu: elementwise({
    value: "u * normal(u)",
    slope: "normal(u) + u * exp(-0.5 * u * u) * 0.3989422804",
    functions: normal,
  }),
};
