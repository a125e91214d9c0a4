/**
 * Reads an answer's text into blocks: paragraphs, lists and code, with `[1]` as citations.
 *
 * Answers are the little Markdown that language models write. Reading it into data, instead of into HTML, leaves no way for
 * a document's content to become part of the page.
 */

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "strong"; text: string }
  | { kind: "code"; text: string }
  /** Numbers count from one; `claim` is the sentence before them, which the passages are to support. */
  | { kind: "citations"; numbers: number[]; claim: string };

export type Block =
  | { kind: "paragraph" | "heading"; content: Inline[] }
  | { kind: "list"; ordered: boolean; items: Inline[][] }
  | { kind: "code"; text: string };

const FENCE = /^\s*```/;
const ITEM = /^\s*(?:[-*•]|(\d+)[.)])\s+/;
const HEADING = /^#{1,6}\s+/;

export function readBlocks(answer: string): Block[] {
  const blocks: Block[] = [];
  const lines = answer.split("\n");
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length > 0) blocks.push({ kind: "paragraph", content: readInlines(paragraph.join(" ")) });
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const item = ITEM.exec(line);
    if (FENCE.test(line)) {
      flush();
      const end = lines.findIndex((other, index) => index > at && FENCE.test(other));
      blocks.push({ kind: "code", text: lines.slice(at + 1, end < 0 ? undefined : end).join("\n") });
      at = end < 0 ? lines.length : end;
    } else if (item) {
      flush();
      addItem(blocks, readInlines(line.slice(item[0].length)), item[1] !== undefined);
    } else if (HEADING.test(line)) {
      flush();
      blocks.push({ kind: "heading", content: readInlines(line.replace(HEADING, "")) });
    } else if (line.trim() === "") {
      flush();
    } else {
      paragraph.push(line.trim());
    }
  }
  flush();
  return blocks;
}

/** The first sentence of the answer that cites this source; empty when none does. */
export function firstClaim(blocks: Block[], number: number): string {
  const inlines = blocks.flatMap((block) => (block.kind === "list" ? block.items.flat() : block.kind === "code" ? [] : block.content));
  const found = inlines.find((inline) => inline.kind === "citations" && inline.numbers.includes(number));
  return found?.kind === "citations" ? found.claim : "";
}

function addItem(blocks: Block[], item: Inline[], ordered: boolean): void {
  const last = blocks.at(-1);
  if (last?.kind === "list" && last.ordered === ordered) last.items.push(item);
  else blocks.push({ kind: "list", ordered, items: [item] });
}

export function readInlines(text: string): Inline[] {
  const inlines: Inline[] = [];
  let at = 0;
  for (const match of text.matchAll(/`([^`]+)`|\*\*(.+?)\*\*|((?:\s*\[\d{1,3}(?:\s*,\s*\d{1,3})*\])+)/g)) {
    if (match.index > at) inlines.push({ kind: "text", text: text.slice(at, match.index) });
    at = match.index + match[0].length;
    if (match[1] !== undefined) inlines.push({ kind: "code", text: match[1] });
    else if (match[2] !== undefined) inlines.push({ kind: "strong", text: match[2] });
    else inlines.push({ kind: "citations", numbers: numbersIn(match[0]), claim: claimBefore(text.slice(0, match.index)) });
  }
  if (at < text.length) inlines.push({ kind: "text", text: text.slice(at) });
  return inlines;
}

function numbersIn(markers: string): number[] {
  return [...new Set(markers.match(/\d+/g)?.map(Number))];
}

/** The last sentence of `text`, whether or not its full stop is already written. */
function claimBefore(text: string): string {
  const plain = text.replace(/\s*\[\d+(?:\s*,\s*\d+)*\]/g, "").trimEnd();
  return sentences(plain).at(-1)?.trim() ?? "";
}

/** Splits after a full stop, question mark or exclamation mark that a space follows, and at empty lines. */
export function sentences(text: string): string[] {
  return text.match(/(?:(?![.!?]["')\]]*\s|\n\s*\n)[\s\S])*(?:[.!?]["')\]]*(?:\s+|$)|\n\s*\n|$)/g)?.filter(Boolean) ?? [];
}
