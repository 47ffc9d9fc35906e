/* src/ -> one file for browsers: `node build.mjs FOLDER [FILE]`. FOLDER is where `npm ci` has put the tools
   (`make snippet` does both); FILE is avert.min.js beside this one if it is not named. */

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const tools = createRequire(resolve(process.argv[2], "package.json"));
const { build } = tools("esbuild"); // bundles, and minifies the styles
const { minify } = tools("terser"); // makes the script 4 % smaller than esbuild does

const here = new URL(".", import.meta.url).pathname;

/* The styles as one string, without what only people read. */
const styles = {
  name: "styles",
  setup(builder) {
    builder.onResolve({ filter: /^\.\/styles\.js$/ }, () => ({ path: here + "src/styles.css", namespace: "styles" }));
    builder.onLoad({ filter: /.*/, namespace: "styles" }, async ({ path }) => {
      const sheet = await build({ entryPoints: [path], minify: true, write: false, target: "chrome123" });
      return { contents: `export const STYLES = ${JSON.stringify(sheet.outputFiles[0].text.trim())}` };
    });
  },
};

const bundle = await build({
  entryPoints: [here + "src/main.js"],
  bundle: true,
  write: false,
  format: "iife",
  target: "es2022", // browsers of 2023, as constructed style sheets need
  plugins: [styles],
});
const { code } = await minify(bundle.outputFiles[0].text, {
  ecma: 2020, toplevel: true, mangle: true, compress: { passes: 4, hoist_props: true, unsafe_arrows: true },
});
writeFileSync(process.argv[3] || here + "avert.min.js", `/* Avert, Apache-2.0 */\n${code}\n`);
