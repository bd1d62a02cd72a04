import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { columnOf, csvLines, mostCsvBytes, numberIn, readCsv } from "../../src/data/csv.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function rowsOf(text: string): { columns: readonly string[]; rows: string[][]; numbers: number[] } {
  const rows: string[][] = [];
  const numbers: number[] = [];
  let columns: readonly string[] = [];
  const count = readCsv("a.csv", bytes(text), (names) => {
    columns = names;
    return (cells, row) => {
      rows.push([...cells]);
      numbers.push(row);
    };
  });
  assert.equal(count, rows.length);
  return { columns, rows, numbers };
}

const refused = (text: string | Uint8Array, message: string) =>
  assert.throws(() => readCsv("a.csv", typeof text === "string" ? bytes(text) : text, () => () => {}), {
    name: "FormatError",
    message,
  });

test("rows are numbered as a spreadsheet shows them, the header being row 1; empty lines are passed over", () => {
  assert.deepEqual(rowsOf("a,b\r\n1,2\r\n\r\n3,4\r\n\r\n"), {
    columns: ["a", "b"],
    rows: [
      ["1", "2"],
      ["3", "4"],
    ],
    numbers: [2, 4],
  });
});

test("a mark of byte order, quotes, quoted commas, quotes and line ends are understood", () => {
  const { columns, rows } = rowsOf('\ufeff"a, b",c\n"1\n2","say ""x"""\n');
  assert.deepEqual(columns, ["a, b", "c"]);
  assert.deepEqual(rows, [["1\n2", 'say "x"']]);
});

test("semicolons and tabs separate where the header has them", () => {
  assert.deepEqual(rowsOf("a;b\n1,5;2").rows, [["1,5", "2"]]);
  assert.deepEqual(rowsOf("a\tb\n1\t\n").rows, [["1", ""]]);
});

test("in a file of one column an empty line is a row without a number, but not at the end", () => {
  assert.deepEqual(rowsOf("a\n1\n\n2\n\n\n").rows, [["1"], [""], ["2"]]);
});

test("what is written by the rules of RFC 4180 is read back", () => {
  const cell = fc.string({ unit: fc.constantFrom("a", "1", ",", '"', "\n", "\r", " ", ";", "é", "𝄞") });
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 5 }), (table) => {
      const lines = [["x", "y"], ...table].map((row) => row.map(quoted).join(","));
      assert.deepEqual(rowsOf(lines.join("\r\n")).rows, table);
    }),
  );
});

test("a file that is empty, has no rows, no names or the same name twice is refused", () => {
  const empty = "a.csv: is empty. A CSV begins with a row of column names.";
  refused("", empty);
  refused(" \n\n", empty);
  refused("a,b\n", "a.csv: has column names and no rows. Give it some.");
  refused("1,2.5\n3,4\n", "a.csv: row 1 must name the columns, got 1,2.5. Put a row of names before it.");
  refused("a,b,a\n1,2,3\n", 'a.csv: two columns are called "a". Rename one.');
});

test("a ragged row is refused with its number, and an open quote suspected where it may be", () => {
  refused("a,b\n1,2\n3\n", "a.csv: row 3 must have 2 cells, as the header has, got 1.");
  refused("a,b\n1,2\n3,4,5\n", "a.csv: row 3 must have 2 cells, as the header has, got 3.");
  refused(
    'a,b\n"1,2\n3,4\n',
    "a.csv: row 2 must have 2 cells, as the header has, got 1. Is a quote opened and not closed?",
  );
});

test("what is not text or too large is refused before it is read", () => {
  refused(Uint8Array.of(97, 44, 0xff, 10), "a.csv: must be UTF-8 text. Is it a CSV?");
  const large = { length: mostCsvBytes + 1 } as Uint8Array; // nothing else of it may be looked at
  refused(
    large,
    "a.csv: must be at most 268435456 bytes long, got 268435457. Split it, or leave columns out.",
  );
  refused(`${",".repeat(20_000)}\n`, "a.csv: must have at most 16384 columns, got 20001.");
});

test("a column that is not there is refused with the one that may have been meant, else with all", () => {
  const columns = ["date", "HUFL", "OT"];
  assert.equal(columnOf("a.csv", columns, "OT"), 2);
  for (const [name, hint] of [
    ["OTT", 'Did you mean "OT"?'],
    ["hufl", 'Did you mean "HUFL"?'],
    ["sales", 'There are: "date", "HUFL", "OT".'],
  ]) {
    assert.throws(() => columnOf("a.csv", columns, name), {
      name: "FormatError",
      message: `a.csv: has no column "${name}". ${hint}`,
    });
  }
});

test("a cell is a number, or one of the words for none, or refused with row and column", () => {
  const read = (cell: string) => numberIn("a.csv", cell, 7, "OT");
  for (const [cell, value] of [
    ["1", 1],
    [" -2.5e3 ", -2500],
    [".5", 0.5],
    ["+3.", 3],
  ] as const) {
    assert.equal(read(cell), value);
  }
  for (const cell of ["", "  ", "NA", "nan", "N/A", "null", "None", "?", "-"])
    assert.ok(Number.isNaN(read(cell)));
  const hint = "Choose other columns, or leave the cell empty where nothing was measured.";
  for (const [cell, why] of [
    ["high", hint],
    ["0x10", hint],
    ["Infinity", hint],
    ["1e999", hint],
    ["1 000", hint],
    ["1,5", "Write decimals with a point."],
  ]) {
    assert.throws(() => read(cell), {
      name: "FormatError",
      message: `a.csv: row 7, column "OT": must be a number, got "${cell}". ${why}`,
    });
  }
});

test("lines that come one by one are read as the file of them is, and refused at the one that is wrong", () => {
  const lines = ["\ufeffa;b", "1;2", "", '"x;y";'];
  const seen: [string[], number][] = [];
  const take = csvLines("stdin", (columns) => {
    assert.deepEqual(columns, ["a", "b"]);
    return (cells, row) => void seen.push([[...cells], row]);
  });
  for (const line of lines) take(line);
  assert.deepEqual(seen, [
    [["1", "2"], 2],
    [["x;y", ""], 4],
  ]);
  assert.throws(() => take("1;2;3"), {
    name: "FormatError",
    message: "stdin: row 5 must have 2 cells, as the header has, got 3.",
  });
});
