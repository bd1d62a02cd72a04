/**
 * A GPU in software, for machines that have none: SwiftShader and the Vulkan loader, from the npm package that also
 * brings the browser of the tests. `node dist/scripts/softwareGpu.js COMMAND …` runs a command that finds it.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** Where the browser is, unpacked if need be. */
export async function browserPath(): Promise<string> {
  const { default: chromium } = await import("@sparticuz/chromium");
  return chromium.executablePath();
}

/**
 * Environment variables under which Vulkan's loader finds SwiftShader and nothing else; none where another driver was
 * chosen by VK_ICD_FILENAMES, or STATEWISE_GPU=system says to take the system's. A process must begin with them.
 */
export async function softwareGpuEnvironment(): Promise<Record<string, string>> {
  const { VK_ICD_FILENAMES, STATEWISE_GPU, STATEWISE_DAWN, LD_LIBRARY_PATH } = process.env;
  if (VK_ICD_FILENAMES || STATEWISE_GPU === "system") return {};
  const folder = dirname(await browserPath());
  const driver = join(folder, "vk_swiftshader_icd.json");
  if (!existsSync(driver))
    throw new Error(`there is no ${driver}: the npm package no longer brings SwiftShader`);
  return {
    VK_ICD_FILENAMES: driver,
    LD_LIBRARY_PATH: LD_LIBRARY_PATH ? `${folder}:${LD_LIBRARY_PATH}` : folder,
    // SwiftShader compiles a store for each number of workgroup memory that is to be zero at the start: 2.5 s for 16 KiB.
    STATEWISE_DAWN: STATEWISE_DAWN ?? "enable-dawn-features=allow_unsafe_apis,disable_workgroup_init",
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [command, ...rest] = process.argv.slice(2);
  const env = { ...process.env, ...(await softwareGpuEnvironment()) };
  const { status, error } = spawnSync(command, rest, { stdio: "inherit", env });
  if (error) throw error;
  process.exitCode = status ?? 1;
}
