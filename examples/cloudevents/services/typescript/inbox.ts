// The inbox, as docs/inbox.md has it.

import type { DatabaseSync } from "@photostructure/sqlite";

type Store = InstanceType<typeof DatabaseSync>;

/** Does the work unless this event was handled before; whether it did. */
export function once(store: Store, handler: string, source: string, id: string, work: () => void): boolean {
  store.exec("BEGIN IMMEDIATE");
  try {
    const entered = store
      .prepare("INSERT INTO inbox (handler, source, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
      .run(handler, source, id);
    if (entered.changes === 1) work();
    store.exec("COMMIT");
    return entered.changes === 1;
  } catch (error) {
    store.exec("ROLLBACK");
    throw error;
  }
}
