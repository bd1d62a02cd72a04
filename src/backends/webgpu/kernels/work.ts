/**
 * One scratch buffer for all that a schedule keeps between its passes, so that they bind few buffers: 8 are all that
 * every device has. Small inputs can be copied there first, for a pass that would otherwise bind too many.
 */
import type { KernelCall, Pass } from "../kernel.ts";
import { wide } from "./library.ts";

/** How many numbers there are: now, and in WGSL, whose value may change from call to call. */
export interface Extent {
  readonly count: number;
  readonly wgsl: string;
}

/** The extent of sizes of the call, by name, and of other extents, multiplied. */
export function extent({ sizes }: KernelCall, ...factors: readonly (string | Extent)[]): Extent {
  const counts = factors.map((x) => (typeof x === "string" ? sizes[x] : x.count));
  return {
    count: counts.reduce((all, x) => all * x, 1),
    wgsl: factors.map((x) => (typeof x === "string" ? x : x.wgsl)).join(" * "),
  };
}

export class Work {
  readonly #offsets = new Map<string, string>();
  #end = "";
  /** Floats of the whole buffer, which passes bind as `work`. */
  length = 0;

  add(name: string, { count, wgsl }: Extent): void {
    this.#offsets.set(name, this.#end);
    this.#end += `${wgsl} + `;
    this.length += count;
  }

  has(name: string): boolean {
    return this.#offsets.has(name);
  }

  /** Number i of a region or, where there is none of that name, of the buffer. */
  at(name: string, i: string): string {
    const offset = this.#offsets.get(name);
    return offset === undefined ? `${name}[${i}]` : `work[${offset}${i}]`;
  }

  /** The buffers among these that a pass must bind, where all but those are regions. */
  bound(names: readonly string[]): string[] {
    return names.filter((name) => !this.has(name));
  }

  /**
   * Gives inputs regions, the first ones first, until a pass that binds those left, `others` more, and this buffer if it
   * has any region, binds no more than the device can. Returns the passes that copy them. Integers become floats.
   */
  pack(inputs: Readonly<Record<string, Extent>>, call: KernelCall, others: number, most: number): Pass[] {
    const there = Object.entries(inputs).filter(([name]) => call.has(name));
    if (there.length + others + (this.length > 0 ? 1 : 0) <= most) return [];
    const packed = there.slice(0, there.length + others + 1 - most);
    for (const [name, own] of packed) this.add(name, own);
    const passes: Pass[] = [];
    for (let i = 0; i < packed.length; i += most - 1) passes.push(this.#copy(packed.slice(i, i + most - 1)));
    return passes;
  }

  #copy(inputs: readonly (readonly [string, Extent])[]): Pass {
    const counts = inputs.map(([, { count }]) => count);
    return {
      reads: inputs.map(([name]) => name),
      writes: ["work"],
      workgroups: Math.ceil(Math.max(...counts) / wide),
      workgroupSize: wide,
      bytes: 8 * counts.reduce((sum, count) => sum + count),
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
${inputs.map(([name, { wgsl }]) => `  if (i < ${wgsl}) { ${this.at(name, "i")} = f32(${name}[i]); }`).join("\n")}
}`,
    };
  }
}
