import { z as zod } from "zod";
import { exp, neg } from "../../src/ops/activation.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { diagonalDiscretize } from "../../src/ops/diagonalDiscretize.ts";
import { diagonalFilter } from "../../src/ops/diagonalFilter.ts";
import { diagonalScan } from "../../src/ops/diagonalScan.ts";
import { sum } from "../../src/ops/reduce.ts";
import { slice, transpose } from "../../src/ops/reshape.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import type { Device } from "../../src/tensor/device.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import { elementsOf } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Context } from "./adapter.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { asComplex, dssOutput, pairs } from "./complexTensors.ts";
import { download, reshaped, uploadInputs } from "./layout.ts";

const config = zod.object({
  disc: zod.enum(["zoh", "bilinear", "dss"]),
  H: zod.int(),
  L: zod.int(),
  channels: zod.int(),
  is_real: zod.boolean(),
});

type Config = zod.infer<typeof config>;
type Tensors = Record<string, Tensor>;

/**
 * Kind `s4d_kernel`: the filters of SSMKernelDiag, the gradients of Σ K G, and the recurrence. The case has `channels`
 * filters for each of H features; the channels of our ops are all of them, and features share what they share by
 * repeating it.
 */
export async function s4dKernel(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const setting = configOf(golden, config);
  const { H, L: length, channels: heads, disc } = setting;
  const required = ["inv_dt", "C", "B", "A_real", "G", "u"];
  const uploaded = await uploadInputs(golden, device, required, (_, rank) => [...Array(rank).keys()]);
  const inputs: Tensors = { ...uploaded, delta: await stepSizes(golden, device) };
  const filter = () => {
    const { lambda, B, C, delta } = systemOf(inputs, setting);
    const dss = disc === "dss";
    const discretization = dss ? "zoh" : disc;
    return diagonalFilter(lambda, B, dss ? dssOutput(lambda, C, delta, length) : C, delta, {
      length,
      discretization,
    });
  };

  const results: Record<string, Values> = {
    "out.K": reshaped(await download(filter()), [heads, H, length]),
    ...(disc !== "dss" && (await recurrences(device, inputs, setting, disc))),
  };
  const wanted = Object.entries(inputs).filter(([name]) => !["G", "u", "state0", "inv_dt"].includes(name));
  const { gradients: found } = gradients(
    wanted.map(([, tensor]) => tensor),
    () => sum(mul(filter(), reshape(inputs.G, [heads * H, length]))),
  );
  for (const [name, tensor] of wanted) {
    const gradient = found.get(tensor);
    if (gradient && name === "delta") results["grad.inv_dt"] = await download(mul(gradient, tensor));
    else if (gradient) results[`grad.${name}`] = await download(gradient);
  }
  return results;
}

/**
 * Δ = exp(inv_dt), rounded once: 0.6 of its last bit, as a float32 exponential may be off, moves the phase of Ā⁵¹² by
 * more than the tolerance of grad.inv_dt allows.
 */
async function stepSizes(golden: GoldenCase, device: Device): Promise<Tensor> {
  const { shape, data } = await golden.input("inv_dt");
  return device.tensor(Float64Array.from(data, Math.exp), shape);
}

/** Ā, B̄; 16 steps from zero; from state0, what it adds to the outputs and where a sequence takes it. */
async function recurrences(
  device: Device,
  inputs: Tensors,
  setting: Config,
  discretization: "zoh" | "bilinear",
): Promise<Record<string, Values>> {
  const { H, L: length, channels: heads, is_real: real } = setting;
  const all = systemOf(inputs, setting);
  const one = Object.fromEntries(Object.entries(all).map(([name, values]) => [name, slice(values, 0, 0, H)]));
  const { u } = inputs;
  const batch = u.shape[0];
  const n = one.lambda.shape[1];
  const scan = (signal: Tensor, { lambda, B, C, delta }: Tensors, state?: Tensor) =>
    diagonalScan(signal, lambda, B, C, delta, { state, discretization });
  const stored = async (values: Tensor, leading: readonly number[]) => {
    const kept = real ? slice(values, -1, 0, 1) : values;
    return reshaped(await download(kept), [...leading, n, ...(real ? [] : [2])]);
  };
  const outputs = async (y: Tensor, steps: number) =>
    reshaped(await download(transpose(y)), [batch, heads, H, steps]);

  const { Abar, Bbar } = diagonalDiscretize(one.lambda, one.B, one.delta, discretization);
  const signal = transpose(u); // (batch, length, H)
  const first = reshape(slice(signal, 1, 0, 16), [batch, 16, 1, H]);
  const spread = reshape(add(device.zeros([batch, 16, heads, H]), first), [batch, 16, heads * H]);
  const results = {
    "out.dA": await stored(Abar, [H]),
    "out.dB": await stored(Bbar, [H]),
    "out.y_step": await outputs(scan(spread, all).y, 16),
  };
  const before = asComplex(inputs.state0, real); // (batch, H, n, 2)
  const repeated = add(device.zeros([batch, heads, H * n * 2]), reshape(before, [batch, 1, H * n * 2]));
  const silent = device.zeros([batch, length, heads * H]);
  const answer = scan(silent, all, reshape(repeated, [batch, heads * H, n, 2]));
  const after = scan(signal, one, before).state;
  return {
    ...results,
    "out.K_state": await outputs(answer.y, length),
    "out.next_state": await stored(after, [batch, H]),
  };
}

/** Λ, B, C (channels, n, 2) and Δ (channels): A = −exp(A_real) − i A_imag, and each is repeated as needed. */
function systemOf(inputs: Tensors, { is_real: real, channels: heads, H }: Config): Tensors {
  const channels = heads * H;
  const { A_real, A_imag, B, C, delta } = inputs;
  const n = A_real.shape[1];
  const repeat = (values: Tensor, row: readonly number[]) => {
    const rows = elementsOf(values.shape) / elementsOf(row);
    const copies = values.device.zeros([channels / rows, rows, ...row]);
    return reshape(add(copies, reshape(values, [rows, ...row])), [channels, ...row]);
  };
  const decay = neg(exp(A_real));
  return {
    lambda: repeat(real ? asComplex(decay, true) : pairs(decay, neg(A_imag)), [n, 2]),
    B: repeat(asComplex(B, real), [n, 2]),
    C: repeat(asComplex(C, real), [n, 2]),
    delta: repeat(delta, []),
  };
}
