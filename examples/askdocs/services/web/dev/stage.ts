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

export async function stage(library: LibraryOptions, answerer: AnswererOptions): Promise<Running> {
  const conversations = new Conversations(":memory:");
  const documents = await serveApp(fakeLibrary(library));
  const questions = await serveApp(fakeAnswerer(answerer));
  const web = await serveApp(createApp({
    conversations,
    answerer: new Answerer({ url: questions.url }),
    faults: new Faults(),
    page: fileURLToPath(new URL("../dist/page", import.meta.url)),
  }));
  const front = await listen(gateway([{ prefix: "/api/documents", to: documents.url }, { prefix: "/", to: web.url }]));
  return {
    url: front.url,
    close: async () => {
      await Promise.all([front.close(), web.close(), documents.close(), questions.close()]);
      conversations.close();
    },
  };
}
