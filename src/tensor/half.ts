const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The 16 bits of the f16 nearest to x, ties to even (IEEE 754 binary16). Beyond 65 504 and half an ulp: infinity. */
export function toHalf(x: number): number {
  float[0] = x;
  const [bits] = word;
  const sign = (bits >>> 16) & 0x8000;
  const rest = bits & 0x7fffffff;
  if (rest >= 0x7f800000) return sign | 0x7c00 | (rest > 0x7f800000 ? 0x0200 : 0);
  if (rest < 0x38800000) {
    // below 2⁻¹⁴ a subnormal: a multiple of 2⁻²⁴
    return sign | roundToEven(Math.abs(float[0]) * 2 ** 24);
  }
  const rounded = rest + 0x0fff + ((rest >>> 13) & 1);
  return rounded >= 0x47800000 ? sign | 0x7c00 : sign | ((rounded - 0x38000000) >>> 13);
}

/**
 * Half to single precision: 5 bits of exponent biased by 15 become 8 biased by 127, the fraction moves up 13 bits.
 * Numbers below 2⁻¹⁴ have no leading one and are multiples of 2⁻²⁴. A NaN keeps its bits.
 */
export function widenHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(halves.length);
  const bits = new Uint32Array(numbers.buffer);
  for (let i = 0; i < halves.length; i++) {
    const sign = halves[i] >> 15;
    const exponent = (halves[i] >> 10) & 31;
    const fraction = halves[i] & 1023;
    if (exponent === 0) numbers[i] = (sign ? -fraction : fraction) * 2 ** -24;
    else bits[i] = (sign << 31) | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  }
  return numbers;
}

function roundToEven(x: number): number {
  const below = Math.floor(x);
  const above = x - below;
  return above > 0.5 || (above === 0.5 && below % 2 === 1) ? below + 1 : below;
}
