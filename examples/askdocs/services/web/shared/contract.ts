/**
 * The words that cross the wire, shared by the page and its back end.
 *
 * `Citation` and `Answer` are the answerer's, `LibraryDocument` is the library's; their own contracts are the source.
 * The rest is described in `openapi.yaml`.
 */

/** A passage that an answer rests on. `[n]` in the answer's text refers to the n-th citation, counted from one. */
export interface Citation {
  /** Id of the document, as the library knows it. */
  document: string;
  title: string;
  /** Id of the passage. */
  passage: string;
  /** The whole passage. */
  text: string;
  heading?: string | null;
  /** Page number counted from one, for documents that have pages. */
  page?: number | null;
  score: number;
}

export interface Answer {
  answer: string;
  citations: Citation[];
  /** `extractive` for sentences of the documents, `llm` for an answer that a language model wrote. */
  mode: string;
  /** The language model's name, if one wrote it. */
  model: string | null;
  /** True when something was unavailable and the answer rests on the rest; `notice` says what. */
  degraded: boolean;
  notice: string | null;
}

/** `open` while the answer is on its way, or for ever when the service was killed meanwhile. */
export type Outcome = "open" | "answered" | "stopped" | "failed";

/** One question and what came of it. A stopped answer keeps the text that had arrived. */
export interface Message extends Answer {
  id: string;
  question: string;
  asked_at: string;
  outcome: Outcome;
  problem: Problem | null;
}

export interface ConversationSummary {
  id: string;
  /** The first question, shortened; empty until there is one. */
  title: string;
  created_at: string;
  updated_at: string;
}

export interface Conversation extends ConversationSummary {
  messages: Message[];
}

/** An error as RFC 9457 describes it. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
}

export type DocumentState = "received" | "embedding" | "indexing" | "ready" | "failed";

export interface LibraryDocument {
  id: string;
  name: string;
  title?: string | null;
  state: DocumentState;
  /** Why it failed, in words for the person who added it. */
  reason?: string | null;
  passages?: number | null;
  /** How many of the passages have a vector. */
  embedded: number;
  /** ISO 8601 in UTC, so that the later one compares greater. */
  updated_at: string;
}
