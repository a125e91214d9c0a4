// Takes events without an SDK: two headers say which event it is, and the inbox that it is handled once.
//
// `POST /on/…` takes events; `GET /seen` tells which.
package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"

	_ "github.com/mattn/go-sqlite3"
)

const tables = `
CREATE TABLE IF NOT EXISTS inbox (
  handler TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  taken_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (handler, source, id)
);
CREATE TABLE IF NOT EXISTS seen (way TEXT NOT NULL, id TEXT NOT NULL);`

type event struct {
	ID string `json:"id"`
}

type row struct {
	Way   string `json:"way"`
	Event event  `json:"event"`
}

func main() {
	store, err := sql.Open("sqlite3", "file:"+os.Getenv("SQLITE_PATH")+"?_journal_mode=WAL&_busy_timeout=10000&_txlock=immediate")
	if err == nil {
		_, err = store.Exec(tables)
	}
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/seen", func(w http.ResponseWriter, _ *http.Request) { tell(w, store) })
	http.HandleFunc("/on/", func(w http.ResponseWriter, r *http.Request) { take(w, r, store) })
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func take(w http.ResponseWriter, r *http.Request, store *sql.DB) {
	id, source := r.Header.Get("ce-id"), r.Header.Get("ce-source")
	_, err := once(r.Context(), store, r.URL.Path, source, id, func(tx *sql.Tx) error {
		if _, err := tx.Exec("INSERT INTO seen VALUES (?, ?)", r.URL.Path, id); err != nil {
			return err
		}
		if r.URL.Query().Has("fail") {
			return errors.New("as it was asked to")
		}
		return nil
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func tell(w http.ResponseWriter, store *sql.DB) {
	rows, err := store.Query("SELECT way, id FROM seen")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer rows.Close()
	seen := []row{}
	for rows.Next() {
		var one row
		if err := rows.Scan(&one.Way, &one.Event.ID); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		seen = append(seen, one)
	}
	w.Header().Set("content-type", "application/json")
	json.NewEncoder(w).Encode(seen)
}
