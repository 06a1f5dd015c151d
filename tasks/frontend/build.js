// `npm run build`: writes what browsers load into the folder `static`, without source maps. hls.js has a build for browsers; of
// media-chrome, controls.js is bundled.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const TARGET = "static";
// Chrome and Edge 99, Firefox 104, Safari 16: what the player's own scripts need, too.
const BROWSERS = "es2022";

rmSync(TARGET, { recursive: true, force: true });
mkdirSync(TARGET);
const hls = readFileSync("node_modules/hls.js/dist/hls.min.mjs", "utf8");
// Django's ManifestStaticFilesStorage refuses a script whose source map is missing.
writeFileSync(`${TARGET}/hls.js`, hls.replace(/^\/\/# sourceMappingURL=.*$/m, ""));
await build({
  entryPoints: ["controls.js"],
  outfile: `${TARGET}/controls.js`,
  bundle: true,
  minify: true,
  format: "esm",
  target: BROWSERS,
  legalComments: "none",
});
for (const name of ["hls.js", "media-chrome"]) copyFileSync(`node_modules/${name}/LICENSE`, `${TARGET}/LICENSE.${name}.txt`);
