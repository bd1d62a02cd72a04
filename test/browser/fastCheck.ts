/** fast-check with few runs of each property: those in Node are many, and the browser's GPU in software is slow. */
const path = "/node_modules/fast-check/lib/fast-check.js"; // its name stands for this file here
const { default: original } = (await import(path)) as typeof import("fast-check");

const mostRuns = 4;

const fewer: typeof original = {
  ...original,
  assert: ((property, options) =>
    original.assert(
      property as never,
      {
        ...options,
        numRuns: Math.min(options?.numRuns ?? mostRuns, mostRuns),
      } as never,
    )) as typeof original.assert,
};

export { fewer as default }; // oxlint-disable-line import/no-default-export -- as fast-check has it
