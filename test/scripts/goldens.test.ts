import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";

const script = fileURLToPath(new URL("../../scripts/goldens.js", import.meta.url));

/** A right case of kind discretize_diag: A = −1 and 0, one step of ½. */
const right: Record<string, number[]> = {
  "in.A": [-1, 0],
  "in.dt": [0.5],
  "out.Abar_zoh": [Math.exp(-0.5), 1],
  "out.Bbar_zoh": [-Math.expm1(-0.5), 0.5],
  "out.Abar_bilinear": [0.75 / 1.25, 1],
  "out.Bbar_bilinear": [0.5 / 1.25, 0.5],
};

test("a folder whose numbers are right passes, with a ratio and an error for each tensor", async (t) => {
  const { status, lines } = runGoldens(["--device", "plain", await folderOf(t, { right: {} })]);
  assert.equal(lines.at(-1), "1 passed, 0 failed, 0 skipped");
  for (const tensor of Object.keys(right).filter((name) => name.startsWith("out."))) {
    assert.ok(
      lines.some((line) => new RegExp(`^  ${tensor} +ratio \\S+  error/max \\S+$`).test(line)),
      tensor,
    );
  }
  assert.ok(lines.includes("not covered: nothing"));
  assert.equal(status, 0);
});

test("a wrong number fails its case, named with its tensor, its place and how far off it is", async (t) => {
  const wrong = { "out.Bbar_zoh": [-Math.expm1(-0.5), 0.5 + 3.7e-9] };
  const { status, lines } = runGoldens(["--device", "plain", await folderOf(t, { right: {}, wrong })]);
  assert.ok(lines.includes("failed  wrong: 1 of 4 tensors differ"));
  const line = lines.find((line) => line.includes("WRONG")) ?? "";
  assert.match(line, /^ {2}out\.Bbar_zoh +ratio 3\.7e\+0 .* WRONG: got 0\.5 at \[1\], golden 0\.5000000037$/);
  assert.equal(lines.at(-1), "1 passed, 1 failed, 0 skipped");
  assert.equal(status, 1);
});

test("NaN fails, in a golden file as in a result", async (t) => {
  const { status, lines } = runGoldens([
    "--device",
    "plain",
    await folderOf(t, { golden: { "out.Abar_zoh": [NaN, 1] }, result: { "in.A": [NaN, 0] } }),
  ]);
  assert.ok(lines.includes("failed  golden: 1 of 4 tensors differ"));
  assert.ok(lines.includes("failed  result: 4 of 4 tensors differ"));
  assert.equal(lines.at(-1), "0 passed, 2 failed, 0 skipped");
  assert.equal(status, 1);
});

test("a kind without an adapter is skipped and listed, and its tensor file is not needed", async (t) => {
  const folder = await folderOf(t, { right: {} });
  await writeFile(join(folder, "other.json"), JSON.stringify({ kind: "constructor" }));
  const { status, lines } = runGoldens(["--device", "plain", folder]);
  assert.ok(lines.includes("skipped other: no adapter for kind constructor"));
  assert.ok(lines.includes("  kind constructor: no adapter (1 case)"));
  assert.equal(lines.at(-1), "1 passed, 0 failed, 1 skipped");
  assert.equal(status, 0);
});

test("a tensor that no adapter computes is listed as not covered", async (t) => {
  const { status, lines } = runGoldens([
    "--device",
    "plain",
    await folderOf(t, { more: { "out.extra": [1] } }),
  ]);
  assert.ok(lines.includes("  more: no result for out.extra"));
  assert.equal(lines.at(-1), "1 passed, 0 failed, 0 skipped");
  assert.equal(status, 0);
});

