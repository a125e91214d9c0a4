/** Where in its document a passage stands. */

import type { Citation } from "../../shared/contract.ts";

/** Between the headings of a path, as the parser writes it. */
const WITHIN = " › ";

/** The path of headings; without its first when that only repeats the document's title, as it does in most documents. */
export function headingOf({ title, heading }: Citation): string {
  const path = (heading ?? "").split(WITHIN);
  return (path[0] === title ? path.slice(1) : path).join(WITHIN);
}

export function placeOf(citation: Citation): string {
  return [headingOf(citation), citation.page && `page ${citation.page}`].filter(Boolean).join(", ");
}
