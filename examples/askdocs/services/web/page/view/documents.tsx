import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { DocumentState, LibraryDocument } from "../../shared/contract.ts";
import { dismissUpload, documents, isStalled, live, loading, overall, removeDocument, retryDocument, retryFailed, retryUpload, total, trouble, upload, uploads, type Upload } from "../state/documents.ts";
import { PlusIcon, TrashIcon } from "./icons.tsx";
import { ProblemNote } from "./problem-note.tsx";

const CHIPS: Record<DocumentState, string> = {
  received: "Waiting",
  embedding: "Embedding",
  indexing: "Indexing",
  ready: "Ready",
  failed: "Failed",
};
const ACCEPTED = ".pdf,.html,.htm,.md,.markdown,.txt,.docx";

export function Documents() {
  const picker = useRef<HTMLInputElement>(null);
  const pick = (event: Event & { currentTarget: HTMLInputElement }) => {
    upload(event.currentTarget.files ?? []);
    event.currentTarget.value = "";
  };
  return (
    <section class="documents">
      <header>
        <h2>Documents</h2>
        <input ref={picker} type="file" multiple hidden accept={ACCEPTED} aria-label="Files to add" onChange={pick} />
        <button class="quiet-button" onClick={() => picker.current?.click()}><PlusIcon /> Add documents</button>
      </header>
      {trouble.value && <ProblemNote problem={trouble.value} />}
      <Overall />
      <p class="label columns"><span>{summary()}</span><span aria-hidden="true">passages</span></p>
      <ul>
        {uploads.value.map((entry) => <UploadEntry key={entry.key} entry={entry} />)}
        {documents.value.map((document) => <DocumentEntry key={document.id} document={document} />)}
      </ul>
      <p class="hint">PDF, HTML, Markdown, Word or text. <span class="drop">You can drop files anywhere on the page.</span></p>
    </section>
  );
}

/** How far everything is that was added and is neither ready nor failed. */
function Overall() {
  const { busy, failed, embedded, passages } = overall.value;
  return (
    <>
      {busy > 0 && (
        <div class="overall">
          <progress max={passages || 1} value={embedded} aria-label="All documents on their way" />
          <p>{passages ? `${embedded.toLocaleString("en")} of ${passages.toLocaleString("en")} passages embedded` : "Reading…"}</p>
        </div>
      )}
      {failed > 1 && (
        <p class="overall-failed">
          {failed} failed. <button class="text-button" onClick={() => void retryFailed()}>Try all again</button>
        </p>
      )}
    </>
  );
}

function summary(): string {
  if (loading.value) return "Loading…";
  if (!live.value) return "Connecting…";
  const all = documents.value;
  const { busy } = overall.value;
  return busy > 0 ? `${all.length - busy} of ${all.length} done` : all.length < total.value ? `${all.length} of ${total.value} shown` : `${all.length} in the library`;
}

function UploadEntry({ entry }: { entry: Upload }) {
  const { key, sent, problem, file: { name } } = entry;
  // What the library refuses it will refuse again; a failure on the way may pass.
  const passing = problem && (problem.status === 0 || problem.status === 429 || problem.status >= 500);
  return (
    <li class={problem ? "document failed" : "document"}>
      <span class="name" title={name}>{name}</span>
      {problem ? (
        <>
          <span class="chip-state failed">Not added</span>
          <p class="reason">{problem.detail ?? problem.title}</p>
          <p class="actions">
            {passing && <button class="text-button" onClick={() => retryUpload(entry)}>Try again</button>}
            <button class="text-button" onClick={() => dismissUpload(key)}>Dismiss</button>
          </p>
        </>
      ) : (
        <progress value={sent} aria-label={`Sending ${name}`} />
      )}
    </li>
  );
}

function DocumentEntry({ document }: { document: LibraryDocument }) {
  const { id, name, title, state, reason, passages, embedded } = document;
  const stalled = isStalled(document);
  const sure = useSignal(false);
  const label = title || name;
  return (
    <li class={`document ${state}`}>
      <span class="name" title={name}>{label}</span>
      {state === "ready" ? <span class="passages">{passages ?? ""}<span class="visually-hidden"> passages, ready</span></span>
        : <span class={`chip-state ${stalled ? "failed" : state}`}>{stalled ? "Stands still" : state === "embedding" ? `${embedded} of ${passages}` : CHIPS[state]}</span>}
      {state === "embedding" && <progress max={passages ?? 1} value={embedded} aria-label={`Embedding ${label}`} />}
      {state === "failed" && <p class="reason">{reason || "It could not be read."}</p>}
      {stalled && <p class="reason">It has not got any further for ten minutes. Its part of the system may be down, or its event is a dead letter.</p>}
      {sure.value ? (
        <p class="actions">
          <button class="text-button danger" ref={(button) => button?.focus()} onClick={() => void removeDocument(id)}>Remove it</button>
          <button class="text-button" onClick={() => (sure.value = false)}>Keep it</button>
        </p>
      ) : state === "failed" || stalled ? (
        <p class="actions">
          <button class="text-button" onClick={() => void retryDocument(id)}>Try again</button>
          <button class="text-button" onClick={() => (sure.value = true)}>Remove</button>
        </p>
      ) : (
        <button class="icon-button on-hover" aria-label={`Remove ${label}`} onClick={() => (sure.value = true)}><TrashIcon /></button>
      )}
    </li>
  );
}
