//! The inbox of docs/inbox.md, as it stands there.

use rusqlite::{Connection, Result, Transaction, TransactionBehavior};

/// Does the work unless this event was handled before; whether it did.
pub(crate) fn once(
    store: &mut Connection,
    (handler, source, id): (&str, &str, &str),
    work: impl FnOnce(&Transaction<'_>) -> Result<()>,
) -> Result<bool> {
    let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let enter = "INSERT INTO inbox (handler, source, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    let entered = transaction.execute(enter, (handler, source, id))? == 1;
    if entered {
        work(&transaction)?;
    }
    transaction.commit()?;
    Ok(entered)
}
