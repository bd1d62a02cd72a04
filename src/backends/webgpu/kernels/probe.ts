/**
 * The limits of the GPU, measured by the means of all other kernels: `statewise bench` has their ops. Reading: a
 * workgroup has a slice. Copying: an invocation has four vectors, a workgroup apart. Multiplying and adding: an invocation
 * keeps four vectors in registers, sixteen chains that do not wait for each other.
 */
import { type KernelSet, onePass } from "../kernel.ts";

const size = 256;
const perInvocation = 4;

export const readProbe: KernelSet = {
  dynamic: ["size", "sliceLength", "repeats"],
  forward(call) {
    const { size: total, sliceLength, slices, repeats } = call.sizes;
    const whole = total % 4 === 0 && sliceLength % 4 === 0;
    const [type, width] = whole ? ["vec4i", 4] : ["i32", 1];
    return onePass({
      reads: [whole ? "u: vec4i" : "u"],
      writes: ["y"],
      workgroups: slices,
      workgroupSize: size,
      bytes: 4 * (total * repeats + slices),
      code: /* wgsl */ `
var<workgroup> parts: array<i32, ${size}>;
fn run(group: u32, lane: u32) {
  let first = group * (sliceLength / ${width}u);
  let count = min(sliceLength, size - group * sliceLength) / ${width}u;
  var all = ${type}(0);
  for (var repeat = 0u; repeat < repeats; repeat++) {
    let begin = (97u * repeat) % count; // elsewhere each time, so that no compiler reads once for all
    for (var j = lane; j < count; j += ${size}u) {
      let k = begin + j;
      all ^= u[first + select(k, k - count, k >= count)];
    }
  }
  parts[lane] = ${whole ? "all.x ^ all.y ^ all.z ^ all.w" : "all"};
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) { parts[lane] ^= parts[lane + half]; }
    workgroupBarrier();
  }
  if (lane == 0u) { y[group] = parts[0]; }
}`,
    });
  },
};

export const copyProbe: KernelSet = {
  forward: (call) =>
    onePass({
      reads: ["u: vec4f"],
      writes: ["y: vec4f"],
      workgroups: Math.ceil(call.length("u") / (4 * perInvocation * size)),
      workgroupSize: size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  for (var k = 0u; k < ${perInvocation}u; k++) {
    let i = (group * ${perInvocation}u + k) * ${size}u + lane;
    if (i < arrayLength(&y)) { y[i] = u[i]; }
  }
}`,
    }),
};

export const fmaProbe: KernelSet = {
  dynamic: ["repeats"],
  forward({ sizes, length }) {
    const names = Array.from({ length: perInvocation }, (_, k) => `x${k}`);
    const each = (text: (name: string, k: number) => string) => names.map(text).join("\n");
    const once = names.map((name) => `${name} = fma(${name}, vec4f(0.75), vec4f(0.5));`).join(" ");
    return onePass({
      reads: ["u: vec4f"],
      writes: ["y: vec4f"],
      workgroups: Math.ceil(length("u") / (4 * perInvocation * size)),
      workgroupSize: size,
      operations: 2 * length("u") * sizes.repeats,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = group * ${perInvocation * size}u + lane;
  ${each((name, k) => `var ${name} = u[min(i + ${k * size}u, arrayLength(&u) - 1u)];`)}
  for (var repeat = 0u; repeat < repeats / 8u; repeat++) {
    ${Array.from({ length: 8 }, () => once).join("\n    ")}
  }
  for (var repeat = 0u; repeat < repeats % 8u; repeat++) { ${once} }
  ${each((name, k) => `if (i + ${k * size}u < arrayLength(&y)) { y[i + ${k * size}u] = ${name}; }`)}
}`,
    });
  },
};
