/**
 * An invocation has one channel of one sequence and all its states. What it reads is contiguous over channels, but for
 * r, B and C, which all share. Traffic: dtProj and logA once, the state twice.
 */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { log1p, scalar, softplus, weightAt } from "./library.ts";

const size = 32;

const selectiveStepForward: Kernel = (call) => {
  const { batch, dInner, dState } = call.sizes;
  const [skip, bias] = ["D", "deltaBias"].map((name) => call.has(name));
  return onePass({
    reads: ["u", "projected", "dtProj", "logA", ...(skip ? ["D"] : []), ...(bias ? ["deltaBias"] : [])],
    writes: ["state", "y"],
    workgroups: batch * Math.ceil(dInner / size),
    workgroupSize: size,
    bytes:
      4 * (call.length("dtProj") + call.length("logA") + 2 * call.length("state") + 2 * call.length("u")),
    operations: batch * dInner * (dState * 8 + 2 * call.sizes.dtRank),
    code: /* wgsl */ `${scalar(log1p + softplus)}${weightAt("dtProj", call.dtype("dtProj"), false)}
fn run(group: u32, lane: u32) {
  let b = group / ${Math.ceil(dInner / size)}u;
  let d = (group % ${Math.ceil(dInner / size)}u) * ${size}u + lane;
  if (d >= dInner) { return; }
  let row = b * (dtRank + 2u * dState);
  var delta = ${bias ? "deltaBias[d]" : "0.0"};
  ${stepsOf(
    call.sizes.dtRank,
    16,
    "r",
    (r) => `let w${r.place} = dtProj_at((${r.index}) * dInner + d);`,
    (r) => `delta = fma(projected[row + ${r.index}], w${r.place}, delta);`,
  )}
  let step = select(softplus(delta), delta, delta > 20.0);
  let input = u[b * dInner + d];
  var sum = ${skip ? "D[d] * input" : "0.0"};
  ${stepsOf(
    dState,
    16,
    "n",
    (n) =>
      `let a${n.place} = logA[(${n.index}) * dInner + d]; let h${n.place} = state[(b * dState + ${n.index}) * dInner + d];`,
    (n) => `{
      let h = fma(exp(-step * exp(a${n.place})), h${n.place}, step * projected[row + dtRank + ${n.index}] * input);
      state[(b * dState + ${n.index}) * dInner + d] = h;
      sum = fma(projected[row + dtRank + dState + ${n.index}], h, sum);
    }`,
  )}
  y[b * dInner + d] = sum;
}`,
  });
};

/**
 * A loop over `count` in rounds of `together`, in which all loads come before all uses: they are on their way at once.
 * What is left over is a round of its own.
 */
function stepsOf(
  count: number,
  together: number,
  name: string,
  load: (at: { index: string; place: number }) => string,
  use: (at: { index: string; place: number }) => string,
): string {
  const round = (start: string, length: number) => {
    const places = Array.from({ length }, (_, place) => ({ index: `${start} + ${place}u`, place }));
    return [...places.map(load), ...places.map(use)].join("\n    ");
  };
  const whole = Math.floor(count / together);
  const left = count % together;
  return [
    ...(whole > 0
      ? [
          `for (var ${name} = 0u; ${name} < ${whole * together}u; ${name} += ${together}u) { ${round(name, together)} }`,
        ]
      : []),
    ...(left > 0 ? [`{ ${round(`${whole * together}u`, left)} }`] : []),
  ].join("\n  ");
}

export const selectiveStep: KernelSet = { forward: selectiveStepForward };
