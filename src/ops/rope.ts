import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp, type Sizes } from "../tensor/op.ts";
import { expectShape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "rope";

/** Binary digits of a position: positions are below 2²⁴. */
const digits = 24;

/**
 * Rotary embedding (Su et al. 2021, equation 15): each pair of neighbouring channels is a complex number, turned by an
 * angle that grows with the position, so that q·k depends on how far apart the two stand.
 *   y[t, c] = u[t, c] exp(i p θ[c])      p = position + t      θ[c] = base^(−2c / headDim)
 *
 *   u, y       (batch, length, heads, headDim)      headDim even
 *   position   (1)                                   of the first token; not given: 0
 *   turns      (24, headDim / 2, 2)                  exp(i 2ᵏ θ): the turn of p is the product of those of its binary
 *                                                    digits, which keeps its digits where an angle of 10⁶ would not
 */
export const ropeOp = defineOp<null>({
  name: who,
  inputs: ["u", "position", "turns"],
  outputs: ["y"],
  integers: ["position"],

  shapes([u, position, turns]) {
    const named = ["batch", "length", "heads", "headDim"] as const;
    const { batch, length, heads, headDim } = sizesOf(who, "u", u!, named); // u and turns are not optional
    if (position) expectShape(who, "position", position, { one: 1 });
    expectShape(who, "turns", turns!, { digits, pairs: headDim / 2, complex: 2 });
    return { sizes: { batch, length, heads, headDim }, outputs: [u!] };
  },

  forward([u, position, turns], [y], sizes) {
    eachPair(sizes, position, turns!, (at, re, im) => {
      y[at] = re * u![at] - im * u![at + 1]; // u is not optional
      y[at + 1] = re * u![at + 1] + im * u![at];
    });
  },

  // du is dy turned back.
  backward([, position, turns], _outputs, [dy], [du], sizes) {
    eachPair(sizes, position, turns!, (at, re, im) => {
      du[at] += re * dy[at] + im * dy[at + 1];
      du[at + 1] += re * dy[at + 1] - im * dy[at];
    });
  },
});

export interface RopeOptions {
  /** i32 (1): the position of the first token. Default: 0. */
  position?: Tensor;
  /** The slowest pair turns once in about 2π base tokens. Default: 10 000, as in the paper. */
  base?: number;
}

/**
 * u (batch, length, heads, headDim) with every head turned by its position.
 * @throws ShapeError when headDim is odd.
 */
export function rope(u: Tensor, { position, base = 10_000 }: RopeOptions = {}): Tensor {
  const headDim = u.shape.at(-1) ?? 0;
  if (headDim < 2 || headDim % 2 !== 0) {
    throw new ShapeError(`${who}: headDim must be even, got (${u.shape.join(", ")})`);
  }
  const turns = u.device.tensor(turnsOf(headDim, base), [digits, headDim / 2, 2]);
  return apply(ropeOp, [u, position ?? null, turns], null)[0];
}

/** exp(i 2ᵏ θ) for each binary digit k and each pair. */
export function turnsOf(headDim: number, base: number): Float64Array {
  return Float64Array.from({ length: digits * headDim }, (_, at) => {
    const theta = base ** ((-2 * Math.floor((at % headDim) / 2)) / headDim);
    const angle = 2 ** Math.floor(at / headDim) * theta;
    return at % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
}

/** Visits each pair: where it lies, and exp(i p θ). */
function eachPair(
  { batch, length, heads, headDim }: Sizes,
  position: Numbers | null,
  turns: Numbers,
  visit: (at: number, re: number, im: number) => void,
): void {
  for (let t = 0; t < length; t++) {
    for (let c = 0; c < headDim; c += 2) {
      let [re, im] = [1, 0];
      for (let k = 0; k < digits; k++) {
        if (!((((position?.[0] ?? 0) + t) >> k) & 1)) continue;
        const [x, y] = [turns[k * headDim + c], turns[k * headDim + c + 1]];
        [re, im] = [re * x - im * y, re * y + im * x];
      }
      for (let b = 0; b < batch; b++) {
        for (let h = 0; h < heads; h++) visit(((b * length + t) * heads + h) * headDim + c, re, im);
      }
    }
  }
}
