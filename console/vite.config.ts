import { brotliCompressSync, gzipSync } from "node:zlib";
import type { Plugin, PreviewServer, ViteDevServer } from "vite";
import { defineConfig } from "vitest/config";

/** Lays the same file compressed beside each that is worth it: the server sends what the browser takes. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    generateBundle(_, bundle) {
      for (const [fileName, file] of Object.entries(bundle)) {
        const source = Buffer.from(file.type === "chunk" ? file.code : file.source);
        if (!/\.(js|css|html|svg)$/.test(fileName) || source.length < 1000) continue;
        this.emitFile({ type: "asset", fileName: `${fileName}.gz`, source: gzipSync(source, { level: 9 }) });
        this.emitFile({ type: "asset", fileName: `${fileName}.br`, source: brotliCompressSync(source) });
      }
    },
  };
}

/** Only for development: requests go to a running server with this token, and who holds a token is no user but may all. */
const server = process.env["CAUSEWAY_URL"] ?? "http://127.0.0.1:8080";
const token = process.env["CAUSEWAY_API_TOKEN"];
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const proxy = Object.fromEntries(
  ["/api", "/healthz", "/metrics", "/openapi.json"].map((path) => [path, { target: server, headers }]),
);

function holderOfToken(): Plugin {
  const me = { user: null, role: "owner", csrfToken: null, organization: null, projects: [], features: [] };
  const answer = ({ middlewares }: ViteDevServer | PreviewServer) => {
    if (!token) return;
    middlewares.use("/api/v1/me", (_, response) => {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(me));
    });
  };
  return { name: "holder-of-token", configureServer: answer, configurePreviewServer: answer };
}

export default defineConfig({
  plugins: [compress(), holderOfToken()],
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
