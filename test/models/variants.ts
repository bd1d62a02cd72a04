/** A model of each kind and shape: what tests of all models go through. */
export interface Variant {
  readonly name: string;
  readonly model: string;
  readonly given: Readonly<Record<string, unknown>>;
}

const mamba = (name: string, given: object): Variant => ({
  name: `Mamba, ${name}`,
  model: "mamba",
  given: { dState: 4, ...given },
});

const s4d = (initialization: string, discretization: string): Variant => ({
  name: `S4D-${initialization}, ${discretization}`,
  model: "s4d",
  given: { dState: 8, initialization, discretization },
});

const s4 = (name: string, given: object): Variant => ({
  name: `S4, ${name}`,
  model: "s4",
  given: { dState: 6, filterLength: 16, ...given },
});

const lssl = (name: string, given: object): Variant => ({
  name: `LSSL, ${name}`,
  model: "lssl",
  given: { dState: 6, deltaMin: 0.05, ...given },
});

const hippo = (name: string, given: object): Variant => ({
  name: `HiPPO, ${name}`,
  model: "hippo",
  given: { dState: 6, window: 10, ...given },
});

export const variants: readonly Variant[] = [
  s4d("lin", "zoh"),
  s4d("inv", "bilinear"),
  s4d("legs", "zoh"),
  s4d("real", "bilinear"),
  { name: "S6 in S4's block", model: "s6", given: { dState: 4 } },
  mamba("S4 in the block", { ssm: "s4", filterLength: 16 }),
  mamba("as published", {}),
  mamba("post-norm, LayerNorm, feed-forward part, untied", {
    norm: "layer",
    normPlace: "post",
    feedForward: 10,
    tiedHead: false,
  }),
  mamba("constant B", { constantB: true }),
  mamba("constant C", { constantC: true }),
  mamba("constant Δ", { constantDelta: true }),
  mamba("S4D in the block", { ssm: "s4d" }),
  mamba("nothing selected", { constantB: true, constantC: true, constantDelta: true }),
  { name: "Transformer", model: "transformer", given: { heads: 1, context: 20 } },
  {
    name: "Transformer, grouped heads, LayerNorm after each part",
    model: "transformer",
    given: {
      dModel: 16,
      heads: 4,
      kvHeads: 2,
      context: 20,
      feedForward: 0,
      norm: "layer",
      normPlace: "post",
    },
  },
  s4("as published", {}),
  s4("rank 2", { initialization: "legt" }),
  lssl("everything trained", {}),
  lssl("LegT, two readouts, A fixed", { initialization: "legt", readouts: 2, trainedA: false }),
  lssl("a random start under backward Euler", { initialization: "random", discretization: "backwardEuler" }),
  hippo("RNN", {}),
  hippo("RNN, two LagT memories", { measure: "lagt", memories: 2 }),
  hippo("memory of the input", { measure: "fourier", recurrent: false, memories: 3 }),
  hippo("RNN, two memories of scaled LegS", { measure: "scaledLegs", memories: 2 }),
  hippo("scaled LegS of the input", { measure: "scaledLegs", recurrent: false }),
  { name: "H3", model: "h3", given: { dState: 4 } },
  { name: "H3, S6", model: "h3", given: { ssm: "s6", dState: 4 } },
];
