/**
 * Complex numbers as pairs [re, im], and complex arrays as interleaved Float64Arrays (…, 2). A matrix of complex entries
 * is also a real one of twice the size, whose products, inverses and exponentials are those of the complex matrix:
 * `asReal` makes it, so that everything in linalg.ts and discretize.ts serves complex systems too. A complex vector
 * needs no such change: (n, 2) interleaved is the column (2n).
 */
export type Complex = readonly [re: number, im: number];

/** Entry n of an interleaved array. */
export function at(x: Float64Array, n: number): Complex {
  return [x[2 * n], x[2 * n + 1]];
}

export function add(x: Complex, y: Complex): Complex {
  return [x[0] + y[0], x[1] + y[1]];
}

export function sub(x: Complex, y: Complex): Complex {
  return [x[0] - y[0], x[1] - y[1]];
}

export function mul(x: Complex, y: Complex): Complex {
  return [x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]];
}

export function scale(factor: number, x: Complex): Complex {
  return [factor * x[0], factor * x[1]];
}

/** x / y, with y scaled by its larger part first (Smith 1962): |y|² may overflow where the quotient does not. */
export function div(x: Complex, y: Complex): Complex {
  const [c, d] = y;
  if (Math.abs(c) >= Math.abs(d)) {
    const ratio = d / c;
    const scale = 1 / (c + d * ratio);
    return [(x[0] + x[1] * ratio) * scale, (x[1] - x[0] * ratio) * scale];
  }
  const ratio = c / d;
  const scale = 1 / (c * ratio + d);
  return [(x[0] * ratio + x[1]) * scale, (x[1] * ratio - x[0]) * scale];
}

export function exp([re, im]: Complex): Complex {
  const size = Math.exp(re);
  return [size * Math.cos(im), size * Math.sin(im)];
}

/** e^x − 1 without the cancellation near 0: e^a cos b − 1 = (e^a − 1) cos b − 2 sin²(b/2). */
export function expm1([re, im]: Complex): Complex {
  return [Math.expm1(re) * Math.cos(im) - 2 * Math.sin(im / 2) ** 2, Math.exp(re) * Math.sin(im)];
}

/** e^(2πi k/n), with k reduced first: the argument of sin and cos stays below 2π however long the sequence. */
export function rootOfUnity(k: number, n: number): Complex {
  const angle = (2 * Math.PI * (k % n)) / n;
  return [Math.cos(angle), Math.sin(angle)];
}

/** x̄, entry by entry, of an interleaved array. */
export function conjugate(x: Float64Array): Float64Array {
  return x.map((v, i) => (i % 2 === 0 ? v : -v));
}

/**
 * A system kept by halves made whole: each row of n entries followed by its conjugates, (…, n, 2) → (…, 2n, 2). Without n
 * all of x is one row.
 */
export function withConjugates(x: Float64Array, n = x.length / 2): Float64Array {
  const whole = new Float64Array(2 * x.length);
  for (let from = 0; from < x.length; from += 2 * n) {
    const row = x.subarray(from, from + 2 * n);
    whole.set(row, 2 * from);
    whole.set(conjugate(row), 2 * from + 2 * n);
  }
  return whole;
}

/** X (rows, columns, 2) as a real matrix (2 rows, 2 columns): each entry a + ib becomes [a −b; b a]. */
export function asReal(X: Float64Array, columns: number): Float64Array {
  const real = new Float64Array(2 * X.length);
  for (let i = 0; i < X.length / 2; i++) {
    const [re, im] = at(X, i);
    const corner = 4 * columns * Math.floor(i / columns) + 2 * (i % columns);
    real[corner] = re;
    real[corner + 1] = -im;
    real[corner + 2 * columns] = im;
    real[corner + 2 * columns + 1] = re;
  }
  return real;
}

/** The X (rows, columns, 2) of which `real` (2 rows, 2 columns) is `asReal`. */
export function asComplex(real: Float64Array, columns: number): Float64Array {
  const X = new Float64Array(real.length / 2);
  for (let i = 0; i < X.length / 2; i++) {
    const corner = 4 * columns * Math.floor(i / columns) + 2 * (i % columns);
    X[2 * i] = real[corner];
    X[2 * i + 1] = real[corner + 2 * columns];
  }
  return X;
}
