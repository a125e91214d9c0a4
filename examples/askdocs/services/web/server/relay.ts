/** Passes an answer on while it arrives, and remembers it, so that what is stored is what was seen. */

import type { Answer, Problem } from "../shared/contract.ts";
import type { AnswerEvent } from "./answerer.ts";
import type { Settlement } from "./conversations.ts";
import { ProblemError } from "./problem.ts";

/** Larger than any answer that makes sense, in characters; a model that never ends must not fill the memory. */
export const MAX_ANSWER_LENGTH = 100_000;
const MAX_CITATIONS = 100;

export type RelayEvent = AnswerEvent | { event: "error"; data: Problem };

/** `send` is awaited before the next event is read, so a slow reader slows the answerer instead of filling a buffer. */
export async function relay(
  events: AsyncIterable<AnswerEvent>,
  send: (event: RelayEvent) => Promise<unknown>,
  gone: AbortSignal,
): Promise<Settlement> {
  const nothing = { answer: "", citations: [], mode: "", model: null, degraded: false, notice: null };
  const settlement: Settlement = { ...nothing, outcome: "stopped", problem: null };
  try {
    for await (const event of events) {
      if (event.event === "citation") settlement.citations.push(event.data);
      if (event.event === "token") settlement.answer += event.data.text;
      if (event.event === "reset") Object.assign(settlement, nothing, { citations: [] });
      if (event.event === "done") Object.assign(settlement, fieldsOf(event.data), { outcome: "answered" });
      if (settlement.answer.length > MAX_ANSWER_LENGTH || settlement.citations.length > MAX_CITATIONS) {
        throw new ProblemError(502, "answer-too-long", "The answer did not come to an end", "Ask something more specific.");
      }
      await send(event);
    }
  } catch (error) {
    // Someone who left, or pressed stop, keeps what had arrived.
    if (gone.aborted) return settlement;
    settlement.problem = problemOf(error);
    settlement.outcome = "failed";
    await send({ event: "error", data: settlement.problem });
  }
  return settlement;
}

/** The answerer may say more than the contract asks for; what is kept is this. */
function fieldsOf({ answer, citations, mode, model, degraded, notice }: Answer): Answer {
  return { answer, citations, mode, model: model ?? null, degraded: Boolean(degraded), notice: notice ?? null };
}

function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  console.error("an answer could not be passed on:", error);
  return { type: "about:blank", title: "Something went wrong on our side", status: 500, detail: "Ask again in a moment." };
}
