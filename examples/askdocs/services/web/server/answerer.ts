/**
 * The edge to the answerer: asks one question and yields what it says, as it says it.
 *
 * Nothing here waits for ever: an answerer that falls silent is given up, and the caller's signal ends the call at once,
 * which closes the connection and so tells the answerer to stop working.
 */

import type { Answer, Citation } from "../shared/contract.ts";
import { readEvents } from "../shared/event-stream.ts";
import { ProblemError, readProblem } from "./problem.ts";

export type AnswerEvent =
  | { event: "citation"; data: Citation }
  | { event: "token"; data: { text: string } }
  /** What came so far is void: the answer begins anew. */
  | { event: "reset"; data: { reason: string } }
  | { event: "done"; data: Answer };

export interface AnswererOptions {
  url: string;
  /** How long it may stay silent, in milliseconds: before its first event, and between two of them. */
  patience?: number;
}

const EVENTS: ReadonlySet<string> = new Set<AnswerEvent["event"]>(["citation", "token", "reset", "done"]);
const TRACE_HEADERS = ["traceparent", "tracestate", "baggage"];
const MAX_PROBLEM_LENGTH = 64_000;

export class Answerer {
  readonly #url: string;
  readonly #patience: number;

  constructor({ url, patience = 30_000 }: AnswererOptions) {
    this.#url = url;
    this.#patience = patience;
  }

  /** `trace` carries the caller's trace context on. Ends with `done`, or throws: a `ProblemError` unless `signal` ended it. */
  async *ask(question: string, trace: Headers, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), this.#patience);
    try {
      const response = await fetch(`${this.#url}/api/questions`, {
        method: "POST",
        headers: { ...traceContext(trace), "content-type": "application/json", accept: "text/event-stream" },
        body: JSON.stringify({ question }),
        signal: AbortSignal.any([signal, silence.signal]),
      });
      if (!response.ok || !response.body) throw await refusal(response);
      for await (const { event, data } of readEvents(response.body)) {
        timer.refresh();
        if (event === "error") throw carry(data);
        if (EVENTS.has(event)) yield { event, data: JSON.parse(data) } as AnswerEvent;
        if (event === "done") return;
      }
      throw new ProblemError(502, "answer-cut-off", "The answer broke off", "Ask again; the service may have been restarted.");
    } catch (error) {
      if (error instanceof ProblemError || signal.aborted) throw error;
      if (silence.signal.aborted) {
        throw new ProblemError(504, "answerer-silent", "The answer took too long", "Ask again in a moment.");
      }
      console.error(`answerer could not be asked: ${error instanceof Error ? error.cause ?? error : error}`);
      throw new ProblemError(502, "answerer-unreachable", "The answering service could not be reached", "Ask again in a moment.");
    } finally {
      clearTimeout(timer);
    }
  }
}

function traceContext(headers: Headers): Record<string, string> {
  return Object.fromEntries(TRACE_HEADERS.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value]];
  }));
}

async function refusal(response: Response): Promise<ProblemError> {
  const size = Number(response.headers.get("content-length") ?? 0);
  return carry(size > MAX_PROBLEM_LENGTH ? "" : await response.text());
}

/** The answerer's own problem, if it sent one. */
function carry(text: string): ProblemError {
  const problem = readProblem(text);
  if (!problem) return new ProblemError(502, "answerer-failed", "The question could not be answered", "Ask again in a moment.");
  return new ProblemError(problem.status, problem.type, problem.title, problem.detail);
}
