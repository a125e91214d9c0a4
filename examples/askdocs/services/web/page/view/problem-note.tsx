/** Says what went wrong, and what to do now. */

import type { ComponentChildren } from "preact";
import type { Problem } from "../../shared/contract.ts";

export function ProblemNote({ problem, children }: { problem: Problem; children?: ComponentChildren }) {
  return (
    <div class="problem" role="alert">
      <strong>{problem.title}</strong>
      {problem.detail && <p>{problem.detail}</p>}
      {children}
    </div>
  );
}
