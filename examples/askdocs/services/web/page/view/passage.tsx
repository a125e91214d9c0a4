/** The cited passage, with the sentence marked that the answer rests on. */

import { useEffect, useMemo, useRef } from "preact/hooks";
import { closePassage, narrow, type Reading } from "../state/layout.ts";
import { highlight } from "../text/highlight.ts";
import { placeOf } from "../text/place.ts";
import { CloseIcon } from "./icons.tsx";

export function Passage({ reading: { citation, number, claim } }: { reading: Reading }) {
  const { document, title, page, passage, text } = citation;
  // Browsers open a PDF at the page that the fragment names.
  const source = `/api/documents/${encodeURIComponent(document)}/content${page ? `#page=${page}` : ""}`;
  const top = useRef<HTMLHeadingElement>(null);
  const stretches = useMemo(() => highlight(text, claim), [text, claim]);
  useEffect(() => top.current?.focus(), [passage]);
  return (
    <section class="passage">
      <header>
        <span class="number">{number}</span>
        <h2 ref={top} tabIndex={-1}>{title}</h2>
        {!narrow.value && (
          <button class="icon-button" aria-label="Close the passage" onClick={closePassage}><CloseIcon /></button>
        )}
        <p class="place">{placeOf(citation)}</p>
      </header>
      <blockquote>
        {stretches.map(({ text, marked }, index) => (marked ? <mark key={index}>{text}</mark> : <span key={index}>{text}</span>))}
      </blockquote>
      <a class="text-button" href={source} target="_blank" rel="noopener">
        Open the document
      </a>
    </section>
  );
}
