/** The library's documents, kept live by its event stream, and the uploads on their way to it. */

import { batch, computed, signal } from "@preact/signals";
import type { LibraryDocument, Problem } from "../../shared/contract.ts";
import { call, callJson, problemOf, readProblem } from "./http.ts";

export interface Upload {
  key: string;
  name: string;
  /** Share that was sent, from 0 to 1. */
  sent: number;
  problem: Problem | null;
}

const UPLOADS_AT_ONCE = 3;
const PAGE_LIMIT = 20;
const RECONNECT = 3000;

const shelf = signal<ReadonlyMap<string, LibraryDocument>>(new Map());
/** Newest first; those that failed come before all others, because they need someone. */
export const documents = computed(() => {
  const all = [...shelf.value.values()].reverse();
  return [...all.filter(({ state }) => state === "failed"), ...all.filter(({ state }) => state !== "failed")];
});
export const uploads = signal<Upload[]>([]);
export const loading = signal(true);
/** Why the list may be out of date; null while it is live. */
export const trouble = signal<Problem | null>(null);

const waiting: (() => Promise<void>)[] = [];
let running = 0;

/** Keeps the list live for as long as the page is open. */
export function followDocuments(): void {
  const events = new EventSource("/api/documents/events");
  // What happened before the stream was open is in the list, so the list is read each time that it opens.
  events.onopen = () => void loadDocuments();
  events.addEventListener("document", ({ data }) => put(JSON.parse(data) as LibraryDocument));
  events.onerror = () => {
    if (loading.value) void loadDocuments();
    if (events.readyState === EventSource.CLOSED) setTimeout(followDocuments, RECONNECT);
  };
}

export async function loadDocuments(): Promise<void> {
  try {
    const all = new Map<string, LibraryDocument>();
    let after: string | null = null;
    for (let page = 0; page === 0 || (after && page < PAGE_LIMIT); page++) {
      const query: string = after ? `?after=${encodeURIComponent(after)}` : "";
      const found: { documents: LibraryDocument[]; next?: string | null } = await callJson(`/api/documents${query}`);
      for (const document of found.documents) all.set(document.id, document);
      after = found.next ?? null;
    }
    batch(() => {
      shelf.value = all;
      trouble.value = null;
    });
  } catch (error) {
    trouble.value = problemOf(error);
  } finally {
    loading.value = false;
  }
}

export function upload(files: Iterable<File>): void {
  for (const file of files) {
    const entry: Upload = { key: crypto.randomUUID(), name: file.name, sent: 0, problem: null };
    uploads.value = [...uploads.value, entry];
    waiting.push(() => send(file, entry.key));
  }
  void work();
}

export function dismissUpload(key: string): void {
  uploads.value = uploads.value.filter((upload) => upload.key !== key);
}

export async function retryDocument(id: string): Promise<void> {
  await attempt(async () => put(await callJson<LibraryDocument>(`/api/documents/${encodeURIComponent(id)}/retry`, { method: "POST" })));
}

export async function removeDocument(id: string): Promise<void> {
  await attempt(async () => {
    await call(`/api/documents/${encodeURIComponent(id)}`, { method: "DELETE" });
    drop(id);
  });
}

async function work(): Promise<void> {
  if (running >= UPLOADS_AT_ONCE) return;
  const next = waiting.shift();
  if (!next) return;
  running++;
  void work();
  await next();
  running--;
  void work();
}

/** `fetch` says nothing about how much was sent, so this is the one place with an `XMLHttpRequest`. */
function send(file: File, key: string): Promise<void> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/documents");
    request.upload.onprogress = ({ loaded, total }) => changeUpload(key, { sent: loaded / total });
    request.onloadend = () => {
      if (request.status >= 200 && request.status < 300) {
        const added = JSON.parse(request.responseText) as LibraryDocument;
        batch(() => {
          // The event stream may have been faster, and further.
          if (!shelf.value.has(added.id)) put(added);
          dismissUpload(key);
        });
      } else {
        changeUpload(key, { problem: readProblem(request.responseText, request.status) });
      }
      resolve();
    };
    const form = new FormData();
    form.append("file", file);
    request.send(form);
  });
}

function changeUpload(key: string, fields: Partial<Upload>): void {
  uploads.value = uploads.value.map((upload) => (upload.key === key ? { ...upload, ...fields } : upload));
}

function put(document: LibraryDocument): void {
  const next = new Map(shelf.value);
  shelf.value = next.set(document.id, document);
}

function drop(id: string): void {
  const next = new Map(shelf.value);
  next.delete(id);
  shelf.value = next;
}

async function attempt(action: () => Promise<void>): Promise<void> {
  try {
    await action();
    trouble.value = null;
  } catch (error) {
    trouble.value = problemOf(error);
  }
}
