/** The back end against a fake answerer, over real sockets. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listen, serveApp, type Running } from "../dev/listen.ts";
import { Answerer } from "../server/answerer.ts";
import { createApp } from "../server/app.ts";
import { Conversations, MAX_CONVERSATIONS, MAX_MESSAGES } from "../server/conversations.ts";
import { Faults } from "../server/faults.ts";
import type { Conversation, ConversationSummary } from "../shared/contract.ts";
import { readEvents, type StreamEvent } from "../shared/event-stream.ts";

const CITATION = { document: "doc_1", title: "Leases", passage: "p1", text: "A lease ends.", heading: null, page: 3, score: 0.5 };
const ANSWER = { answer: "A lease ends [1].", citations: [CITATION], mode: "extractive", model: null, degraded: false, notice: null };

type Script = (incoming: IncomingMessage, outgoing: ServerResponse) => unknown;

/** What the fake answerer does with the next question. */
let script: Script = (_, outgoing) => outgoing.end();
let answerer: Running;
let web: Running;
const directory = mkdtempSync(join(tmpdir(), "askdocs-web-"));
const conversations = new Conversations(join(directory, "conversations.db"));

before(async () => {
  answerer = await listen(createServer((incoming, outgoing) => void script(incoming, outgoing)));
  const parts = { conversations, answerer: new Answerer({ url: answerer.url, patience: 300 }), faults: new Faults(), page: "dist/page" };
  web = await serveApp(createApp(parts));
});

after(async () => {
  await Promise.all([web.close(), answerer.close()]);
  conversations.close();
  rmSync(directory, { recursive: true });
});

describe("asking", () => {
  test("each event is passed on before the next one exists", async () => {
    let say = (_: string, __: unknown) => {};
    let end = () => {};
    script = (_, outgoing) => {
      outgoing.writeHead(200, { "content-type": "text/event-stream" });
      say = (event, data) => outgoing.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      end = () => outgoing.end();
      say("citation", CITATION);
    };
    const { events } = await ask("When does a lease end?");
    assert.deepEqual(await nextOf(events), { event: "citation", data: JSON.stringify(CITATION) });
    say("token", { text: "A lease " });
    assert.equal((await nextOf(events)).data, '{"text":"A lease "}');
    say("token", { text: "ends [1]." });
    assert.equal((await nextOf(events)).data, '{"text":"ends [1]."}');
    say("done", ANSWER);
    end();
    assert.equal((await nextOf(events)).event, "done");
    assert.equal((await events.next()).done, true);
  });

  test("the question and its answer are kept with their citations", async () => {
    script = answering(ANSWER);
    const { conversation, events } = await ask("When does a lease end?");
    await drain(events);
    const kept = await until(() => history(conversation), ({ messages }) => messages[0]?.outcome === "answered");
    assert.equal(kept.title, "When does a lease end?");
    assert.deepEqual(kept.messages[0]?.citations, [CITATION]);
    assert.equal(kept.messages[0]?.answer, ANSWER.answer);
  });

  test("after a reset only the new answer is kept", async () => {
    script = (_, outgoing) => {
      const old = `event: citation\ndata: ${JSON.stringify(CITATION)}\n\nevent: token\ndata: {"text":"Old"}\n\n`;
      outgoing.writeHead(200).end(`${old}event: reset\ndata: {"reason":"the model went away"}\n\nevent: token\ndata: {"text":"New"}\n\n`);
    };
    const { conversation, events } = await ask("Twice?");
    assert.deepEqual((await drain(events)).map(({ event }) => event), ["citation", "token", "reset", "token", "error"]);
    const kept = await until(() => history(conversation), ({ messages }) => messages[0]?.outcome === "failed");
    assert.equal(kept.messages[0]?.answer, "New");
    assert.deepEqual(kept.messages[0]?.citations, []);
  });

  test("the trace context reaches the answerer", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let seen: IncomingMessage["headers"] = {};
    script = (incoming, outgoing) => {
      seen = incoming.headers;
      answering(ANSWER)(incoming, outgoing);
    };
    await drain((await ask("Traced?", { headers: { traceparent } })).events);
    assert.equal(seen["traceparent"], traceparent);
    assert.equal(seen["accept"], "text/event-stream");
  });

  test("hanging up ends the call to the answerer and keeps what had arrived", async () => {
    let hungUp: Promise<unknown> = Promise.reject(new Error("not asked"));
    hungUp.catch(() => {});
    script = (_, outgoing) => {
      hungUp = once(outgoing, "close");
      outgoing.writeHead(200, { "content-type": "text/event-stream" });
      outgoing.write('event: token\ndata: {"text":"half an "}\n\n');
    };
    const stop = new AbortController();
    const { conversation, events } = await ask("Shall we stop?", { signal: stop.signal });
    await nextOf(events);
    stop.abort();
    await within(200, hungUp, "the answerer was not hung up on");
    const kept = await until(() => history(conversation), ({ messages }) => messages[0]?.outcome !== "open");
    assert.equal(kept.messages[0]?.outcome, "stopped");
    assert.equal(kept.messages[0]?.answer, "half an ");
  });

  test("a problem of the answerer becomes an error event and is kept", async () => {
    const problem = { type: "search-unavailable", title: "The search is not available", status: 503, detail: "Ask again." };
    script = (_, outgoing) => outgoing.writeHead(503, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
    const { conversation, events } = await ask("Are you there?");
    const [event] = await drain(events);
    assert.equal(event?.event, "error");
    assert.deepEqual(JSON.parse(event?.data ?? ""), problem);
    const kept = await until(() => history(conversation), ({ messages }) => messages[0]?.outcome === "failed");
    assert.deepEqual(kept.messages[0]?.problem, problem);
  });

  test("an answer that breaks off is an error, not an answer", async () => {
    script = (_, outgoing) => outgoing.writeHead(200).end('event: token\ndata: {"text":"half"}\n\n');
    const events = await drain((await ask("Complete?")).events);
    assert.equal(JSON.parse(events.at(-1)?.data ?? "").type, "answer-cut-off");
  });

  test("an answerer that falls silent is given up", async () => {
    script = (_, outgoing) => outgoing.writeHead(200).write('event: token\ndata: {"text":"well"}\n\n');
    const events = await drain((await ask("Still there?")).events);
    assert.equal(JSON.parse(events.at(-1)?.data ?? "").type, "answerer-silent");
  });

  test("an answer without an end is given up", async () => {
    script = (_, outgoing) => {
      outgoing.writeHead(200);
      const token = `event: token\ndata: ${JSON.stringify({ text: "x".repeat(10_000) })}\n\n`;
      const more = () => { while (!outgoing.destroyed && outgoing.write(token)); };
      outgoing.on("drain", more);
      more();
    };
    const events = await drain((await ask("Endless?")).events);
    assert.equal(JSON.parse(events.at(-1)?.data ?? "").type, "answer-too-long");
  });

  const REFUSED: [what: string, body: string, type: string, status: number][] = [
    ["an empty question", '{"question":"  "}', "application/json", 400],
    ["a body that is not JSON", "hello", "application/json", 400],
    ["a form from another site", '{"question":"x"}', "text/plain", 415],
    ["a question of 2001 characters", JSON.stringify({ question: "x".repeat(2001) }), "application/json", 413],
    ["a body of a megabyte", JSON.stringify({ question: "x".repeat(1_000_000) }), "application/json", 413],
  ];
  for (const [what, body, type, status] of REFUSED) {
    test(`${what} is refused with a problem document`, async () => {
      const { id } = await start();
      const response = await post(`/chat/conversations/${id}/messages`, body, { "content-type": type });
      assert.equal(response.status, status);
      assert.equal(response.headers.get("content-type"), "application/problem+json");
      assert.equal((await history(id)).messages.length, 0);
    });
  }

  test("a conversation that does not exist is a 404", async () => {
    const response = await post("/chat/conversations/conv_none/messages", '{"question":"?"}', { "content-type": "application/json" });
    assert.equal(response.status, 404);
  });
});

