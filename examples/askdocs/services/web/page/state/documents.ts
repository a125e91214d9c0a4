/** The library's documents, kept live by its event stream, and the uploads on their way to it. */

import { batch, computed, signal } from "@preact/signals";
import type { LibraryDocument, Problem } from "../../shared/contract.ts";
import { call, callJson, problemOf, readProblem } from "./http.ts";

export interface Upload {
  key: string;
  file: File;
  /** Share that was sent, from 0 to 1. */
  sent: number;
  problem: Problem | null;
}

const UPLOADS_AT_ONCE = 3;
/** More than this is not for a list on a page; the library says how many there are. */
const PAGES = 4;
const PAGE_SIZE = 500;
/** Mean wait before the next attempt, in milliseconds. */
const RECONNECT = 3000;
/** A connection that is back within this time, in milliseconds, is not worth a word: gateways end streams now and then. */
const WORTH_A_WORD = 8000;

interface LibraryPage {
  documents: LibraryDocument[];
  next: string | null;
  total: number;
}

const shelf = signal<ReadonlyMap<string, LibraryDocument>>(new Map());
const counted = signal(0);
/** Newest first; those that failed come before all others, because they need someone. */
export const documents = computed(() => {
  const all = [...shelf.value.values()].reverse();
  return [...all.filter(({ state }) => state === "failed"), ...all.filter(({ state }) => state !== "failed")];
});
/** How many there are in all, listed here or not. */
export const total = computed(() => Math.max(counted.value, shelf.value.size));
/** How far those are that are on their way. One that was not read yet has no passages, so the sum grows while they are read. */
export const overall = computed(() => {
  const sum = { busy: 0, failed: 0, embedded: 0, passages: 0 };
  for (const { state, embedded, passages } of shelf.value.values()) {
    if (state === "failed") sum.failed++;
    if (state === "ready" || state === "failed") continue;
    sum.busy++;
    sum.embedded += embedded;
    sum.passages += passages ?? 0;
  }
  return sum;
});
export const uploads = signal<Upload[]>([]);
export const loading = signal(true);
/** Whether changes arrive as they happen. */
export const live = signal(true);
/** Why the list could not be read, or an action not be done. */
export const trouble = signal<Problem | null>(null);

/** As long as the library, after which it lets a document be tried again although nobody has said that it failed. In milliseconds. */
const STALLED = 600_000;
const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 30_000);

export function isStalled({ state, updated_at }: LibraryDocument): boolean {
  return state !== "ready" && state !== "failed" && now.value - Date.parse(updated_at) > STALLED;
}

const waiting: (() => Promise<void>)[] = [];
let running = 0;
let silence: ReturnType<typeof setTimeout> | undefined;

/** Keeps the list live for as long as the page is open. */
export function followDocuments(): void {
  const events = new EventSource("/api/documents/events");
  // What happened before the stream was open is in the list, so the list is read each time that it opens.
  events.onopen = () => {
    clearTimeout(silence);
    silence = undefined;
    live.value = true;
    void loadDocuments();
  };
  events.addEventListener("document", ({ data }) => put(JSON.parse(data) as LibraryDocument));
  events.addEventListener("removed", ({ data }) => drop((JSON.parse(data) as LibraryDocument).id));
  events.onerror = () => {
    silence ??= setTimeout(() => (live.value = false), WORTH_A_WORD);
    if (loading.value) void loadDocuments();
    // A lost connection is restored by the browser; after a refusal it is up to us.
    if (events.readyState === EventSource.CLOSED) setTimeout(followDocuments, RECONNECT * (0.5 + Math.random()));
  };
}

export async function loadDocuments(): Promise<void> {
  try {
    const all = new Map<string, LibraryDocument>();
    let after: string | null = null;
    let count = 0;
    for (let page = 0; page === 0 || (after && page < PAGES); page++) {
      const from: string = after ? `&after=${encodeURIComponent(after)}` : "";
      const found: LibraryPage = await callJson(`/api/documents?limit=${PAGE_SIZE}${from}`);
      for (const document of found.documents) all.set(document.id, newer(document));
      after = found.next;
      count = found.total;
    }
    batch(() => {
      shelf.value = all;
      counted.value = count;
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
    const entry: Upload = { key: crypto.randomUUID(), file, sent: 0, problem: null };
    uploads.value = [...uploads.value, entry];
    waiting.push(() => send(entry));
  }
  void work();
}

export function retryUpload({ key, file }: Upload): void {
  dismissUpload(key);
  upload([file]);
}

export function dismissUpload(key: string): void {
  uploads.value = uploads.value.filter((upload) => upload.key !== key);
}

export async function retryDocument(id: string): Promise<void> {
  await attempt(async () => put(await callJson<LibraryDocument>(`/api/documents/${encodeURIComponent(id)}/retry`, { method: "POST" })));
}

export async function retryFailed(): Promise<void> {
  for (const { id, state } of documents.value) if (state === "failed") await retryDocument(id);
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
function send({ file, key }: Upload): Promise<void> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/documents");
    request.upload.onprogress = ({ loaded, total }) => changeUpload(key, { sent: loaded / total });
    request.onloadend = () => {
      if (request.status >= 200 && request.status < 300) {
        const added = JSON.parse(request.responseText) as LibraryDocument;
        batch(() => {
          put(added);
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
  shelf.value = next.set(document.id, newer(document));
}

/** Replies and events come over different connections, so what arrives later is not always what is later. */
function newer(document: LibraryDocument): LibraryDocument {
  const known = shelf.value.get(document.id);
  return known && known.updated_at > document.updated_at ? known : document;
}

function drop(id: string): void {
  const next = new Map(shelf.value);
  if (!next.delete(id)) return;
  batch(() => {
    shelf.value = next;
    counted.value--;
  });
}

async function attempt(action: () => Promise<void>): Promise<void> {
  try {
    await action();
    trouble.value = null;
  } catch (error) {
    trouble.value = problemOf(error);
  }
}
