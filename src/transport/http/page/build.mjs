// Makes the page of its sources: one HTML file, compressed, and the policy that fits it.
// usage: node build.mjs [--check], which compares what is committed with what the sources give

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = new URL(".", import.meta.url).pathname;
const read = (path) => readFileSync(here + path);

const options = { bundle: true, minify: true, write: false, target: "es2022", legalComments: "none", logLevel: "warning" };
const [script] = (
  await build({
    ...options,
    entryPoints: [`${here}source/main.tsx`],
    format: "iife",
    jsx: "automatic",
    jsxImportSource: "preact",
    charset: "utf8",
  })
).outputFiles;
const [style] = (
  await build({ ...options, stdin: { contents: '@import "uplot/dist/uPlot.min.css";\n@import "./source/style.css";', resolveDir: here, loader: "css" } })
).outputFiles;

// What would end the element early is spelt in another way.
const code = script.text.trim().replaceAll("</script", "<\\/script");
const look = style.text.trim();
const html = Buffer.from(
  read("source/page.html")
    .toString()
    .replace("/*style*/", () => look)
    .replace("/*script*/", () => code),
);
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const policy = `${[
  "default-src 'none'",
  `script-src ${hash(code)}`,
  `style-src ${hash(look)}`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ")}\n`;

const built = "built/page";
if (process.argv.includes("--check")) {
  // The bytes within are compared: compressors differ from one Node to the next.
  const same =
    brotliDecompressSync(read(`${built}.html.br`)).equals(html) &&
    gunzipSync(read(`${built}.html.gz`)).equals(html) &&
    read(`${built}.policy`).toString() === policy;
  if (!same) {
    console.error("page: what is committed is not what the sources give: run scripts/page, and commit src/transport/http/page/built");
    process.exit(1);
  }
} else {
  mkdirSync(`${here}built`, { recursive: true });
  const br = brotliCompressSync(html, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: html.length } });
  writeFileSync(`${here}${built}.html.br`, br);
  writeFileSync(`${here}${built}.html.gz`, gzipSync(html, { level: 9 }));
  writeFileSync(`${here}${built}.policy`, policy);
  console.error(`page: ${html.length} bytes, ${br.length} compressed`);
}
