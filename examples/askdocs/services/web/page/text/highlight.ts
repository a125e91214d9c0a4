/** Finds the sentences of a passage that a claim rests on, so that a reader sees at a glance whether it holds. */

import { sentences } from "./blocks.ts";

export interface Stretch {
  text: string;
  marked: boolean;
}

/** How much of a sentence, in words, must be shared with the claim (or the other way round) for it to be marked. */
const ENOUGH = 0.6;

/** The passage in order, without a gap. Nothing is marked when nothing is close to the claim. */
export function highlight(passage: string, claim: string): Stretch[] {
  const wanted = wordsOf(claim);
  const stretches: Stretch[] = [];
  for (const text of sentences(passage)) {
    const sentence = text.trimEnd();
    add(stretches, sentence, overlap(wordsOf(sentence), wanted) >= ENOUGH);
    add(stretches, text.slice(sentence.length), false);
  }
  return joined(stretches);
}

function add(stretches: Stretch[], text: string, marked: boolean): void {
  const last = stretches.at(-1);
  if (last?.marked === marked) last.text += text;
  else if (text !== "") stretches.push({ text, marked });
}

/** A space between two marked sentences is marked as well, one at the edge is not. */
function joined(stretches: Stretch[]): Stretch[] {
  const result: Stretch[] = [];
  stretches.forEach(({ text, marked }, at) => {
    const between = text.trim() === "" && stretches[at - 1]?.marked && stretches[at + 1]?.marked;
    add(result, text, marked || between === true);
  });
  return result;
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
}

function overlap(one: Set<string>, other: Set<string>): number {
  const smaller = Math.min(one.size, other.size);
  // Two or three words are in any sentence; they say nothing.
  if (smaller < 4) return one.size === other.size && [...one].every((word) => other.has(word)) ? 1 : 0;
  return [...one].filter((word) => other.has(word)).length / smaller;
}
