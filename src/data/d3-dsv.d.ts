/** The part of d3-dsv that `csv.ts` uses; the package has no types of its own. */
declare module "d3-dsv" {
  export function dsvFormat(delimiter: string): {
    parseRows(text: string, row: (cells: string[], index: number) => unknown): unknown[];
  };
}
