/** Errors as the outside sees them: problem documents (RFC 9457), the same shape in every service of askdocs. */

import type { Context } from "hono";
import type { Problem } from "../shared/contract.ts";

/** Thrown anywhere below a route; `app.ts` turns it into the response. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(status: number, type: string, title: string, detail?: string) {
    super(detail ?? title);
    this.problem = { type, title, status, ...(detail === undefined ? {} : { detail }) };
  }
}

export function problemResponse(c: Context, problem: Problem): Response {
  return c.body(JSON.stringify(problem), problem.status as 500, { "content-type": "application/problem+json" });
}

/** Another service's problem document, if that is what `text` holds. */
export function readProblem(text: string): Problem | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("title" in value)) return undefined;
    const { type, title, status, detail } = value as Record<string, unknown>;
    return {
      type: String(type ?? "about:blank"),
      title: String(title),
      status: typeof status === "number" ? status : 502,
      ...(typeof detail === "string" ? { detail } : {}),
    };
  } catch {
    return undefined;
  }
}
