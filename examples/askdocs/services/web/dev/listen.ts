/** Starts a fake, or anything else that handles requests, on a free port of the loopback. */

import { serve } from "@hono/node-server";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface Running {
  url: string;
  /** Ends it at once, with all its connections. */
  close(): Promise<void>;
}

export function serveApp(app: { fetch: (request: Request) => Response | Promise<Response> }): Promise<Running> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, () => resolve(running(server as Server)));
  });
}

export function listen(server: Server): Promise<Running> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(running(server))));
}

function running(server: Server): Running {
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