describe("keeping", () => {
  const store = new Conversations(":memory:");
  after(() => store.close());

  test("pages of the list are complete and in order of use", () => {
    const ids = Array.from({ length: 5 }, () => store.start().id);
    const first = store.list(3, null);
    const second = store.list(3, first.next);
    assert.equal(second.next, null);
    assert.deepEqual(new Set([...first.conversations, ...second.conversations].map(({ id }) => id)), new Set(ids));
  });

  test("the oldest messages and conversations make room", () => {
    const { id } = store.start();
    for (let n = 0; n < MAX_MESSAGES + 3; n++) store.ask(id, `question ${n}`);
    const kept = store.find(id)?.messages ?? [];
    assert.equal(kept.length, MAX_MESSAGES);
    assert.equal(kept[0]?.question, "question 3");
    for (let n = 0; n < MAX_CONVERSATIONS; n++) store.start();
    assert.equal(count(store), MAX_CONVERSATIONS);
  });

  test("a deleted conversation takes its messages with it", async () => {
    const { id } = await start();
    conversations.ask(id, "gone soon");
    assert.equal((await fetch(`${web.url}/chat/conversations/${id}`, { method: "DELETE" })).status, 204);
    assert.equal((await fetch(`${web.url}/chat/conversations/${id}`)).status, 404);
  });
});

