/** Tests of ops on WebGPU and wasm in a real browser, and the door statewise/browser. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { serve } from "../../scripts/serve.ts";
import { launch, softwareGpu } from "./launch.ts";
import type { Calls } from "./page.ts";

/** Op tests that run in the page in half a minute; STATEWISE_TEST_BROWSER=all runs all of them, which takes minutes. */
const quick = ["activation", "adamw", "assign", "dropout", "gradientNorm", "reshape"];
const ofNode = /threads/; // of workers in Node
const everyFile = readdirSync("test/ops").flatMap((name) => /^(\w+)\.test\.ts$/.exec(name)?.[1] ?? []);
const files =
  process.env.STATEWISE_TEST_BROWSER === "all" ? everyFile.filter((name) => !ofNode.test(name)) : quick;

const folder = "/dist/test/browser";
const served = await serve(0, {
  "node:test": `${folder}/nodeTest.js`,
  "node:assert/strict": `${folder}/nodeAssert.js`,
  "fast-check": `${folder}/fastCheck.js`,
  "/dist/src/node.js": "/dist/src/browser.js",
  "/dist/test/devices.js": `${folder}/devices.js`,
});
const browser = await launch(...softwareGpu);
after(async () => {
  await browser.close();
  served.close();
});

async function open(where: Browser, query = "", origin = served.origin): Promise<Page> {
  const page = await where.newPage();
  page.on("pageerror", (error) => console.log(`in the page: ${error.stack}`));
  await page.goto(`${origin}/test/browser/page.html${query}`);
  await page.waitForFunction(() => "calls" in globalThis);
  return page;
}

/** Calls one of page.ts's functions in the page. */
function call<Name extends keyof Calls>(page: Page, name: Name, ...args: Parameters<Calls[Name]>) {
  return page.evaluate(
    ([name, args]) => {
      const { calls } = globalThis as unknown as { calls: Record<string, (...args: unknown[]) => unknown> };
      return calls[name](...args);
    },
    [name, args] as const,
  ) as Promise<Awaited<ReturnType<Calls[Name]>>>;
}

const ways = [
  { query: "", how: "on webgpu with all that the adapter has", files },
  { query: "?bare", how: "on webgpu with default limits and no subgroups", files },
  { query: "?device=wasm", how: "on wasm", files: ["rmsNorm", "selectiveScan"] },
];

for (const { query, how, files } of ways) {
  for (const name of files) {
    test(`in a browser, ${name} passes its tests ${how}`, async () => {
      const page = await open(browser, query);
      const { tests, failures } = await call(page, "runFile", `/dist/test/ops/${name}.test.js`);
      await page.close();
      assert.equal(failures.join("\n\n"), "");
      assert.ok(tests > 0, "there was nothing to run");
    });
  }
}

for (const kind of ["mamba", "s4d", "transformer"]) {
  test(`in a browser, ${kind} trains on webgpu as by plain loops`, async () => {
    const page = await open(browser);
    const { gpu, plain } = await call(page, "train", kind);
    await page.close();
    for (const [i, value] of gpu.entries()) {
      assert.ok(Math.abs(value / plain[i] - 1) < 1e-3, `${gpu.join()} must be ${plain.join()}`);
    }
  });
}

test("in a browser, a small Mamba learns induction heads on webgpu until all is right", async () => {
  const page = await open(browser);
  const most = 400;
  assert.ok((await call(page, "learn", most)) < most);
  await page.close();
});

test("in a browser, a token of 24 layers takes the page's thread less than 0.3 ms", async () => {
  const page = await open(browser);
  const milliseconds = await call(page, "replay");
  await page.close();
  assert.ok(milliseconds < 0.3, `it takes ${milliseconds} ms`);
});

test("a browser with a GPU opens webgpu, else wasm; what is asked for opens, or says why not", async () => {
  const page = await open(browser);
  assert.equal(await call(page, "open", {}), "webgpu");
  assert.equal(await call(page, "open", { device: "wasm" }), "wasm");
  assert.equal(await call(page, "open", { device: "plain" }), "plain");
  assert.equal(
    await call(page, "open", { device: "native" }),
    "UsageError: device: must be one of webgpu, wasm, plain, got native.",
  );
  assert.equal(
    await call(page, "open", { device: "webgpu", gpu: { f16: true } }),
    "DeviceError: webgpu: the GPU has no shader-f16. Leave the option out.",
  );
  await page.close();

  const without = await launch("--disable-gpu");
  const bare = await open(without);
  assert.equal(await call(bare, "open", {}), "wasm");
  assert.match(
    await call(bare, "open", { device: "webgpu" }),
    /^DeviceError: webgpu: .* Use .*the wasm device\.$/,
  );
  await without.close();
});
