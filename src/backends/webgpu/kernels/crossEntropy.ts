/**
 * Forward: a team of invocations has a row, as in softmax.ts; a workgroup leaves the loss and the count of its rows, and
 * one workgroup adds those up, always in the same order. Backward: an invocation has one vector of logits.
 * Traffic: forward 1, backward 2 floats a logit.
 */
import { type KernelSet, onePass } from "../kernel.ts";
import { into, isNan, sumOfGroup, wide } from "./library.ts";
import { lowest, nan, rowReader, rowsIn, rowTotal, size256, teamOf } from "./softmax.ts";

export const crossEntropy: KernelSet = {
  dynamic: ["rows"],

  forward({ sizes: { rows, vocabulary } }) {
    const team = teamOf(vocabulary);
    const groups = Math.ceil((rows * team) / size256);
    const perGroup = size256 / team;
    return {
      scratch: { partials: 2 * groups },
      passes: [
        {
          reads: [rowsIn("logits", vocabulary), "targets"],
          writes: ["logsumexp", "partials: vec2f"],
          workgroups: groups,
          workgroupSize: size256,
          operations: 3 * rows * vocabulary,
          code: /* wgsl */ `${rowReader("logits", vocabulary, lowest)}${rowTotal("logits", vocabulary)}
${sumOfGroup("vec2f", size256)}
fn run(group: u32, lane: u32) {
  let row = group * ${perGroup}u + lane / ${team}u;
  let target_ = targets[min(row, rows - 1u)];
  let counts = row < rows && target_ != i32(ignore);
  let total = rowTotal(row, counts, lane);
  var own = vec2f();
  if (row < rows && lane % ${team}u == 0u) {
    var most = 0.0;
    if (counts) {
      most = total.most + log(total.sum);
      if (isNan(total.sum)) { most = total.sum; }
      let known = target_ >= 0 && target_ < i32(vocabulary);
      let j = select(0u, u32(target_), known);
      own = vec2f(most - read_logits(row, j & ~3u)[j & 3u], 1.0);
      if (isNan(total.sum) || !known) { own.x = nan(u32(target_)); }
    }
    logsumexp[row] = most;
  }
  own = sumOfGroup(own, lane);
  if (lane == 0u) { partials[group] = own; }
}`,
        },
        {
          reads: ["partials: vec2f"],
          writes: ["loss", "scale"],
          workgroups: 1,
          workgroupSize: size256,
          code: /* wgsl */ `${sumOfGroup("vec2f", size256)}
fn run(group: u32, lane: u32) {
  var own = vec2f();
  for (var i = lane; i < (rows + ${perGroup - 1}u) / ${perGroup}u; i += ${size256}u) { own += partials[i]; }
  own = sumOfGroup(own, lane);
  if (lane > 0u) { return; }
  scale[0] = select(1.0 / own.y, 0.0, own.y == 0.0);
  loss[0] = select(own.x / own.y, 0.0, own.y == 0.0);
}`,
        },
      ],
    };
  },

  backward(call) {
    if (!call.has("d_logits")) return { passes: [] };
    const { rows, vocabulary } = call.sizes;
    const vector = vocabulary % 4 === 0;
    const count = vector ? 4 : 1;
    return onePass({
      reads: [rowsIn("logits", vocabulary), "targets", "logsumexp", "scale", "d_loss"],
      writes: [rowsIn("d_logits", vocabulary)],
      workgroups: Math.ceil((rows * vocabulary) / count / wide),
      workgroupSize: wide,
      operations: 2 * rows * vocabulary,
      code: /* wgsl */ `${isNan}${nan}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  let row = i / ${vocabulary / count}u;
  if (row >= rows) { return; }
  let target_ = targets[row];
  let factor = d_loss[0] * scale[0];
  let j = i32(i % ${vocabulary / count}u * ${count}u);
  let x = logits[i];
  let p = select(exp(x - logsumexp[row]), ${vector ? "vec4f()" : "0.0"}, x <= ${vector ? `vec4f(${lowest})` : lowest});
  let hit = ${vector ? "vec4i(j, j + 1, j + 2, j + 3) == vec4i(target_)" : "j == target_"};
  var slope = factor * p - select(${vector ? "vec4f(), vec4f(factor)" : "0.0, factor"}, hit);
  if (target_ < 0 || target_ >= i32(vocabulary) || isNan(logsumexp[row])) {
    slope = ${vector ? "vec4f(nan(u32(target_)))" : "nan(u32(target_))"};
  }
  if (target_ == i32(ignore)) { slope = ${vector ? "vec4f()" : "0.0"}; }
  d_logits[i] ${into(call.adds("d_logits"))} slope;
}`,
    });
  },
};
