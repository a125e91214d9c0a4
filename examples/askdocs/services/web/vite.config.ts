// Builds the page. The back end is plain TypeScript and needs no bundler: `tsc` compiles it (see package.json).
import { defineConfig } from "vite";

export default defineConfig({
  root: "page",
  build: {
    outDir: "../dist/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    // An inlined asset would be a data: URL, which the page's Content-Security-Policy refuses.
    assetsInlineLimit: 0,
  },
});
