/**
 * The conversations, in an SQLite file that belongs to this service alone.
 *
 * A question is written down before it is asked, and settled when its answer is complete, stopped or lost; so whatever
 * happens in between, the history never forgets what someone wanted to know. Conversations and messages are bounded: the
 * oldest make room.
 *
 * `@photostructure/sqlite` is Node's own `node:sqlite` for Node 20: once Node 22 is the oldest that you run, import that
 * one instead and drop the package.
 */

import { DatabaseSync } from "@photostructure/sqlite";
import { randomUUID } from "node:crypto";
import type { Answer, Citation, Conversation, ConversationSummary, Message, Outcome, Problem } from "../shared/contract.ts";

export const MAX_CONVERSATIONS = 1000;
export const MAX_MESSAGES = 200;
const MAX_TITLE_LENGTH = 80;

/** Each entry takes the file one version further; add to the end, never change one that was released. */
const MIGRATIONS = [
  `CREATE TABLE conversations (
     id TEXT PRIMARY KEY,
     title TEXT NOT NULL DEFAULT '',
     created_at TEXT NOT NULL,
     updated_at TEXT NOT NULL
   ) STRICT;
   CREATE INDEX conversations_by_update ON conversations (updated_at, id);
   CREATE TABLE messages (
     position INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
     question TEXT NOT NULL,
     asked_at TEXT NOT NULL,
     outcome TEXT NOT NULL DEFAULT 'open',
     answer TEXT NOT NULL DEFAULT '',
     citations TEXT NOT NULL DEFAULT '[]',
     mode TEXT NOT NULL DEFAULT '',
     model TEXT,
     degraded INTEGER NOT NULL DEFAULT 0,
     notice TEXT,
     problem TEXT NOT NULL DEFAULT 'null'
   ) STRICT;
   CREATE INDEX messages_by_conversation ON messages (conversation, position);`,
];

/** What came of a question. */
export interface Settlement extends Answer {
  outcome: Exclude<Outcome, "open">;
  problem: Problem | null;
}

export interface Page {
  conversations: ConversationSummary[];
  /** Pass it as `after` to get the next page; null on the last one. */
  next: string | null;
}

export class Conversations {
  readonly #db: InstanceType<typeof DatabaseSync>;

  constructor(path: string) {
    this.#db = new DatabaseSync(path, { timeout: 5000 });
    this.#db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
    this.#migrate();
  }

  start(): ConversationSummary {
    const now = new Date().toISOString();
    const conversation = { id: `conv_${randomUUID()}`, title: "", created_at: now, updated_at: now };
    this.#db.prepare("INSERT INTO conversations VALUES (?, ?, ?, ?)").run(...Object.values(conversation));
    this.#db
      .prepare(
        `DELETE FROM conversations WHERE id IN
           (SELECT id FROM conversations ORDER BY updated_at DESC, id DESC LIMIT -1 OFFSET ?)`,
      )
      .run(MAX_CONVERSATIONS);
    return conversation;
  }

  /** The most recently used ones first. `after` is the `next` of the page before. */
  list(limit: number, after: string | null): Page {
    const [time, id] = after?.split("~", 2) ?? ["~", "~"];
    const rows = this.#db
      .prepare("SELECT * FROM conversations WHERE (updated_at, id) < (?, ?) ORDER BY updated_at DESC, id DESC LIMIT ?")
      .all(time ?? "", id ?? "", limit + 1) as unknown as ConversationSummary[];
    const conversations = rows.slice(0, limit);
    const last = conversations.at(-1);
    return { conversations, next: rows.length > limit && last ? `${last.updated_at}~${last.id}` : null };
  }

  find(id: string): Conversation | undefined {
    const summary = this.#db.prepare("SELECT * FROM conversations WHERE id = ?").get(id);
    if (!summary) return undefined;
    const rows = this.#db.prepare("SELECT * FROM messages WHERE conversation = ? ORDER BY position").all(id);
    return { ...(summary as unknown as ConversationSummary), messages: (rows as unknown as MessageRow[]).map(messageFrom) };
  }

  /** Returns whether there was one. */
  remove(id: string): boolean {
    return this.#db.prepare("DELETE FROM conversations WHERE id = ?").run(id).changes > 0;
  }

  /** Writes the question down and returns its message's id, or undefined when there is no such conversation. */
  ask(conversation: string, question: string): string | undefined {
    const now = new Date().toISOString();
    const touched = this.#db
      .prepare("UPDATE conversations SET updated_at = ?, title = iif(title = '', ?, title) WHERE id = ?")
      .run(now, titleOf(question), conversation);
    if (touched.changes === 0) return undefined;
    const id = `msg_${randomUUID()}`;
    this.#db
      .prepare("INSERT INTO messages (id, conversation, question, asked_at) VALUES (?, ?, ?, ?)")
      .run(id, conversation, question, now);
    this.#db
      .prepare(
        `DELETE FROM messages WHERE position IN
           (SELECT position FROM messages WHERE conversation = ? ORDER BY position DESC LIMIT -1 OFFSET ?)`,
      )
      .run(conversation, MAX_MESSAGES);
    return id;
  }

  settle(message: string, settlement: Settlement): void {
    const { outcome, answer, citations, mode, model, degraded, notice, problem } = settlement;
    this.#db
      .prepare(
        `UPDATE messages SET outcome = ?, answer = ?, citations = ?, mode = ?, model = ?, degraded = ?, notice = ?, problem = ?
           WHERE id = ?`,
      )
      .run(outcome, answer, JSON.stringify(citations), mode, model, Number(degraded), notice, JSON.stringify(problem), message);
  }

  close(): void {
    this.#db.close();
  }

  #migrate(): void {
    // A second instance may be starting on the same file: whoever gets the write lock first migrates.
    this.#db.exec("BEGIN IMMEDIATE");
    const { user_version: version } = this.#db.prepare("PRAGMA user_version").get() as { user_version: number };
    for (const step of MIGRATIONS.slice(version)) this.#db.exec(step);
    this.#db.exec(`PRAGMA user_version = ${Math.max(version, MIGRATIONS.length)}; COMMIT`);
  }
}

type MessageRow = Omit<Message, "citations" | "degraded" | "problem"> & {
  citations: string;
  degraded: number;
  problem: string;
};

function messageFrom(row: MessageRow): Message {
  const { id, question, asked_at, outcome, answer, mode, model, notice } = row;
  const [citations, problem] = [JSON.parse(row.citations) as Citation[], JSON.parse(row.problem) as Problem | null];
  return { id, question, asked_at, outcome, answer, citations, mode, model, degraded: row.degraded === 1, notice, problem };
}

function titleOf(question: string): string {
  const line = question.replace(/\s+/g, " ");
  return line.length <= MAX_TITLE_LENGTH ? line : `${line.slice(0, MAX_TITLE_LENGTH - 1).trimEnd()}…`;
}
