/** An invocation writes one number, or vector of four, of the rows. Traffic: 2 floats a number of the rows. */
import { type KernelSet, onePass } from "../kernel.ts";
import { wide } from "./library.ts";

export const assignAt: KernelSet = {
  dynamic: ["length", "batch"],

  forward({ sizes: { batch, length, width } }) {
    const vector = width % 4 === 0;
    const view = (name: string) => (vector ? `${name}: vec4f` : name);
    const across = vector ? width / 4 : width;
    return onePass({
      reads: [view("rows"), "position"],
      writes: [view("cache")],
      workgroups: Math.ceil((batch * length * across) / wide),
      workgroupSize: wide,
      bytes: 8 * batch * length * width,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  let row = i / ${across}u;
  if (row >= batch * length) { return; }
  let place = position[0] + i32(row % length);
  if (place < 0 || place >= i32(capacity)) { return; }
  cache[(row / length * capacity + u32(place)) * ${across}u + i % ${across}u] = rows[i];
}`,
    });
  },
};

export const advance: KernelSet = {
  forward: () =>
    onePass({
      reads: ["position"],
      writes: ["y"],
      workgroups: 1,
      workgroupSize: 1,
      code: /* wgsl */ `fn run(group: u32, lane: u32) { y[0] = position[0] + i32(by); }`,
    }),
};
