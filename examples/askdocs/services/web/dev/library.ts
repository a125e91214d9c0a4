/** A library that keeps everything in memory: enough of the contract to build and test the page alone. */

import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { DocumentState, LibraryDocument, Problem } from "../shared/contract.ts";

const SHELF: [name: string, title: string, passages: number][] = [
  ["start-here.md", "Start here", 14],
  ["definition.md", "The definition", 63],
  ["edges.md", "Edges and the data plane", 41],
  ["supervision.md", "Supervision", 37],
  ["discovery.md", "Discovery and leases", 22],
  ["stores.md", "Stores: each service owns its data", 19],
  ["command-line.html", "The command line", 58],
  ["errors.md", "Errors, one page each", 112],
];

export interface LibraryOptions {
  /** How long a document stays in each state on its way, in milliseconds. */
  pace: number;
}

export function fakeLibrary({ pace }: LibraryOptions): Hono {
  const documents = new Map<string, LibraryDocument>();
  const listeners = new Set<(event: string, data: object) => void>();
  let count = 0;

  function tell(event: string, data: object): void {
    for (const listener of listeners) listener(event, data);
  }

  function put(content: Omit<LibraryDocument, "updated_at">): LibraryDocument {
    const document = { ...content, updated_at: new Date().toISOString() };
    documents.set(document.id, document);
    tell("document", document);
    return document;
  }

  function add(name: string): LibraryDocument {
    const document = put({ id: `doc_${++count}`, name, title: null, state: "received", reason: null, passages: null, embedded: 0 });
    work(document.id);
    return document;
  }

  /** Takes the document through its states; one whose name says "broken" ends badly, one that says "long" stays on its way. */
  function work(id: string): void {
    const name = documents.get(id)?.name ?? "";
    const way: [DocumentState, number][] = [["embedding", 0], ["embedding", 16], ["indexing", 24], ["ready", 24]];
    const states: typeof way = name.includes("broken") ? [["failed", 0]] : name.includes("long") ? way.slice(0, 2) : way;
    states.forEach(([state, embedded], step) => setTimeout(() => {
      const document = documents.get(id);
      if (!document) return;
      const reason = state === "failed" ? "This PDF is damaged: its cross-reference table ends too early." : null;
      const title = state === "ready" ? document.name.replace(/\.\w+$/, "") : null;
      put({ ...document, state, reason, title, embedded, passages: state === "failed" ? null : 24 });
    }, pace * (step + 1)));
  }

  for (const [name, title, passages] of SHELF) {
    put({ id: `doc_${++count}`, name, title, state: "ready", reason: null, passages, embedded: passages });
  }
  add("quarterly-report-broken.pdf");

  const app = new Hono();
  app.get("/api/documents", (c) => c.json({ documents: [...documents.values()], next: null, total: documents.size }));
  app.get("/api/documents/events", (c) => streamSSE(c, async (stream) => {
    const closed = new Promise<void>((resolve) => stream.onAbort(resolve));
    const listener = (event: string, data: object) => void stream.writeSSE({ event, data: JSON.stringify(data) });
    listeners.add(listener);
    await stream.write(": hello\n\n");
    await closed;
    listeners.delete(listener);
  }));
  app.post("/api/documents", async (c) => {
    const { file } = await c.req.parseBody();
    if (!(file instanceof File)) return c.json(problem(400, "There is no file"), 400);
    if (file.size === 0) return c.json(problem(422, "This file is empty", `${file.name} has no content, so there is nothing to read.`), 422);
    return c.json(add(file.name), 202);
  });
  app.get("/api/documents/:id", (c) => {
    const document = documents.get(c.req.param("id"));
    return document ? c.json(document) : c.json(problem(404, "There is no such document"), 404);
  });
  app.delete("/api/documents/:id", (c) => {
    const id = c.req.param("id");
    if (!documents.delete(id)) return c.json(problem(404, "There is no such document"), 404);
    tell("removed", { id });
    return c.body(null, 204);
  });
  app.post("/api/documents/:id/retry", (c) => {
    const document = documents.get(c.req.param("id"));
    if (!document) return c.json(problem(404, "There is no such document"), 404);
    work(document.id);
    return c.json(put({ ...document, state: "received", reason: null, passages: null, embedded: 0 }), 202);
  });
  app.get("/api/documents/:id/content", (c) => c.text(`The content of ${documents.get(c.req.param("id"))?.name}.`));
  return app;
}

function problem(status: number, title: string, detail?: string): Problem {
  return { type: "about:blank", title, status, ...(detail ? { detail } : {}) };
}
