/** The whole service as one request handler: health, faults, conversations, and the page for everything else. */

import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import type { Answerer } from "./answerer.ts";
import { chatRoutes } from "./chat.ts";
import type { Conversations } from "./conversations.ts";
import type { Faults } from "./faults.ts";
import { ProblemError, problemResponse } from "./problem.ts";

export interface Parts {
  conversations: Conversations;
  answerer: Answerer;
  faults: Faults;
  /** Directory with the built page. */
  page: string;
}

export function createApp({ conversations, answerer, faults, page }: Parts): Hono {
  const app = new Hono();

  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.route("/faults", faults.routes());

  app.use("/chat/*", faults.middleware());
  app.route("/chat", chatRoutes(conversations, answerer));

  app.use(pageHeaders);
  app.use(serveStatic({
    root: page,
    onFound: (path, c) => {
      // Vite puts a content hash into the names under assets/, so those never change.
      c.header("cache-control", path.includes("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
    },
  }));

  app.notFound((c) => problemResponse(c, { type: "not-found", title: "There is nothing here", status: 404 }));
  app.onError((error, c) => {
    if (error instanceof ProblemError) return problemResponse(c, error.problem);
    if (!c.req.raw.signal.aborted) console.error(`${c.req.method} ${c.req.path} failed:`, error);
    return problemResponse(c, { type: "about:blank", title: "Something went wrong on our side", status: 500 });
  });
  return app;
}

/** The page loads nothing but its own files and talks to nobody but its own origin. */
const pageHeaders = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'"],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
    requireTrustedTypesFor: ["'script'"],
  },
  referrerPolicy: "no-referrer",
  // The gateway is plain HTTP on the loopback; whoever puts TLS in front of it decides about this one.
  strictTransportSecurity: false,
});
