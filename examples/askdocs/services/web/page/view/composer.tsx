import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ask, asking, current, stop } from "../state/chat.ts";
import { narrow } from "../state/layout.ts";
import { SendIcon, StopIcon } from "./icons.tsx";

const MAX_QUESTION_LENGTH = 2000;

export function Composer() {
  const text = useSignal("");
  const field = useRef<HTMLTextAreaElement>(null);
  // On a phone the focus would bring the keyboard up before anything was read.
  useEffect(() => void (!narrow.peek() && field.current?.focus()), [current.value]);

  const send = () => {
    const question = text.value.trim();
    if (!question || asking.value) return;
    text.value = "";
    void ask(question);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While a word is composed, as for Japanese, Enter belongs to the input method.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      <div class="field">
        <div class="grow" data-text={text.value}>
          <textarea
            ref={field}
            rows={1}
            maxLength={MAX_QUESTION_LENGTH}
            placeholder="Ask about your documents"
            aria-label="Your question"
            value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)}
            onKeyDown={onKeyDown}
          />
        </div>
        {asking.value ? (
          <button type="button" class="round-button" aria-label="Stop the answer" onClick={stop}><StopIcon /></button>
        ) : (
          <button type="submit" class="round-button" aria-label="Ask" disabled={text.value.trim() === ""}><SendIcon /></button>
        )}
      </div>
      <p class="hint">
        {asking.value ? <><kbd>Esc</kbd> stops the answer</> : <><kbd>Enter</kbd> asks, <kbd>Shift</kbd> <kbd>Enter</kbd> starts a new line</>}
      </p>
    </form>
  );
}
