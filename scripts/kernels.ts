/**
 * Builds the CPU kernels from src/backends/cpu/kernels/*.c into dist: three wasm files with the npm build of clang,
 * and the native addon with the system's C compiler if there is one.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kernelListHash, symbols } from "../src/backends/cpu/kernels/list.ts";

const source = "src/backends/cpu/kernels";
const target = "dist/src/backends/cpu";

/** One translation unit of all kernels, so that a build is one compiler call. */
function unityFiles(): Record<string, string> {
  const files = readdirSync(source).filter((file) => /\.[ch]$/.test(file) && file !== "addon.c");
  const contents = Object.fromEntries(files.map((file) => [file, readFileSync(join(source, file), "utf8")]));
  const kernels = files.filter((file) => file.endsWith(".c") && file !== "program.c").sort();
  contents["all.c"] = [
    `#define KERNEL_LIST(X) ${symbols.map((symbol) => `X(${symbol})`).join(" ")}`,
    `#define KERNEL_LIST_HASH ${kernelListHash}u`,
    ...[...kernels, "program.c"].map((file) => `#include "${file}"`),
    "",
  ].join("\n");
  return contents;
}

const wasmFlags = [
  "--target=wasm32",
  "-O3",
  "-ffp-contract=off",
  "-ffreestanding",
  "-nostdlib",
  "-msimd128",
  "-mbulk-memory",
  "-Wl,--no-entry",
  "-Wl,--import-memory",
  "-Wl,--max-memory=4294967296",
  "-Wl,--export=__stack_pointer",
  "-Wl,--export=__heap_base",
  "-Wl,-z,stack-size=65536",
];
const shared = ["-matomics", "-Wl,--shared-memory"];
const wasmBuilds = {
  relaxed: [...shared, "-mrelaxed-simd"],
  simd: shared,
  single: ["-DSINGLE_THREAD"],
};

async function buildWasm(files: Record<string, string>): Promise<void> {
  const clang = (await import("@yowasp/clang")).commands.clang;
  for (const [build, flags] of Object.entries(wasmBuilds)) {
    const started = performance.now();
    const output = await clang([...wasmFlags, ...flags, "all.c", "-o", "kernels.wasm"], files, {
      fetchProgress() {},
      stdout: forward(process.stdout),
      stderr: forward(process.stderr),
    });
    const wasm = output?.["kernels.wasm"];
    if (!(wasm instanceof Uint8Array)) throw new Error(`clang made no kernels.wasm for ${build}`);
    writeFileSync(join(target, `kernels.${build}.wasm`), wasm);
    report(`kernels.${build}.wasm`, wasm.length, started);
  }
}

function forward(stream: NodeJS.WriteStream): (bytes: Uint8Array | null) => void {
  return (bytes) => {
    if (bytes) stream.write(bytes);
  };
}

const nativeFlags = ["-O3", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-c"];
const nativeWidths = {
  avx2: ["-DVB=32", "-DSUFFIX=_avx2", "-mavx2", "-mfma"],
  avx512: [
    "-DVB=64",
    "-DSUFFIX=_avx512",
    "-mavx512f",
    "-mavx512bw",
    "-mavx512vl",
    "-mavx512dq",
    "-mfma",
    "-mprefer-vector-width=512",
  ],
};

function buildNative(files: Record<string, string>): void {
  if (process.platform !== "linux" || process.arch !== "x64") {
    console.log(`native addon: no kernels for ${process.platform}-${process.arch} yet; going on with wasm`);
    return;
  }
  const compiler = compilerHere();
  if (!compiler) {
    console.log("native addon: no C compiler found (CC, cc, gcc, clang); going on with wasm");
    return;
  }
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "statewise-"));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const headers = createRequire(import.meta.url)("node-api-headers").include_dir as string;
    const objects = Object.entries(nativeWidths).map(([width, flags]) => {
      const object = join(folder, `${width}.o`);
      run(compiler, [...nativeFlags, ...flags, join(folder, "all.c"), "-o", object]);
      return object;
    });
    const addon = join(folder, "addon.o");
    run(compiler, [...nativeFlags, `-I${headers}`, join(source, "addon.c"), "-o", addon]);
    const file = `kernels.${process.platform}-${process.arch}.node`;
    const linked = join(folder, file);
    run(compiler, ["-shared", "-nostdlib", "-Wl,-z,noexecstack", ...objects, addon, "-lgcc", "-o", linked]);
    const bytes = readFileSync(linked);
    rmSync(join(target, file), { force: true }); // a running process may still map the old one
    writeFileSync(join(target, file), bytes);
    report(`${file} (${compiler})`, bytes.length, started);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function compilerHere(): string | undefined {
  return [process.env.CC, "cc", "gcc", "clang"].find((name) => name && works(name));
}

function works(compiler: string): boolean {
  try {
    execFileSync(compiler, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
}

function report(file: string, bytes: number, started: number): void {
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${file}: ${(bytes / 1024).toFixed(0)} KiB in ${seconds} s`);
}

/** Builds only what changed or is gone: the hash of all sources stands in dist. `native` alone, while writing C. */
const files = unityFiles();
const stamp = createHash("sha256")
  .update(JSON.stringify([files, wasmFlags, wasmBuilds, nativeFlags, nativeWidths, compilerHere()]))
  .update(readFileSync(join(source, "addon.c")))
  .digest("hex");
const stampFile = "dist/kernels.stamp"; // not beside the results, which are published
mkdirSync(target, { recursive: true });
const built = Object.keys(wasmBuilds).every((build) => existsSync(join(target, `kernels.${build}.wasm`)));
const current = built && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp;
if (process.argv[2] === "native") {
  buildNative(files);
} else if (!current) {
  await buildWasm(files);
  buildNative(files);
  writeFileSync(stampFile, stamp);
}
