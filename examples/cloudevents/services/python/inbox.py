"""The inbox, as docs/inbox.md has it."""


def once(store, handler, source, event_id, work):
    """Does the work unless this event was handled before; whether it did."""
    with store:  # commits at the end, and rolls back when something is raised
        entered = store.execute(
            "INSERT INTO inbox (handler, source, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (handler, source, event_id),
        )
        if entered.rowcount == 1:
            work(store)
    return entered.rowcount == 1
