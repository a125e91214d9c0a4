/** Finds the sentences of a passage that a claim rests on, so that a reader sees at a glance whether it holds. */

import { sentences } from "./blocks.ts";

export interface Stretch {
  text: string;
  marked: boolean;
}

/** How many of the words of the shorter of the two, sentence or claim, must be shared for the sentence to be marked … */
const OF_THE_SHORTER = 0.6;
/** … and how many of the claim's: a short sentence of common words supports nothing by itself. */
const OF_THE_CLAIM = 0.35;

/** The passage in order, without a gap. Nothing is marked when nothing is close to the claim. */
export function highlight(passage: string, claim: string): Stretch[] {
  const wanted = wordsOf(claim);
  const stretches: Stretch[] = [];
  for (const text of sentences(passage)) {
    const sentence = text.trimEnd();
    add(stretches, sentence, supports(wordsOf(sentence), wanted));
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

function supports(sentence: Set<string>, claim: Set<string>): boolean {
  const shared = [...sentence].filter((word) => claim.has(word)).length;
  return shared > 0 && shared >= OF_THE_SHORTER * Math.min(sentence.size, claim.size) && shared >= OF_THE_CLAIM * claim.size;
}
