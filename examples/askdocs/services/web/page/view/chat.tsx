import { useComputed, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ask, asking, current, trouble, turns } from "../state/chat.ts";
import { documents, loading, trouble as libraryTrouble } from "../state/documents.ts";
import { Composer } from "./composer.tsx";
import { ProblemNote } from "./problem-note.tsx";
import { TurnView } from "./turn.tsx";

const EXAMPLES = [
  "How does Motet restart a crashed service?",
  "What happens when a lease is not renewed?",
  "How do I see why a service does not start?",
  "Which database can a service have for its own?",
];

/** How near to its end, in pixels, the conversation must be for it to follow the answer that is being written. */
const NEAR = 120;

export function Chat() {
  const scroller = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const last = useComputed(() => turns.value.at(-1)?.message.value);

  useSignalEffect(() => {
    last.value;
    const box = scroller.current;
    if (box && following.current) requestAnimationFrame(() => (box.scrollTop = box.scrollHeight));
  });
  // A question that was just asked is what one wants to see, wherever one was reading.
  useEffect(() => {
    following.current = true;
  }, [turns.value.length, current.value]);

  const onScroll = () => {
    const box = scroller.current;
    if (box) following.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
  };
  const empty = turns.value.length === 0 && !current.value;
  return (
    <main class={empty ? "chat empty" : "chat"}>
      <div class="thread" ref={scroller} onScroll={onScroll} tabIndex={-1}>
        {trouble.value && <ProblemNote problem={trouble.value} />}
        {empty ? <Welcome /> : turns.value.map((turn) => <TurnView key={turn.key} turn={turn} />)}
      </div>
      <Composer />
      <Announcer />
    </main>
  );
}

function Welcome() {
  const count = documents.value.filter(({ state }) => state === "ready").length;
  return (
    <section class="welcome">
      <h2>What would you like to know?</h2>
      <p>{about(count)}</p>
      {count > 0 && (
        <ul class="examples" aria-label="Example questions">
          {EXAMPLES.map((question) => (
            <li key={question}><button onClick={() => void ask(question)}>{question}</button></li>
          ))}
        </ul>
      )}
    </section>
  );
}

function about(ready: number): string {
  const busy = documents.value.filter(({ state }) => state !== "ready" && state !== "failed").length;
  if (loading.value) return "Looking into the documents…";
  if (libraryTrouble.value) return "The documents cannot be listed right now. You can ask all the same.";
  if (busy > 0) return `The documents are being read: ${ready} of ${ready + busy} are ready.`;
  if (ready === 0) return "Add a document, then ask about it: drop a file anywhere on this page.";
  return `Answers come from ${ready === 1 ? "one document" : `${ready} documents`}, and say which passage they rest on.`;
}

/** Tells a screen reader how the answer stands, instead of reading out each word as it arrives. */
function Announcer() {
  const last = turns.value.at(-1)?.message.value;
  const sources = last?.citations.length ?? 0;
  const said = !last ? ""
    : asking.value ? "The answer is being written."
    : last.outcome === "answered" ? `The answer is complete, with ${sources} ${sources === 1 ? "source" : "sources"}.`
    : last.outcome === "failed" ? "The question could not be answered."
    : "The answer was stopped.";
  return <p class="visually-hidden" role="status">{said}</p>;
}
