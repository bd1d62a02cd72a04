import { type Browser, chromium } from "playwright-core";
import { browserPath } from "../../scripts/softwareGpu.ts";

const off = ["quic", "background-networking", "component-update", "sync"].map((what) => `--disable-${what}`);

/** Its GPU in software: workgroup memory stays as it is, for to zero it takes seconds to compile (scripts/softwareGpu.ts). */
export const softwareGpu = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-dawn-features=allow_unsafe_apis,disable_workgroup_init",
];

/** A headless Chromium with these flags more. */
export async function launch(...flags: readonly string[]): Promise<Browser> {
  const args = ["--headless", "--no-sandbox", "--no-first-run", ...off, ...flags];
  return chromium.launch({ executablePath: await browserPath(), args });
}
