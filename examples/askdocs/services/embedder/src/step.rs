//! The embedder's part in the way of a document: passages come as events, the same passages with their vectors go out as events.
//!
//! One part is embedded at a time, and parts are small, so a question never waits behind a whole document. Each part is written to the
//! outbox before the next one is begun: whatever ends this process costs a second or two of work. What comes again is known by its id.

use crate::encoder::{Encoder, EncoderError, MODEL};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use base64::prelude::{BASE64_STANDARD, Engine};
use chassis::event::{self, ATTEMPTS, Event, Outcome};
use chassis::outbox::{self, Row};
use chassis::problem::Problem;
use parking_lot::Mutex;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

const EMBEDDED: &str = "document.embedded.v1";
const FAILED: &str = "document.failed.v1";
/// Bytes in one batch of events.
const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

/// What does the work; cheap to clone.
#[derive(Clone)]
pub struct Step {
    encoder: Arc<Encoder>,
    store: Arc<Mutex<Connection>>,
    one_at_a_time: Arc<Semaphore>,
}

/// Why a part has no vectors yet.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("{0}")]
    Encoder(#[from] EncoderError),
    #[error("the store: {0}")]
    Store(#[from] rusqlite::Error),
    #[error("a thread ended: {0}")]
    Thread(#[from] JoinError),
    #[error("each of {ATTEMPTS} attempts was broken off; the log of the embedder says more")]
    BrokenOff,
}

/// The data of a `document.parsed.v1`.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Part {
    document: String,
    version: u64,
    name: String,
    title: String,
    passages: u32,
    part: u32,
    parts: u32,
    items: Vec<Passage>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Passage {
    ordinal: u32,
    text: String,
    heading: Option<String>,
    page: Option<u32>,
    /// Not there when it comes, and there when it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vector: Option<String>,
}

/// The data of a `document.embedded.v1`.
#[derive(Serialize)]
struct Embedded<'a> {
    model: &'static str,
    dimensions: usize,
    #[serde(flatten)]
    part: &'a Part,
}

impl Part {
    fn id(&self) -> String {
        format!("{}/{}/{}", self.document, self.version, self.part)
    }

    /// A passage alone often does not say what it is about, its heading does.
    fn texts(&self) -> Vec<String> {
        let text = |passage: &Passage| format!("{}\n{}", passage.heading.as_ref().unwrap_or(&self.title), passage.text);
        self.items.iter().map(text).collect()
    }
}

impl Step {
    /// With its outbox in this file, which is made when it is not there.
    pub fn open(file: &Path, encoder: Arc<Encoder>) -> rusqlite::Result<Self> {
        let store = Connection::open(file)?;
        store.busy_timeout(Duration::from_secs(10))?;
        store.pragma_update(None, "journal_mode", "WAL")?;
        // Every commit is on disk before it is acknowledged, also when the power fails.
        store.pragma_update(None, "synchronous", "FULL")?;
        store.execute_batch(outbox::SCHEMA)?;
        Ok(Self { encoder, store: Arc::new(Mutex::new(store)), one_at_a_time: Arc::new(Semaphore::new(1)) })
    }

    /// Where the events come.
    pub fn routes(self) -> Router {
        let limit = DefaultBodyLimit::max(BATCH_MAX_BYTES);
        Router::new().route("/on/document-parsed", post(parsed)).layer(limit).with_state(self)
    }

    async fn take(&self, mut event: Event) -> Outcome {
        let part: Part = match event.data() {
            Ok(part) => part,
            Err(outcome) => return outcome,
        };
        let (id, document, version) = (part.id(), part.document.clone(), part.version);
        let Event { attempt, traceparent, .. } = event;
        let why = match self.embed(part, attempt, traceparent.clone()).await {
            Ok(()) => return Outcome::taken(),
            Err(error) => format!("Its passages could not be embedded: {error}."),
        };
        tracing::warn!("{id}, attempt {attempt}: {why}");
        if attempt < ATTEMPTS {
            return Outcome::again(why);
        }
        let failed = serde_json::json!({"document": document, "version": version, "step": "embedding", "reason": why});
        let told = self
            .with_store(move |store| {
                let id = format!("{id}/failed");
                Row { id: &id, topic: FAILED, key: &document, data: &failed, traceparent: traceparent.as_deref() }
                    .insert(store)
            })
            .await;
        told.map_or_else(|error| Outcome::again(error.to_string()), |()| Outcome::never(why))
    }

    async fn embed(&self, mut part: Part, attempt: u32, traceparent: Option<String>) -> Result<(), StepError> {
        let id = part.id();
        let known = id.clone();
        if self.with_store(move |store| outbox::has(store, &known)).await? {
            return Ok(());
        }
        if attempt > ATTEMPTS {
            return Err(StepError::BrokenOff);
        }
        let turn = Arc::clone(&self.one_at_a_time).acquire_owned().await;
        let (encoder, texts, waits) = (Arc::clone(&self.encoder), part.texts(), Waits::default());
        let abandoned = Arc::clone(&waits.over);
        let work = move || {
            // Held until the work has really ended, also when nobody waits for it any more.
            let _turn = turn;
            encoder.encode(&texts, &abandoned)
        };
        let vectors = tokio::task::spawn_blocking(work).await??.vectors;
        for (passage, vector) in part.items.iter_mut().zip(&vectors) {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            passage.vector = Some(BASE64_STANDARD.encode(bytes));
        }
        let dimensions = self.encoder.dimensions();
        self.with_store(move |store| {
            let data = Embedded { model: MODEL, dimensions, part: &part };
            let traceparent = traceparent.as_deref();
            Row { id: &id, topic: EMBEDDED, key: &part.document, data: &data, traceparent }.insert(store)
        })
        .await
    }

    /// Disk is not for an async thread.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StepError> {
        let store = Arc::clone(&self.store);
        Ok(tokio::task::spawn_blocking(move || work(&store.lock())).await??)
    }
}

/// Dropped with the request's future, which is when its work is done or who asked for it has hung up.
#[derive(Default)]
struct Waits {
    over: Arc<AtomicBool>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

async fn parsed(State(step): State<Step>, body: Result<Json<Vec<Event>>, JsonRejection>) -> Result<Response, Problem> {
    let mut results = Vec::new();
    for event in body?.0 {
        results.push(step.take(event).await);
    }
    Ok(event::answer(&results))
}
