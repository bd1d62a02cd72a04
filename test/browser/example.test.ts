/** The example page trains in a real browser, and answers while it does. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { serve } from "../../scripts/serve.ts";
import { launch, softwareGpu } from "./launch.ts";

const served = await serve(0);
const browser = await launch(...softwareGpu);
after(async () => {
  await browser.close();
  served.close();
});

/** Milliseconds that the page's thread may be busy at a time, on a machine whose cores train and run other tests. */
const mostBusyMs = 1000;

for (const device of ["wasm", "webgpu"]) {
  test(`the example trains on ${device} in a worker, draws, and stops when told to, its thread never busy for long`, async (t) => {
    const page = await browser.newPage();
    await page.addInitScript(() => {
      const busy: number[] = [];
      Object.assign(globalThis, { busy });
      new PerformanceObserver((list) =>
        busy.push(...list.getEntries().map(({ duration }) => duration)),
      ).observe({
        type: "longtask",
        buffered: true,
      });
    });
    await page.goto(`${served.origin}/examples/browser/`);
    await page.selectOption("#device", device);
    await page.click("#start");
    await page.waitForFunction(
      (device) =>
        new RegExp(`^${device}, .* step ([3-9]|\\d{2,}),`).test(
          document.getElementById("status")!.textContent,
        ),
      device,
      { timeout: 120_000 }, // the kernels are compiled first
    );
    const clicked = performance.now();
    await page.click("#stop");
    await page.waitForFunction(() => document.getElementById("status")!.textContent.endsWith("Stopped."));
    const answered = performance.now() - clicked;
    const drawn = await page.evaluate(() => {
      const canvas = document.getElementById("chart") as HTMLCanvasElement;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value) => value > 0);
    });
    const busy = await page.evaluate(() =>
      Math.max(0, ...(globalThis as unknown as { busy: number[] }).busy),
    );
    const { STATEWISE_SCREENSHOT: path } = process.env;
    if (path) await page.screenshot({ path: `${path}/${device}.png` });
    await page.close();
    t.diagnostic(`longest task ${busy} ms, click answered after ${Math.round(answered)} ms`);
    assert.ok(drawn, "the chart is empty");
    assert.ok(answered < 2000, `a click was answered after ${answered} ms`);
    assert.ok(busy < mostBusyMs, `the page's thread was busy for ${busy} ms`);
  });
}
