/** The conversation context over HTTP; `openapi.yaml` describes it. */

import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { streamSSE } from "hono/streaming";
import type { Answerer } from "./answerer.ts";
import type { Conversations } from "./conversations.ts";
import { ProblemError } from "./problem.ts";
import { relay } from "./relay.ts";

export const MAX_QUESTION_LENGTH = 2000;
/** Room for the longest question in any script, escaped; in bytes. */
const MAX_BODY_SIZE = 16 * 1024;
const PAGE_SIZE = 30;
const MAX_PAGE_SIZE = 100;

export function chatRoutes(conversations: Conversations, answerer: Answerer): Hono {
  const chat = new Hono();
  chat.use(bodyLimit({ maxSize: MAX_BODY_SIZE, onError: refuseBody }));

  chat.post("/conversations", (c) => c.json(conversations.start(), 201));

  chat.get("/conversations", (c) => {
    const limit = Number(c.req.query("limit") ?? PAGE_SIZE);
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_SIZE) {
      throw new ProblemError(400, "bad-limit", "This page size is not possible", `limit is a number from 1 to ${MAX_PAGE_SIZE}`);
    }
    return c.json(conversations.list(limit, c.req.query("after") ?? null));
  });

  chat.get("/conversations/:id", (c) => c.json(conversations.find(c.req.param("id")) ?? missing()));

  chat.delete("/conversations/:id", (c) => {
    if (!conversations.remove(c.req.param("id"))) missing();
    return c.body(null, 204);
  });

  chat.post("/conversations/:id/messages", async (c) => {
    const question = await questionOf(c);
    const message = conversations.ask(c.req.param("id"), question) ?? missing();
    return streamSSE(c, async (stream) => {
      const gone = new AbortController();
      stream.onAbort(() => gone.abort());
      const settlement = await relay(
        answerer.ask(question, c.req.raw.headers, gone.signal),
        ({ event, data }) => stream.writeSSE({ event, data: JSON.stringify(data) }),
        gone.signal,
      );
      conversations.settle(message, settlement);
    });
  });

  return chat;
}

/** The rest of the body is not read, so the connection cannot be used again. */
function refuseBody(c: Context): never {
  c.header("connection", "close");
  throw tooLong();
}

async function questionOf(c: Context): Promise<string> {
  // A form on another site can POST text, but not JSON: insisting on the type keeps strangers' pages out.
  if (!c.req.header("content-type")?.startsWith("application/json")) {
    throw new ProblemError(415, "not-json", "Send the question as JSON", "with the header content-type: application/json");
  }
  const body: unknown = await c.req.json().catch(() => null);
  const question = (body as { question?: unknown } | null)?.question;
  if (typeof question !== "string" || question.trim() === "") {
    throw new ProblemError(400, "no-question", "There is no question", 'Send {"question": "…"}.');
  }
  if (question.length > MAX_QUESTION_LENGTH) throw tooLong();
  return question.trim();
}

function tooLong(): ProblemError {
  return new ProblemError(413, "question-too-long", "This question is too long", `Use at most ${MAX_QUESTION_LENGTH} characters.`);
}

function missing(): never {
  throw new ProblemError(404, "no-such-conversation", "There is no such conversation", "It may have been deleted.");
}
