/** What is open on the screen. Where there is no room beside the conversation, panels become dialogs. */

import { signal } from "@preact/signals";
import type { Citation } from "../../shared/contract.ts";

export interface Reading {
  citation: Citation;
  number: number;
  /** The sentence of the answer that cites it. */
  claim: string;
  /** Takes the focus back when the passage is closed. */
  from: HTMLElement | null;
}

function matches(query: string) {
  const media = matchMedia(query);
  const matching = signal(media.matches);
  media.addEventListener("change", () => (matching.value = media.matches));
  return matching;
}

/** No room for the conversations beside the chat. */
export const narrow = matches("(max-width: 60rem)");

/** The panel that is open as a dialog, on narrow screens. */
export const drawer = signal<"conversations" | "documents" | null>(null);
export const reading = signal<Reading | null>(null);
/** True while files are dragged over the page. */
export const dragging = signal(false);

export function read(citation: Citation, number: number, claim: string, from: HTMLElement | null): void {
  reading.value = { citation, number, claim, from };
}

export function closePassage(): void {
  const from = reading.value?.from;
  reading.value = null;
  if (from?.isConnected) from.focus();
}
