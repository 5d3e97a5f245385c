import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Lays each file that is worth it compressed beside itself, when all are written: the server sends what the browser takes. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle)) {
        const path = join(dir ?? "dist", name);
        const source = readFileSync(path);
        if (!/\.(js|css|html|svg)$/.test(name) || source.length < 1000) continue;
        writeFileSync(`${path}.gz`, gzipSync(source, { level: 9 }));
        writeFileSync(`${path}.br`, brotliCompressSync(source));
      }
    },
  };
}

/** Only for development: requests go to a running server, with this token where it is given. */
const server = process.env["CAUSEWAY_URL"] ?? "http://127.0.0.1:8080";
const token = process.env["CAUSEWAY_API_TOKEN"];
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const proxy = Object.fromEntries(
  ["/api", "/healthz", "/metrics", "/openapi.json"].map((path) => [path, { target: server, headers }]),
);

export default defineConfig({
  plugins: [compress()],
  build: {
    target: ["chrome123", "firefox120", "safari17.5"],
    // The content security policy knows no data: URL, and the polyfill is not needed by these browsers.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy },
  preview: { proxy },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
