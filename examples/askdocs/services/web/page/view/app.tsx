/** The page: conversations to the left, the chat, and at the right hand the documents or the passage that is being read. */

import { useEffect } from "preact/hooks";
import { asking, stop } from "../state/chat.ts";
import { total } from "../state/documents.ts";
import { closePassage, drawer, narrow, reading } from "../state/layout.ts";
import { Chat } from "./chat.tsx";
import { ConversationList } from "./conversation-list.tsx";
import { Documents } from "./documents.tsx";
import { DropZone } from "./drop-zone.tsx";
import { BooksIcon, MenuIcon } from "./icons.tsx";
import { Panel } from "./panel.tsx";
import { Passage } from "./passage.tsx";
import { Wordmark } from "./wordmark.tsx";

export function App() {
  useEffect(() => {
    addEventListener("keydown", onEscape);
    return () => removeEventListener("keydown", onEscape);
  }, []);
  return (
    <div class="app">
      {narrow.value && <TopBar />}
      <Panel label="Conversations" side="left" open={drawer.value === "conversations"} onClose={closeDrawer}>
        <ConversationList />
      </Panel>
      <Chat />
      {narrow.value || !reading.value ? (
        <Panel label="Documents" side="right" open={drawer.value === "documents"} onClose={closeDrawer}>
          <Documents />
        </Panel>
      ) : null}
      {reading.value && (
        <Panel label="Cited passage" side="bottom" open onClose={closePassage}>
          <Passage reading={reading.value} />
        </Panel>
      )}
      <DropZone />
    </div>
  );
}

function TopBar() {
  const count = total.value;
  return (
    <header class="top-bar">
      <button class="icon-button" aria-label="Conversations" onClick={() => (drawer.value = "conversations")}>
        <MenuIcon />
      </button>
      <Wordmark />
      <button class="icon-button with-count" aria-label={`Documents, ${count}`} onClick={() => (drawer.value = "documents")}>
        <BooksIcon />
        <span aria-hidden="true">{count}</span>
      </button>
    </header>
  );
}

function closeDrawer() {
  drawer.value = null;
}

/** Escape ends the most pressing thing first: the answer that is being written. */
function onEscape(event: KeyboardEvent) {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  if (asking.value) stop();
  else if (reading.value) closePassage();
}
