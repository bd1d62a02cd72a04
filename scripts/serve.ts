/**
 * Serves the repository to a browser on this machine: bare imports are resolved as Node resolves them (a page could be
 * told where packages are, its workers could not), and pages are cross-origin isolated, so that wasm has its threads.
 *
 *   node dist/scripts/serve.js [PATH]      says where PATH is to be seen, and serves until it is stopped
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

export interface Served {
  /** "http://127.0.0.1:41234" */
  readonly origin: string;
  close(): void;
}

/** `aliases` says which file of the repository stands for an import or, beginning with /, for a path. */
export async function serve(port: number, aliases: Readonly<Record<string, string>> = {}): Promise<Served> {
  const server = createServer(async ({ url = "/" }, response) => {
    const path = decodeURIComponent(new URL(url, "http://localhost").pathname);
    if (path in aliases) {
      response.writeHead(302, { Location: aliases[path] }).end();
      return;
    }
    const file = resolve(root, `.${path}`, path.endsWith("/") ? "index.html" : "");
    const inside = file.startsWith(resolve(root) + sep);
    const content = inside ? await readFile(file).catch(() => null) : null;
    const type = types[extname(file)];
    response.writeHead(content ? 200 : 404, {
      "Content-Type": type ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      "Cache-Control": "no-store",
    });
    response.end(content && type === "text/javascript" ? resolved(content.toString(), aliases) : content);
  });
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  const { port: given } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${given}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The module with paths of this server in place of bare imports. */
function resolved(code: string, aliases: Readonly<Record<string, string>>): string {
  return code.replace(
    /(\bfrom\s*|\bimport\s*\(?\s*)"([^"./][^"]*)"/g,
    (whole, before: string, name: string) => {
      const path = aliases[name] ?? pathOf(name);
      return path === null ? whole : `${before}"${path}"`;
    },
  );
}

function pathOf(name: string): string | null {
  try {
    const file = fileURLToPath(import.meta.resolve(name));
    return `/${relative(root, file).split(sep).join("/")}`;
  } catch {
    return null; // a module of Node, or text that only looks like an import
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const path = process.argv[2] ?? "";
  const { origin } = await serve(Number(process.env.PORT ?? 8080));
  console.log(`${origin}/${path}`);
}
