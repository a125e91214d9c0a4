/** Stands in for Motet's gateway: one origin, each path to the service that has it. Streams both ways. */

import { createServer, request, type Server } from "node:http";

export interface Route {
  prefix: string;
  /** Base URL, without a path. */
  to: string;
}

/** The first route whose prefix matches wins. */
export function gateway(routes: Route[]): Server {
  return createServer((incoming, outgoing) => {
    const route = routes.find(({ prefix }) => incoming.url?.startsWith(prefix));
    if (!route) return outgoing.writeHead(404).end();
    const { hostname, port } = new URL(route.to);
    const { method, url: path, headers } = incoming;
    const upstream = request({ hostname, port, method, path, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      outgoing.flushHeaders();
      // What breaks off behind the gateway breaks off in front of it.
      response.on("close", () => response.complete || outgoing.destroy());
      response.pipe(outgoing);
    });
    upstream.on("error", () => (outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end()));
    outgoing.on("close", () => upstream.destroy());
    incoming.pipe(upstream);
  });
}
