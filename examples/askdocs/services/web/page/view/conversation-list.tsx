import { useSignal } from "@preact/signals";
import type { ConversationSummary } from "../../shared/contract.ts";
import { conversations, current, listConversations, moreConversations, newConversation, removeConversation } from "../state/chat.ts";
import { drawer, narrow } from "../state/layout.ts";
import { PlusIcon, TrashIcon } from "./icons.tsx";
import { Wordmark } from "./wordmark.tsx";

export function ConversationList() {
  const close = () => (drawer.value = null);
  return (
    <nav class="conversations" aria-label="Conversations">
      {!narrow.value && <Wordmark />}
      <button class="quiet-button new-conversation" onClick={() => { newConversation(); close(); }}>
        <PlusIcon /> New conversation
      </button>
      {conversations.value.length > 0 && <h2 class="label">Earlier</h2>}
      <ul>
        {conversations.value.map((conversation) => <Entry key={conversation.id} conversation={conversation} onOpen={close} />)}
      </ul>
      {moreConversations.value && (
        <button class="text-button" onClick={() => void listConversations(moreConversations.value ?? undefined)}>Show more</button>
      )}
    </nav>
  );
}

function Entry({ conversation: { id, title }, onOpen }: { conversation: ConversationSummary; onOpen: () => void }) {
  const sure = useSignal(false);
  if (sure.value) {
    return (
      <li class="confirm">
        <span>Delete it for good?</span>
        <button class="text-button danger" ref={(button) => button?.focus()} onClick={() => void removeConversation(id)}>Delete</button>
        <button class="text-button" onClick={() => (sure.value = false)}>Keep</button>
      </li>
    );
  }
  return (
    <li>
      <a href={`#${id}`} aria-current={current.value === id ? "page" : undefined} onClick={onOpen}>{title}</a>
      <button class="icon-button on-hover" aria-label={`Delete the conversation “${title}”`} onClick={() => (sure.value = true)}>
        <TrashIcon />
      </button>
    </li>
  );
}