describe("running", () => {
  test("each route is in the contract, and the other way round", () => {
    const parts = { conversations, answerer: new Answerer({ url: "" }), faults: new Faults(), page: "dist/page" };
    const routes = createApp(parts).routes.filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    let path = "";
    const described: string[] = [];
    for (const line of readFileSync("openapi.yaml", "utf8").split("\n")) {
      path = /^  (\/\S*):/.exec(line)?.[1] ?? path;
      const method = /^    (get|post|put|delete):/.exec(line)?.[1];
      if (method) described.push(`${method.toUpperCase()} ${path}`);
    }
    assert.deepEqual(routes.sort(), described.sort());
  });

  test("the page is served under a strict policy", async () => {
    const response = await fetch(web.url);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'; script-src 'self';/);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  });

  test("a fault hits the chat but not the health check", async () => {
    const set = (method: string, body?: object) => fetch(`${web.url}/faults`, { method, body: JSON.stringify(body) ?? null });
    assert.equal((await set("PUT", { mode: "failing" })).status, 200);
    assert.equal((await fetch(`${web.url}/chat/conversations`)).status, 503);
    assert.equal((await fetch(`${web.url}/healthz`)).status, 200);
    assert.equal((await set("PUT", { mode: "on fire" })).status, 400);
    await set("DELETE");
    assert.equal((await fetch(`${web.url}/chat/conversations`)).status, 200);
  });

  test("nobody reaches the fault switch through the gateway", async () => {
    assert.equal((await fetch(`${web.url}/faults`, { headers: { "x-forwarded-for": "192.0.2.1" } })).status, 404);
  });

  test("the history outlives kill -9, and SIGTERM lets an answer finish", async () => {
    const env = { ...process.env, PORT: "0", ANSWERER_URL: answerer.url, DATABASE_PATH: join(directory, "process.db") };
    const first = await run(env);
    const { id } = await start(first.url);
    first.child.kill("SIGKILL");
    await once(first.child, "exit");

    const second = await run(env);
    assert.equal((await history(id, second.url)).id, id);
    script = async (_, outgoing) => {
      outgoing.writeHead(200).write('event: token\ndata: {"text":"A lease "}\n\n');
      second.child.kill("SIGTERM");
      await sleep(100);
      outgoing.end(`event: done\ndata: ${JSON.stringify(ANSWER)}\n\n`);
    };
    const exit = once(second.child, "exit");
    const events = await drain((await ask("Finish?", {}, { id }, second.url)).events);
    assert.equal(events.at(-1)?.event, "done");
    assert.deepEqual(await within(3000, exit, "it did not exit"), [0, null]);
  });
});

function answering(answer: typeof ANSWER): Script {
  return (_, outgoing) => {
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    outgoing.write(`event: token\ndata: ${JSON.stringify({ text: answer.answer })}\n\n`);
    outgoing.end(`event: done\ndata: ${JSON.stringify(answer)}\n\n`);
  };
}

async function start(base = web.url): Promise<ConversationSummary> {
  return (await fetch(`${base}/chat/conversations`, { method: "POST" })).json() as Promise<ConversationSummary>;
}

async function history(id: string, base = web.url): Promise<Conversation> {
  return (await fetch(`${base}/chat/conversations/${id}`)).json() as Promise<Conversation>;
}

function post(path: string, body: string, headers: Record<string, string>): Promise<Response> {
  return fetch(web.url + path, { method: "POST", body, headers });
}

async function ask(question: string, init: RequestInit = {}, known?: { id: string }, base = web.url) {
  const { id } = known ?? (await start(base));
  const response = await fetch(`${base}/chat/conversations/${id}/messages`, {
    ...init,
    method: "POST",
    headers: { ...init.headers, "content-type": "application/json" },
    body: JSON.stringify({ question }),
  });
  assert.equal(response.status, 200);
  assert.ok(response.body);
  return { conversation: id, events: readEvents(response.body as ReadableStream<Uint8Array>) };
}

async function nextOf(events: AsyncGenerator<StreamEvent>): Promise<StreamEvent> {
  const { value } = await within(2000, events.next(), "no event arrived");
  return value as StreamEvent;
}

async function drain(events: AsyncGenerator<StreamEvent>): Promise<StreamEvent[]> {
  const all: StreamEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

async function within<T>(limit: number, promise: Promise<T>, otherwise: string): Promise<T> {
  const late = sleep(limit, undefined, { ref: false }).then(() => Promise.reject(new Error(otherwise)));
  return Promise.race([promise, late]);
}

async function until<T>(look: () => Promise<T>, good: (value: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 200; tries++) {
    const value = await look();
    if (good(value)) return value;
    await sleep(10);
  }
  throw new Error("what was waited for did not happen");
}

function count(store: Conversations): number {
  let total = 0;
  for (let after: string | null = null, more = true; more; more = after !== null) {
    const page = store.list(100, after);
    total += page.conversations.length;
    after = page.next;
  }
  return total;
}

/** Starts the built service as Motet does. */
async function run(env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ["dist/server/main.js"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = /:(\d+)/.exec(line.toString())?.[1];
  return { child, url: `http://127.0.0.1:${port}` };
}
