/** The conversation on screen and the list of earlier ones. One question is on its way at a time. */

import { batch, effect, signal, type Signal } from "@preact/signals";
import type { Conversation, ConversationSummary, Message, Problem } from "../../shared/contract.ts";
import { readEvents, type StreamEvent } from "../../shared/event-stream.ts";
import { call, callJson, problemOf } from "./http.ts";

/** A message has a signal of its own, so that a word that arrives redraws one answer and not the whole page. */
export interface Turn {
  key: string;
  message: Signal<Message>;
}

export const conversations = signal<ConversationSummary[]>([]);
export const moreConversations = signal<string | null>(null);
/** Id of the conversation on screen; null for a new one. */
export const current = signal<string | null>(null);
export const turns = signal<Turn[]>([]);
/** Why the conversation on screen could not be loaded. */
export const trouble = signal<Problem | null>(null);
/** Set while an answer is on its way; aborting it stops the answerer. */
export const asking = signal<AbortController | null>(null);

export function startChat(): void {
  addEventListener("hashchange", () => void openFromAddress());
  void listConversations();
  void openFromAddress();
  effect(() => {
    const title = conversations.value.find(({ id }) => id === current.value)?.title;
    document.title = title ? `${title} · askdocs` : "askdocs";
  });
}

export async function listConversations(after?: string): Promise<void> {
  try {
    const query = after ? `?after=${encodeURIComponent(after)}` : "";
    const page = await callJson<{ conversations: ConversationSummary[]; next: string | null }>(`/chat/conversations${query}`);
    batch(() => {
      const asked = page.conversations.filter(({ title }) => title !== "");
      conversations.value = after ? [...conversations.value, ...asked] : asked;
      moreConversations.value = page.next;
    });
  } catch (error) {
    // Without the list one can still ask; the conversation itself says when something is wrong.
    console.warn("the conversations could not be listed:", error);
  }
}

/** The address's fragment names the conversation, so that reloading, going back and sharing a link work. */
async function openFromAddress(): Promise<void> {
  const id = location.hash.slice(1) || null;
  if (id === current.value) return;
  stop();
  batch(() => {
    current.value = id;
    turns.value = [];
    trouble.value = null;
  });
  if (!id) return;
  try {
    const { messages } = await callJson<Conversation>(`/chat/conversations/${encodeURIComponent(id)}`);
    if (current.value === id) turns.value = messages.map((message) => ({ key: message.id, message: signal(message) }));
  } catch (error) {
    if (current.value === id) trouble.value = problemOf(error);
  }
}

export function newConversation(): void {
  location.hash = "";
}

export async function removeConversation(id: string): Promise<void> {
  await call(`/chat/conversations/${encodeURIComponent(id)}`, { method: "DELETE" }).catch(() => undefined);
  if (current.value === id) newConversation();
  await listConversations();
}

export function stop(): void {
  asking.value?.abort();
}

export async function ask(question: string): Promise<void> {
  if (asking.value) return;
  const abort = new AbortController();
  const turn: Turn = { key: crypto.randomUUID(), message: signal(asked(question)) };
  const change = (fields: Partial<Message>) => (turn.message.value = { ...turn.message.value, ...fields });
  batch(() => {
    asking.value = abort;
    turns.value = [...turns.value, turn];
    trouble.value = null;
  });
  try {
    const id = (current.value ??= await createConversation());
    const response = await call(`/chat/conversations/${encodeURIComponent(id)}/messages`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ question }),
      signal: abort.signal,
    });
    if (response.body) for await (const event of readEvents(response.body)) change(heard(event, turn.message.value));
    if (turn.message.value.outcome === "open") change({ outcome: "failed", problem: BROKEN_OFF });
  } catch (error) {
    change(abort.signal.aborted ? { outcome: "stopped" } : { outcome: "failed", problem: brokenOff(error) ?? problemOf(error) });
  } finally {
    asking.value = null;
  }
  void listConversations();
}

/** Asks the same question again in place of the answer that failed or was stopped. */
export function askAgain(turn: Turn): Promise<void> {
  turns.value = turns.value.filter((other) => other !== turn);
  return ask(turn.message.value.question);
}

async function createConversation(): Promise<string> {
  const { id } = await callJson<ConversationSummary>("/chat/conversations", { method: "POST" });
  history.replaceState(null, "", `#${id}`);
  return id;
}

const BROKEN_OFF: Problem = { type: "answer-cut-off", title: "The answer broke off", status: 0, detail: "Ask again; the service may have been restarted." };

/** Reading a body whose connection is lost rejects with a TypeError, as the Fetch standard has it. */
function brokenOff(error: unknown): Problem | undefined {
  return error instanceof TypeError ? BROKEN_OFF : undefined;
}

function asked(question: string): Message {
  const asked_at = new Date().toISOString();
  const nothing = { answer: "", citations: [], mode: "", model: null, degraded: false, notice: null, problem: null };
  return { ...nothing, id: "", question, asked_at, outcome: "open" };
}

/** What an event of the answer's stream changes. */
function heard({ event, data }: StreamEvent, message: Message): Partial<Message> {
  const content = JSON.parse(data);
  switch (event) {
    case "citation":
      return { citations: [...message.citations, content] };
    case "token":
      return { answer: message.answer + content.text };
    case "reset":
      return { answer: "", citations: [] };
    case "done":
      return { ...content, outcome: "answered" };
    case "error":
      return { outcome: "failed", problem: content };
    default:
      return {};
  }
}
