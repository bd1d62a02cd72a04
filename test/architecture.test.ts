import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";

/** What each folder of src may import, besides itself. Read top to bottom, it is the path of the data. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  math: [],
  text: [],
  tensor: [],
  ops: ["math", "tensor"],
  backends: ["tensor"],
  models: ["math", "tensor", "ops"],
  data: ["math", "text", "tensor"], // of tensor the errors
  checkpoint: ["tensor", "models"],
  train: ["math", "tensor", "ops", "models", "checkpoint", "data"],
  generate: ["math", "tensor", "models", "text", "checkpoint"],
  "index.ts": [
    "math",
    "text",
    "tensor",
    "ops",
    "models",
    "data",
    "checkpoint",
    "train",
    "generate",
    "backends",
  ],
  "node.ts": ["index.ts", "tensor", "backends", "checkpoint"],
  "browser.ts": ["index.ts", "tensor", "backends", "checkpoint"],
  cli: ["node.ts"],
};

/** The only files that may name what is not in every JavaScript: Node's modules, workers, the page. */
const platform = [
  /^node\.ts$/,
  /^browser\.ts$/,
  /^cli\//,
  /^backends\/cpu\/(native|pool|worker|browserWorker)\.ts$/,
  /^backends\/webgpu\/dawn\.ts$/,
  /^checkpoint\/(diskFiles|browserFiles)\.ts$/,
];

const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts"),
);

for (const file of files) {
  const folder = file.split("/")[0];
  const source = readFileSync(`src/${file}`, "utf8");
  const imports = [...source.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, path]) => path);

  test(`${file} imports only what lies before it`, () => {
    for (const path of imports.filter((path) => path.startsWith("."))) {
      const target = posix.join(posix.dirname(file), path).split("/")[0];
      assert.ok([folder, ...mayImport[folder]].includes(target), `${folder} may not import ${target}`);
    }
    if (file === "index.ts") {
      const backends = imports.filter((path) => path.includes("backends/"));
      assert.deepEqual(backends, ["./backends/plain.ts"]);
    }
  });

  test(`${file} is at most 400 lines long`, () => {
    assert.ok(source.split("\n").length <= 401, "split it");
  });

  test(`${file} uses platform globals only at a door`, () => {
    if (platform.some((allowed) => allowed.test(file))) return;
    assert.deepEqual(
      imports.filter((path) => path.startsWith("node:")),
      [],
    );
    const code = source.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
    assert.doesNotMatch(code, /\b(process|navigator|window|document)\s*\./);
  });
}

for (const file of readdirSync("src/backends/cpu/kernels").filter((file) => /\.[ch]$/.test(file))) {
  test(`${file} is at most 400 lines long`, () => {
    const lines = readFileSync(`src/backends/cpu/kernels/${file}`, "utf8").split("\n");
    assert.ok(lines.length <= 401, "split it");
  });
}
