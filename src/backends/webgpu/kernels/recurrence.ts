/**
 * What recurrences of modes have in common. An invocation has a mode, or a few, and carries their states through time; the
 * modes of a channel lie side by side in a workgroup of 64, several channels where they are few. Sixteen steps at a time:
 * their inputs are read ahead into workgroup memory, and what modes add to the outputs is summed up there.
 */

/** Steps between two sums over modes, and between two kept states. */
export const steps = 16;

/** Invocations of a workgroup. */
export const size = 64;

export interface Layout {
  /** Invocations of a channel, channels of a workgroup, and times that it takes 64 modes. */
  readonly lanes: number;
  readonly together: number;
  readonly turns: number;
}

export function layoutOf(n: number): Layout {
  const lanes = Math.min(size, 2 ** Math.ceil(Math.log2(n)));
  return { lanes, together: size / lanes, turns: Math.ceil(n / size) };
}

/** Most channels of a workgroup whose inputs lie in its memory, beside states and parts. */
const mostStaged = 16;

/**
 * Sixteen steps of a sequence of inputs, of all channels of a workgroup: `ahead` asks for those from a step on, `put` brings
 * them to workgroup memory (between barriers), `at(i)` is the own channel's of step i. Many channels read slow memory.
 */
export function inputsOf(names: readonly string[], { lanes, together }: Layout) {
  const staged = together <= mostStaged;
  const rounds = Array.from({ length: Math.ceil((steps * together) / size) }, (_, r) => r);
  const each = (text: (name: string, r: number) => string) =>
    staged ? names.flatMap((name) => rounds.map((r) => text(name, r))).join("\n      ") : "";
  const place = (r: number) => `(at_ + ${r * size}u)`;
  const inside = (r: number, text: string) =>
    (r + 1) * size > steps * together ? `if (${place(r)} < ${steps * together}u) { ${text} }` : text;
  return {
    memory: staged
      ? names.map((name) => `var<workgroup> inputs_${name}: array<f32, ${steps * together}>;`).join("\n")
      : "",
    declare: `let at_ = lane % ${size}u;\n    ${each((name, r) => `var next_${name}${r}: f32;`)}`,
    ahead: (t: string) =>
      each(
        (name, r) =>
          `next_${name}${r} = ${name}[(b * length + min(${t} + ${place(r)} / ${together}u, length - 1u)) * channels + min(block + ${place(r)} % ${together}u, channels - 1u)];`,
      ),
    put: each((name, r) =>
      inside(r, `inputs_${name}[${place(r)} % ${steps * together}u] = next_${name}${r};`),
    ),
    at: (name: string, i: string) =>
      staged
        ? `inputs_${name}[(${i}) * ${together}u + at_ / ${lanes}u % ${together}u]`
        : `${name}[(b * length + t + ${i}) * channels + channel]`,
  };
}

/** Text for each step there is, in a loop of constant length where there are all sixteen: compilers write it out. */
export const eachStep = (body: (i: string) => string, back = false) => /* wgsl */ `
      if (count == ${steps}u) {
        for (var k = 0u; k < ${steps}u; k++) { let i = ${back ? `(${steps - 1}u - k) % ${steps}u` : "k"}; ${body("i")} }
      } else {
        for (var k = 0u; k < count; k++) { let i = ${back ? "count - 1u - k" : "k"}; ${body("i")} }
      }`;

/** Where an invocation is: sequence b, the first channel of its workgroup, its own channel. */
export const place = ({ lanes, together }: Layout) => /* wgsl */ `
  let blocks = (channels + ${together - 1}u) / ${together}u;
  let b = group / blocks;
  let block = (group % blocks) * ${together}u;
  let channel = min(block + lane / ${lanes}u, channels - 1u);`;

/**
 * Sums over modes of what the invocations left in `parts` for `count` steps from t on; body may use `sum`, `at` and `d`.
 * Loops that can be written out are: drivers may take time exponential in nested branches to compile them.
 */
export const sums = ({ lanes, together }: Layout, body: string) => {
  const rounds = Math.ceil((steps * together) / size);
  const terms = Array.from({ length: lanes }, (_, p) => `sum += parts[from_ + ${p}u];`).join(" ");
  return /* wgsl */ `
      workgroupBarrier();
      ${rounds > 1 ? `for (var o = lane; o < ${steps * together}u; o += ${size}u)` : "let o = lane;"} {
        let d = block + o % ${together}u;
        let i = o / ${together}u;
        let from_ = min(i, ${steps - 1}u) * ${size + 1}u + (o % ${together}u) * ${lanes}u;
        var sum = 0.0;
        ${terms}
        let at = (b * length + t + i) * channels + d;
        if ((i < count) & (d < channels)) { ${body} }
      }
      workgroupBarrier();`;
};

export const parts = `var<workgroup> parts: array<f32, ${steps * (size + 1)}>;`;
