import { type Browser, chromium } from "playwright-core";
import { browserPath } from "../../scripts/softwareGpu.ts";

const off = ["quic", "background-networking", "component-update", "sync"].map((what) => `--disable-${what}`);

/** A headless Chromium with these flags more. */
export async function launch(...flags: readonly string[]): Promise<Browser> {
  const args = ["--headless", "--no-sandbox", "--no-first-run", ...off, ...flags];
  return chromium.launch({ executablePath: await browserPath(), args });
}