test("a damaged case fails with a reason, and the others still run", async (t) => {
  const folder = await folderOf(t, { cut: {}, bare: {}, text: {}, shape: {}, right: {}, lonely: {} });
  await truncate(join(folder, "cut.safetensors"), 100);
  await rm(join(folder, "bare.safetensors"));
  await rm(join(folder, "lonely.json"));
  await writeFile(join(folder, "text.json"), '{"kind": "discr');
  const shape = { kind: "discretize_diag", config: {}, tensors: { "out.Abar_zoh": { shape: [2, 1] } } };
  await writeFile(join(folder, "shape.json"), JSON.stringify(shape));
  const { status, lines } = runGoldens(["--device", "plain", folder]);
  const failures = Object.fromEntries(
    lines.filter((line) => line.startsWith("failed")).map((line) => [line.split(/[ :]+/)[1], line]),
  );
  assert.match(failures.cut, /cut\.safetensors: the header must be at most 92 bytes long/);
  assert.match(failures.bare, /bare\.safetensors: there is no such file/);
  assert.match(failures.lonely, /lonely\.json: there is no such file/);
  assert.match(failures.text, /text\.json: must be JSON/);
  assert.match(failures.shape, /out\.Abar_zoh must be \(2, 1\) as shape\.json says, got \(1, 2\)/);
  assert.equal(lines.at(-1), "1 passed, 5 failed, 0 skipped");
  assert.equal(status, 1);
});

test("a description that names a tensor the file lacks fails", async (t) => {
  const folder = await folderOf(t, { missing: {} });
  const tensors = { "out.gone": { shape: [1] } };
  await writeFile(
    join(folder, "missing.json"),
    JSON.stringify({ kind: "discretize_diag", config: {}, tensors }),
  );
  const { lines } = runGoldens(["--device", "plain", folder]);
  assert.match(
    lines.find((line) => line.startsWith("failed")) ?? "",
    /missing\.safetensors: no tensor "out\.gone"/,
  );
});

test("a command line that makes no sense exits with 2 and says how it is used", async (t) => {
  const folder = await folderOf(t, { right: {} });
  await mkdir(join(folder, "empty"));
  const wrong: [string[], RegExp][] = [
    [[], /takes one DIR, got none/],
    [[folder, folder], /takes one DIR, got/],
    [[join(folder, "nowhere")], /DIR must be a folder that can be read, got .*nowhere \(ENOENT\)/],
    [[join(folder, "empty")], /DIR must hold golden cases, got none in/],
    [["--tolerance", "1", folder], /Unknown option '--tolerance'/],
    [["--precision", "f16", folder], /--precision must be f32 or f64, got f16/],
    [["--device", "wasm", "--precision", "f64", folder], /--precision f64 needs --device plain, got wasm/],
    [["--device", "abacus", folder], /must be one of .*, got abacus/],
  ];
  for (const [args, message] of wrong) {
    const { status, stderr } = runGoldens(args);
    assert.match(stderr, message);
    assert.match(stderr, /\nUsage: npm run goldens -- /);
    assert.equal(status, 2, args.join(" "));
  }
});

/** A temporary folder with a copy of the right case for each name, some tensors replaced by others. */
async function folderOf(t: TestContext, cases: Record<string, Record<string, number[]>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "goldens-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, changes] of Object.entries(cases)) {
    const tensors = new Map(
      Object.entries({ ...right, ...changes }).map(([tensor, numbers]) => {
        const data = tensor.startsWith("in.") ? Float32Array.from(numbers) : Float64Array.from(numbers);
        return [tensor, { shape: tensor.startsWith("out.") ? [1, data.length] : [data.length], data }];
      }),
    );
    const notes = [...tensors].map(([tensor, { shape }]) => [
      tensor,
      { shape, tol_f64: { rtol: 0, atol: 1e-9 } },
    ]);
    const description = { kind: "discretize_diag", config: {}, tensors: Object.fromEntries(notes) };
    await writeFile(join(folder, `${name}.json`), JSON.stringify(description));
    await writeFile(join(folder, `${name}.safetensors`), writeSafetensors(tensors));
  }
  return folder;
}

function runGoldens(args: string[]): { status: number | null; lines: string[]; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
  return { status, lines: stdout.trimEnd().split("\n"), stderr };
}
