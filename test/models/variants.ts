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

export const variants: readonly Variant[] = [
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
  mamba("nothing selected", { constantB: true, constantC: true, constantDelta: true }),
];
