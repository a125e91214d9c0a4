// Publishes and takes events with the CloudEvents SDK for JavaScript, and knows Motet by two addresses only.
//
// `POST /publish?topic=…&mode=…` makes events of what the test describes and publishes them; `POST /on/…` takes events and writes down what
// the SDK made of them; `POST /pull` fetches what waits; `GET /seen` tells what was taken.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { DatabaseSync } from "@photostructure/sqlite";
import { CloudEvent, HTTP, type CloudEventV1, type Message } from "cloudevents";
import { once } from "./inbox.js";

type Data = { json?: unknown; text?: string; base64?: string };
type Told = { id: string; source: string; type: string; extensions?: Record<string, unknown>; data?: Data };

const EVENTS = process.env["MOTET_URL"];
const CORE = ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

const store = new DatabaseSync(process.env["SQLITE_PATH"] ?? "", { timeout: 10_000 });
store.exec(`
  PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS inbox (
    handler TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    taken_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (handler, source, id)
  );
  CREATE TABLE IF NOT EXISTS seen (way TEXT NOT NULL, event TEXT NOT NULL);
`);

/** The event that the test describes. */
function eventOf({ data, extensions, ...core }: Told): CloudEvent<unknown> {
  const payload = data?.base64 ? new Uint8Array(Buffer.from(data.base64, "base64")) : (data?.json ?? data?.text);
  return new CloudEvent({ ...core, ...extensions, ...(data && { data: payload }) });
}

/** What the SDK made of an event, described as the test does. */
function toldOf(event: CloudEventV1<unknown>): Told {
  const told: Record<string, unknown> = {};
  const extensions: Record<string, unknown> = {};
  const others = [...CORE, "specversion", "data", "data_base64"];
  for (const name of CORE) if (event[name] !== undefined) told[name] = event[name];
  for (const [name, value] of Object.entries(event)) if (!others.includes(name)) extensions[name] = value;
  const data = dataOf(event.datacontenttype ?? "application/json", event.data);
  return { ...told, extensions, ...(data && { data }) } as Told;
}

/** The SDK hands out bytes as numbers, and text, JSON with a charset included, as it came. */
function dataOf(type: string, data: unknown): Data | undefined {
  if (data === undefined || data === null || data === "") return undefined;
  if (typeof data === "string") return type.includes("json") ? { json: JSON.parse(data) } : { text: data };
  if (!ArrayBuffer.isView(data)) return { json: data };
  const bytes = Buffer.from(Array.from(data as unknown as Iterable<number>));
  if (bytes.length === 0) return undefined;
  return /^text\/|xml/.test(type) ? { text: bytes.toString() } : { base64: bytes.toString("base64") };
}

async function publish(topic: string, mode: string, events: CloudEvent<unknown>[]): Promise<number[]> {
  // The SDK reads batches and has no function that writes one: it is an array of its events.
  const batch = { headers: { "content-type": "application/cloudevents-batch+json" }, body: JSON.stringify(events) };
  const messages: Message[] =
    mode === "batched" ? [batch] : events.map((event) => (mode === "structured" ? HTTP.structured(event) : HTTP.binary(event)));
  const statuses: number[] = [];
  for (const { headers, body } of messages) {
    const answer = await fetch(`${EVENTS}/topics/${topic}`, { method: "POST", headers: headers as Record<string, string>, body: body as string });
    if (!answer.ok) console.log(topic, mode, answer.status, await answer.text());
    statuses.push(answer.status);
  }
  return statuses;
}

function take(way: string, events: CloudEventV1<unknown>[], fails = false): void {
  for (const event of events) {
    once(store, way, event.source, event.id, () => {
      store.prepare("INSERT INTO seen VALUES (?, ?)").run(way, JSON.stringify(toldOf(event)));
      if (fails) throw new Error("as it was asked to");
    });
  }
}

/** Fetches what waits, takes it, and says so. */
async function pull(topic: string): Promise<number> {
  const answer = await fetch(`${EVENTS}/subscriptions/${topic}/next?max=100&wait=1s`);
  const message = { headers: Object.fromEntries(answer.headers), body: await answer.text() };
  const events = HTTP.toEvent(message) as CloudEventV1<unknown>[];
  take("/pull", events);
  if (events.length > 0) {
    const body = JSON.stringify({ tokens: events.map((event) => event["motettoken"]) });
    await fetch(`${EVENTS}/subscriptions/${topic}/ack`, { method: "POST", headers: { "content-type": "application/json" }, body });
  }
  return events.length;
}

async function answer(request: IncomingMessage): Promise<[number, unknown?]> {
  const url = new URL(request.url ?? "/", "http://service");
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (url.pathname === "/healthz") return [200, {}];
  if (url.pathname === "/seen") {
    const rows = store.prepare("SELECT way, event FROM seen").all() as { way: string; event: string }[];
    return [200, rows.map(({ way, event }) => ({ way, event: JSON.parse(event) }))];
  }
  const query = (name: string): string => url.searchParams.get(name) ?? "";
  if (url.pathname === "/pull") return [200, await pull(query("topic"))];
  if (url.pathname === "/publish") {
    const told = JSON.parse(body.toString()) as Told[];
    return [200, await publish(query("topic"), query("mode"), told.map(eventOf))];
  }
  // The SDK parses text and hands on bytes.
  const isText = /json|^text\/|xml/.test(request.headers["content-type"] ?? "json");
  const taken = HTTP.toEvent({ headers: request.headers, body: isText ? body.toString() : body });
  take(url.pathname, Array.isArray(taken) ? taken : [taken], url.searchParams.has("fail"));
  return [204];
}

const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  answer(request)
    .catch((error: unknown): [number, unknown] => [500, String(error)])
    .then(([status, value]) => {
      if (status === 500) console.log(value);
      response.writeHead(status, { "content-type": "application/json" }).end(value === undefined ? undefined : JSON.stringify(value));
    });
});
server.listen(Number(process.env["PORT"]), "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
