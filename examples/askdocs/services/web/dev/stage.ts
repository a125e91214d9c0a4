/** The built page behind a gateway, with its real back end and fakes for the rest: what the tests of the page look at. */

import { fileURLToPath } from "node:url";
import { Answerer } from "../server/answerer.ts";
import { createApp } from "../server/app.ts";
import { Conversations } from "../server/conversations.ts";
import { Faults } from "../server/faults.ts";
import { fakeAnswerer, type AnswererOptions } from "./answerer.ts";
import { gateway } from "./gateway.ts";
import { fakeLibrary, type LibraryOptions } from "./library.ts";
import { listen, serveApp, type Running } from "./listen.ts";

export interface Stage extends Running {
  /** Cuts every connection that is open now, as a crash would. */
  cut(): void;
}

export async function stage(library: LibraryOptions, answerer: AnswererOptions): Promise<Stage> {
  const conversations = new Conversations(":memory:");
  const documents = await serveApp(fakeLibrary(library));
  const questions = await serveApp(fakeAnswerer(answerer));
  const web = await serveApp(createApp({
    conversations,
    answerer: new Answerer({ url: questions.url }),
    faults: new Faults(),
    page: fileURLToPath(new URL("../dist/page", import.meta.url)),
  }));
  const door = gateway([{ prefix: "/api/documents", to: documents.url }, { prefix: "/", to: web.url }]);
  const front = await listen(door);
  return {
    url: front.url,
    cut: () => door.closeAllConnections(),
    close: async () => {
      await Promise.all([front.close(), web.close(), documents.close(), questions.close()]);
      conversations.close();
    },
  };
}
