/** An answerer that always says the same thing: enough of the contract to build and test the page alone. */

import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { setTimeout as sleep } from "node:timers/promises";
import type { Answer } from "../shared/contract.ts";

export const ANSWER: Answer = {
  answer:
    "Motet starts a crashed service again by itself. The supervisor notices the exit at once and restarts the instance " +
    "with exponential backoff and jitter, so that a service that keeps dying does not spin [1]. Meanwhile its address is " +
    "taken out of every edge's endpoint set within 10 ms, and requests go to the instances that are left [2].\n\n" +
    "After several exits in a row the instance is marked `crash-loop`, and `motet ps` says why: the exit code, the " +
    "signal and the last lines that it wrote [1][3].",
  citations: [
    {
      document: "doc_4", title: "Supervision", passage: "doc_4#7", heading: "Supervision › Restarting", page: null, score: 0.91,
      text:
        "Every instance runs in a process group of its own. The supervisor notices the exit at once and restarts the instance " +
        "with exponential backoff and jitter. The first restart comes after 100 ms, the wait doubles up to 30 s, and it starts over " +
        "once the instance has been ready for a minute.\n\nAn instance that exits five times in a row without becoming ready is in " +
        "crash-loop: it is still retried, but `motet ps` says so and names the exit code, the signal and the last lines.",
    },
    {
      document: "doc_5", title: "Discovery and leases", passage: "doc_5#2", heading: "What an edge sees", page: null, score: 0.84,
      text:
        "Edges never poll. Each holds a watch on the endpoint set of its callee. An instance that dies is out of every edge's " +
        "endpoint set within 10 ms of the supervisor's knowing, so new requests go to the instances that are left. A request that was " +
        "under way is tried again elsewhere when its method is safe to repeat.",
    },
    {
      document: "doc_7", title: "The command line", passage: "doc_7#31", heading: "motet ps", page: 12, score: 0.77,
      text:
        "motet ps shows one line for each instance: its state, since when, how often it was restarted, processor and memory. For " +
        "an instance in crash-loop the last lines of its output follow, with exit code and signal.",
    },
  ],
  mode: "extractive",
  model: null,
  degraded: false,
  notice: null,
};

export interface AnswererOptions {
  /** Time before the first word and between two words, in milliseconds. */
  pace: number;
  /** Called when someone hangs up before the answer is complete. */
  onHangUp?: () => void;
}

/** Questions that contain "unavailable" are refused, and "break" breaks an answer off; everything else gets `ANSWER`. */
export function fakeAnswerer({ pace, onHangUp }: AnswererOptions): Hono {
  const app = new Hono();
  app.post("/api/questions", async (c) => {
    const { question } = await c.req.json<{ question: string }>();
    if (question.includes("unavailable")) {
      const problem = { type: "search-unavailable", title: "The search is not available right now", status: 503, detail: "Ask again in a minute." };
      return c.body(JSON.stringify(problem), 503, { "content-type": "application/problem+json" });
    }
    return streamSSE(c, async (stream) => {
      stream.onAbort(() => onHangUp?.());
      await sleep(pace * 10);
      for (const citation of ANSWER.citations) await stream.writeSSE({ event: "citation", data: JSON.stringify(citation) });
      await sleep(pace * 10);
      for (const text of ANSWER.answer.match(/\S+\s*/g) ?? []) {
        if (stream.aborted || (question.includes("break") && text.startsWith("jitter"))) return;
        await stream.writeSSE({ event: "token", data: JSON.stringify({ text }) });
        await sleep(pace);
      }
      await stream.writeSSE({ event: "done", data: JSON.stringify(ANSWER) });
    });
  });
  return app;
}
