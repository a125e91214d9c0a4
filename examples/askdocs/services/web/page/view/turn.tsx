/** One question with what came of it, set like a page: the question as a heading, the answer as text, then its sources. */

import { useMemo } from "preact/hooks";
import type { Citation, Message } from "../../shared/contract.ts";
import { askAgain, asking, type Turn } from "../state/chat.ts";
import { read, reading } from "../state/layout.ts";
import { firstClaim, readBlocks, type Block, type Inline } from "../text/blocks.ts";
import { placeOf } from "../text/place.ts";
import { ProblemNote } from "./problem-note.tsx";

/** Keeps a citation on the line of the word before it, and the full stop with the citation. */
const WORD_JOINER = "\u2060";

export function TurnView({ turn }: { turn: Turn }) {
  const message = turn.message.value;
  const { question, answer, citations, outcome } = message;
  const blocks = useMemo(() => readBlocks(answer), [answer]);
  const writing = outcome === "open" && asking.value !== null;
  return (
    <article class="turn" aria-busy={writing}>
      <h2 class="question">{question}</h2>
      {writing && answer === "" && <p class="progress">{progressOf(citations)}</p>}
      {blocks.length > 0 && (
        <div class={writing ? "answer writing" : "answer"}>
          {blocks.map((block, index) => <BlockView key={index} block={block} citations={citations} />)}
        </div>
      )}
      {!writing && <Ending turn={turn} message={message} />}
      {outcome === "answered" && citations.length > 0 && <Sources message={message} blocks={blocks} />}
    </article>
  );
}

function progressOf(citations: Citation[]): string {
  if (citations.length === 0) return "Searching the documents…";
  const titles = [...new Set(citations.map(({ title }) => title))];
  return `Reading ${titles.slice(0, 3).join(", ")}${titles.length > 3 ? " and others" : ""}…`;
}

function Ending({ turn, message: { outcome, problem, answer } }: { turn: Turn; message: Message }) {
  if (outcome === "answered") return null;
  const again = (
    <button class="text-button" disabled={asking.value !== null} onClick={() => void askAgain(turn)}>Ask again</button>
  );
  if (problem) return <ProblemNote problem={problem}>{again}</ProblemNote>;
  return <p class="ending">{answer ? "The answer was stopped here." : "This question was stopped before an answer came."} {again}</p>;
}

function Sources({ message: { citations, model, notice }, blocks }: { message: Message; blocks: Block[] }) {
  return (
    <footer class="sources">
      <ol>
        {citations.map((citation, index) => (
          <li key={citation.passage}>
            <button onClick={(event) => read(citation, index + 1, firstClaim(blocks, index + 1), event.currentTarget)}>
              <span class="number">{index + 1}</span>
              <span class="title">{citation.title}</span>
              <span class="heading">{placeOf(citation)}</span>
            </button>
          </li>
        ))}
      </ol>
      <p class="made">
        {model ? `Written by ${model} from these passages.` : "Quoted from the documents."} {notice}
      </p>
    </footer>
  );
}

function BlockView({ block, citations }: { block: Block; citations: Citation[] }) {
  switch (block.kind) {
    case "paragraph":
      return <p><Inlines content={block.content} citations={citations} /></p>;
    case "heading":
      return <h3><Inlines content={block.content} citations={citations} /></h3>;
    case "code":
      return <pre tabIndex={0}><code>{block.text}</code></pre>;
    case "list": {
      const List = block.ordered ? "ol" : "ul";
      return <List>{block.items.map((item, index) => <li key={index}><Inlines content={item} citations={citations} /></li>)}</List>;
    }
  }
}

function Inlines({ content, citations }: { content: Inline[]; citations: Citation[] }) {
  return content.map((inline, index) => {
    switch (inline.kind) {
      case "text":
        return inline.text;
      case "code":
        return <code key={index}>{inline.text}</code>;
      case "strong":
        return <strong key={index}>{inline.text}</strong>;
      case "citations":
        return (
          <span key={index} class="chips">
            {WORD_JOINER}
            {inline.numbers.map((number) => <Chip key={number} number={number} claim={inline.claim} citation={citations[number - 1]} />)}
            {WORD_JOINER}
          </span>
        );
    }
  });
}

function Chip({ number, claim, citation }: { number: number; claim: string; citation: Citation | undefined }) {
  if (!citation) return <>[{number}]</>;
  return (
    <button
      class="chip"
      aria-label={`Source ${number}: ${citation.title}`}
      aria-pressed={reading.value?.citation.passage === citation.passage}
      onClick={(event) => read(citation, number, claim, event.currentTarget)}
    >
      {number}
    </button>
  );
}
