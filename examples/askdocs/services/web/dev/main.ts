/**
 * `npm run dev`: the page with live reload, the real back end, and fakes for the library and the answerer, so that the
 * page can be worked on without anything else running.
 */

import { mkdirSync } from "node:fs";
import { createServer } from "vite";
import { Answerer } from "../server/answerer.ts";
import { createApp } from "../server/app.ts";
import { Conversations } from "../server/conversations.ts";
import { Faults } from "../server/faults.ts";
import { fakeAnswerer } from "./answerer.ts";
import { fakeLibrary } from "./library.ts";
import { serveApp } from "./listen.ts";

mkdirSync("node_modules/.dev", { recursive: true });
const library = await serveApp(fakeLibrary({ pace: 1500 }));
const answerer = await serveApp(fakeAnswerer({ pace: 40 }));
const backEnd = await serveApp(createApp({
  conversations: new Conversations("node_modules/.dev/conversations.db"),
  answerer: new Answerer({ url: answerer.url }),
  faults: new Faults(process.env["FAULT"]),
  page: "dist/page",
}));
const vite = await createServer({
  configFile: "vite.config.ts",
  server: { host: "127.0.0.1", proxy: { "/api/documents": library.url, "/chat": backEnd.url } },
});
await vite.listen();
vite.printUrls();
