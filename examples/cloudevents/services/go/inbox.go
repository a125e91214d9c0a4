// The inbox, as docs/inbox.md has it.

package main

import (
	"context"
	"database/sql"
)

// once does the work unless this event was handled before, and says whether it did.
func once(ctx context.Context, store *sql.DB, handler, source, id string, work func(*sql.Tx) error) (bool, error) {
	tx, err := store.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // does nothing after the commit
	enter := "INSERT INTO inbox (handler, source, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
	entered, err := tx.ExecContext(ctx, enter, handler, source, id)
	if err != nil {
		return false, err
	}
	if rows, err := entered.RowsAffected(); err != nil || rows == 0 {
		return false, err
	}
	if err := work(tx); err != nil {
		return false, err
	}
	return true, tx.Commit()
}
