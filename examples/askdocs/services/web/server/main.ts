/** Starts the service, and ends it gently: answers that are on their way may finish, new work is refused. */

import { serve, type ServerType } from "@hono/node-server";
import type { Server } from "node:http";
import { fileURLToPath } from "node:url";
import { Answerer } from "./answerer.ts";
import { createApp } from "./app.ts";
import { Conversations } from "./conversations.ts";
import { Faults } from "./faults.ts";
import { settingsFrom } from "./settings.ts";

/** How long answers on their way may take after SIGTERM, in milliseconds. */
const GRACE = 8000;

const settings = settingsFrom(process.env);
const conversations = new Conversations(settings.databasePath);
const app = createApp({
  conversations,
  answerer: new Answerer({ url: settings.answererUrl }),
  faults: new Faults(settings.fault),
  page: fileURLToPath(new URL("../page", import.meta.url)),
});

const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: settings.port }, ({ port }) => {
  console.log(`listening on 127.0.0.1:${port}`);
});
// Last of all: an answer that is cut off is still written down.
process.once("exit", () => conversations.close());
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop(signal, server));

function stop(signal: string, server: ServerType): void {
  console.log(`${signal}: stopping`);
  const http = server as Server;
  http.close();
  // A caller's kept connection falls idle only when its answer is complete.
  setInterval(() => http.closeIdleConnections(), 50).unref();
  setTimeout(() => http.closeAllConnections(), GRACE).unref();
}
