import type { KernelSet } from "./table.ts";

/** Rows of a task and columns of a task that adds up partial sums: ROWS and COLUMNS of rows.h. */
const rowsOfTask = 32;
const columnsOfTask = 32;

/** Normalizations of rows: forward alone, backward with partial sums for `parameters` vectors of size dModel. */
function normKernels(name: string, parameters: number): KernelSet {
  const tasks = (rows: number) => Math.ceil(rows / rowsOfTask);
  return {
    symbols: [name, `${name}Backward`, `${name}BackwardGain`],
    sizes: ["rows", "dModel", "epsilon"],
    floats: ["epsilon"],
    forward: { passes: ({ rows }) => [{ symbol: name, tasks: tasks(rows) }] },
    backward: {
      passes: ({ rows, dModel }) => [
        { symbol: `${name}Backward`, tasks: tasks(rows) },
        { symbol: `${name}BackwardGain`, tasks: Math.ceil(dModel / columnsOfTask) },
      ],
      scratch: ({ rows, dModel }) => parameters * tasks(rows) * dModel,
    },
  };
}

export const rmsNorm = normKernels("rmsNorm", 1);
export const layerNorm = normKernels("layerNorm", 2);
