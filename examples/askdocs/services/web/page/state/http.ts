/** Calls to the services, with every failure turned into a problem that a person can read. */

import type { Problem } from "../../shared/contract.ts";

export class CallFailed extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.title);
    this.problem = problem;
  }
}

const OFFLINE: Problem = {
  type: "offline",
  title: "askdocs cannot be reached",
  status: 0,
  detail: "Check that the system is running (motet ps), then try again.",
};

/** Resolves for 2xx only. An abort of `init.signal` rejects with its reason. */
export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new CallFailed(OFFLINE);
  }
  if (!response.ok) throw new CallFailed(readProblem(await response.text(), response.status));
  return response;
}

export async function callJson<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await call(path, init)).json()) as T;
}

export function readProblem(text: string, status: number): Problem {
  if (status === 0) return OFFLINE;
  try {
    const problem = JSON.parse(text) as Partial<Problem>;
    if (problem.title) return { type: "about:blank", status, ...problem, title: problem.title };
  } catch {
    // Not a problem document: some proxy on the way answered.
  }
  return { type: "about:blank", title: `The service answered with an error (${status})`, status, detail: "Try again in a moment." };
}

export function problemOf(error: unknown): Problem {
  if (error instanceof CallFailed) return error.problem;
  console.error(error);
  return { type: "about:blank", title: "Something went wrong on this page", status: 0, detail: "Reload it and try again." };
}
