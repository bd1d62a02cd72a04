/** What the two directions of the short convolution have in common: the WGSL for a window of inputs. */
import type { KernelCall } from "../kernel.ts";
import { scalar, sigmoid } from "./library.ts";

/** How elements are shared out. */
export interface ConvShape {
  /** WGSL type of what an invocation handles at once: vec4f, where channels come in fours, or f32. */
  readonly type: string;
  /** Channels, in units of that type. */
  readonly width: number;
  /** Steps of one invocation. */
  readonly steps: number;
  /** Buffers as bindings of that type. */
  bind(names: readonly string[]): string[];
}

export function convShapeOf({ sizes: { channels, dConv } }: KernelCall): ConvShape {
  const four = channels % 4 === 0;
  const type = four ? "vec4f" : "f32";
  return {
    type,
    width: four ? channels / 4 : channels,
    steps: dConv <= 4 ? 8 : 4,
    bind: (names) => names.map((name) => (name === "resets" || !four ? name : `${name}: vec4f`)),
  };
}

export function outputText({ type }: ConvShape): string {
  return type === "f32" ? scalar(sigmoid) : sigmoid;
}

/**
 * Declares x0 …, `count` inputs from dConv − 1 before step `first` of sequence b on: the state before the sequence,
 * 0 behind it; the weights w0 …; and in cuts0 …, 32 in each, which of them begin a document.
 */
export function loadText(call: KernelCall, { type, width }: ConvShape, count: number): string {
  const { dConv } = call.sizes;
  const before = dConv - 1;
  const lines = Array.from({ length: dConv }, (_, k) => `  let w${k} = weight[${k * width}u + d];`);
  for (let i = 0; i < count; i++) {
    const past = call.has("state")
      ? `state[(b * ${before}u + first + ${i}u) * ${width}u + d]`
      : `${type}(0.0)`;
    lines.push(`  var x${i} = ${type}(0.0);`);
    const inside = `x${i} = u[(b * length + first + ${i}u - ${before}u) * ${width}u + d];`;
    const reached = `if (first + ${i}u < length + ${before}u) { ${inside} }`;
    lines.push(
      i < before ? `  if (first < ${before - i}u) { x${i} = ${past}; } else ${reached}` : `  ${reached}`,
    );
  }
  if (!call.has("resets")) return lines.join("\n");
  for (let from = 0; from < count; from += 32) {
    lines.push(`  var cuts${from / 32} = 0u;
  for (var j = ${from}u; j < ${Math.min(count, from + 32)}u; j++) {
    let t = first + j;
    if (t >= ${before}u && t < length + ${before}u) {
      cuts${from / 32} |= select(0u, 1u, resets[b * length + t - ${before}u] != 0) << (j - ${from}u);
    }
  }`);
  }
  return lines.join("\n");
}

/** Whether no document begins after input `from` up to input `to` of the window. */
export function openText(call: KernelCall, from: number, to: number): string {
  if (!call.has("resets") || from >= to) return "true";
  const words = new Map<number, number>();
  for (let i = from + 1; i <= to; i++) {
    const word = Math.floor(i / 32);
    words.set(word, ((words.get(word) ?? 0) | (1 << (i % 32))) >>> 0);
  }
  return `(${[...words].map(([word, bits]) => `(cuts${word} & ${bits}u)`).join(" | ")}) == 0u`;
}

/** `value`, or 0 where a document begins after input `from` up to input `to`. */
export function reachText(
  call: KernelCall,
  { type }: ConvShape,
  value: string,
  from: number,
  to: number,
): string {
  const open = openText(call, from, to);
  return open === "true" ? value : `select(${type}(0.0), ${value}, ${open})`;
}

/** What the activation is applied to at input i of the window. */
export function filterText(call: KernelCall, shape: ConvShape, i: number): string {
  const { dConv } = call.sizes;
  let sum = call.has("bias") ? "bias[d]" : `${shape.type}(0.0)`;
  for (let k = 0; k < dConv; k++) {
    const from = i - (dConv - 1) + k;
    sum = `fma(w${k}, ${reachText(call, shape, `x${from}`, from, i)}, ${sum})`;
  }
  return sum;
}

/** Copies one row of the new state: invocations of `row`, past those of the blocks, have one each. */
export function lastText(call: KernelCall, { type, width }: ConvShape): string {
  const before = call.sizes.dConv - 1;
  if (before === 0) return "";
  const open = call.has("resets")
    ? `for (var r = max(s + 1, 0); r < i32(length); r++) { if (resets[b * length + u32(r)] != 0) { value = ${type}(0.0); } }`
    : "";
  return /* wgsl */ `let k = row - batch * blocks;
    if (k >= batch * ${before}u) { return; }
    let b = k / ${before}u;
    let s = i32(length + k % ${before}u) - ${before};
    var value = ${type}(0.0);
    if (s >= 0) { value = u[(b * length + u32(s)) * ${width}u + d]; }
    ${call.has("state") ? `else { value = state[u32(i32((b + 1u) * ${before}u) + s) * ${width}u + d]; }` : ""}
    ${open}
    next_state[k * ${width}u + d] = value;`;
}
