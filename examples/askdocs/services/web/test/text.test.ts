/** What is read from text: event streams, the blocks of an answer, the sentence that a claim rests on. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { readBlocks, readInlines, sentences } from "../page/text/blocks.ts";
import { highlight } from "../page/text/highlight.ts";
import { placeOf } from "../page/text/place.ts";
import { EventTooLarge, MAX_EVENT_LENGTH, readEvents } from "../shared/event-stream.ts";

test("events are read the same wherever the chunks are cut", async () => {
  const text = ": hello\r\n\r\nevent: token\r\ndata: {\"text\":\"für\"}\r\n\r\ndata: one\ndata:two\n\nevent: cut off\ndata: x";
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size <= bytes.length; size++) {
    assert.deepEqual(await read(chunks(bytes, size)), [
      { event: "token", data: '{"text":"für"}' },
      { event: "message", data: "one\ntwo" },
    ], `in chunks of ${size}`);
  }
});

test("an event without an end is refused instead of collected", async () => {
  const body = chunks(new TextEncoder().encode(`data: ${"x".repeat(MAX_EVENT_LENGTH + 1)}`), 64_000);
  await assert.rejects(read(body), EventTooLarge);
});

test("who stops reading events early hangs up", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    cancel: () => void (cancelled = true),
  });
  for await (const _ of readEvents(body)) break;
  assert.ok(cancelled);
});

test("an answer is read into paragraphs, lists and code", () => {
  const blocks = readBlocks("First\nstill first.\n\n- one\n- two [1]\n\n```sh\nmotet up\n```\n1. then");
  assert.deepEqual(blocks.map(({ kind }) => kind), ["paragraph", "list", "code", "list"]);
  assert.deepEqual(blocks[0], { kind: "paragraph", content: [{ kind: "text", text: "First still first." }] });
  assert.deepEqual(blocks[2], { kind: "code", text: "motet up" });
});

test("code that is still being written does not fall apart", () => {
  assert.deepEqual(readBlocks("```\nmotet"), [{ kind: "code", text: "motet" }]);
});

test("a citation knows the sentence that it stands for, before or after the full stop", () => {
  const claims = readInlines("Leases end. Watches see it [1][2]. It takes 1.5 ms. [3]").filter((inline) => inline.kind === "citations");
  assert.deepEqual(claims, [
    { kind: "citations", numbers: [1, 2], claim: "Watches see it" },
    { kind: "citations", numbers: [3], claim: "It takes 1.5 ms." },
  ]);
});

test("brackets in code are not citations", () => {
  assert.deepEqual(readInlines("`a[1]`"), [{ kind: "code", text: "a[1]" }]);
});

test("sentences leave nothing out", () => {
  for (const text of ["One. Two! Three", "No end", "", "A (b.) c.\n\nD", "...", "e.g. this? Yes."]) {
    assert.equal(sentences(text).join(""), text);
  }
});

const PASSAGE = "Leases are short. An instance that does not renew its lease is taken out of every set. Others stay.";

test("the sentence that a claim rests on is marked, and nothing else", () => {
  const stretches = highlight(PASSAGE, "An instance that does not renew its lease is taken out");
  assert.equal(stretches.map(({ text }) => text).join(""), PASSAGE);
  assert.deepEqual(stretches.filter(({ marked }) => marked).map(({ text }) => text), [
    "An instance that does not renew its lease is taken out of every set.",
  ]);
});

test("a short sentence of common words is not marked", () => {
  const claim = "A lease of an instance that announces itself from elsewhere has a term: it expires unless it is renewed";
  const marked = highlight(`Each announcement is a lease. ${claim}.`, claim).filter(({ marked }) => marked);
  assert.deepEqual(marked.map(({ text }) => text), [`${claim}.`]);
});

test("a passage's place does not repeat the title", () => {
  const citation = { document: "d", title: "Discovery", passage: "p", text: "", score: 1 };
  assert.equal(placeOf({ ...citation, heading: "Discovery › Leases", page: 3 }), "Leases, page 3");
  assert.equal(placeOf({ ...citation, heading: "Discovery" }), "");
  assert.equal(placeOf({ ...citation, heading: "Leases › Terms" }), "Leases › Terms");
  assert.equal(placeOf(citation), "");
});

test("nothing is marked when nothing is close", () => {
  assert.ok(highlight(PASSAGE, "Bananas are yellow because of the sun").every(({ marked }) => !marked));
  assert.ok(highlight(PASSAGE, "").every(({ marked }) => !marked));
});

function chunks(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, (at += size)));
    },
  });
}

async function read(body: ReadableStream<Uint8Array>) {
  const events = [];
  for await (const event of readEvents(body)) events.push(event);
  return events;
}
