//! The index: finds the passages that answer a question, by their words and by their meaning.
//!
//! One thing is the truth: the SQLite file, where a document with its passages and vectors is replaced in one
//! transaction or not at all. What searches is a *projection* of it in memory: BM25 over tantivy, and the vectors. It is
//! rebuilt at the start and catches up whenever the file has changed, so there is nothing on disk that could disagree
//! with the file, a `kill -9` at any line loses nothing that was acknowledged, and two instances over one file (as while
//! one is being replaced by the next) both see every change.
//!
//! Absent: retries (the proxy between the services does them), and any search structure on disk.
//!
//! Map: [`document`] has the words and their limits, [`store`] is the file, [`arrival`] brings into it what events say, [`projection`] with [`text`] and [`vectors`]
//! is what searches, [`fusion`] makes one ranking of two, [`embedding`] calls the embedder, [`retrieval`] puts them
//! together, [`api`] is the HTTP side.

pub mod api;
pub mod arrival;
pub mod document;
pub mod embedding;
pub mod fusion;
pub mod projection;
pub mod retrieval;
pub mod store;
pub mod text;
pub mod vectors;
