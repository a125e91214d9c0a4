/**
 * Reads `text/event-stream` bodies, event by event, as the bytes arrive.
 *
 * `EventSource` can only GET, and answers are streamed in reply to a POST; so the page reads its back end, and the back
 * end reads the answerer, through this one small parser.
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

export interface StreamEvent {
  event: string;
  data: string;
}

/** The largest single event, in UTF-16 code units. An event without an end would otherwise grow without one. */
export const MAX_EVENT_LENGTH = 1_000_000;

export class EventTooLarge extends Error {
  constructor() {
    super(`an event is longer than ${MAX_EVENT_LENGTH} characters`);
  }
}

/** Yields each event when its closing blank line arrives; an event that the stream breaks off is dropped. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let event = "";
  let data: string[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      // A carriage return at the very end may be half of a CRLF, so it waits for the next chunk.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length > 0) yield { event: event || "message", data: data.join("\n") };
          [event, data, length] = ["", [], 0];
          continue;
        }
        const [field, content] = splitField(line);
        if (field === "event") event = content;
        if (field === "data") data.push(content);
        length += content.length;
      }
      if (length + rest.length > MAX_EVENT_LENGTH) throw new EventTooLarge();
    }
  } finally {
    // Whoever stops reading early hangs up, so that the other side can stop working.
    await reader.cancel().catch(() => undefined);
  }
}

function splitField(line: string): [field: string, content: string] {
  const colon = line.indexOf(":");
  if (colon < 0) return [line, ""];
  const content = line.slice(colon + 1);
  return [line.slice(0, colon), content.startsWith(" ") ? content.slice(1) : content];
}
