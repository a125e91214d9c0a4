//! Questions: `POST /embed`. See openapi.yaml.
//!
//! The work is done on threads of its own. When the caller hangs up, its work stops at the next batch; when too many
//! wait, the next one is told so.

use crate::encoder::{Encoded, Encoder, EncoderError, MODEL};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use axum::{Json, Router};
use chassis::gate::{self, Gate};
use chassis::problem::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

/// Texts in one request.
pub const INPUTS_MAX: usize = 256;
/// Bytes in one request.
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub struct Embedder {
    encoder: Arc<Encoder>,
    gate: Gate,
    running: Arc<Semaphore>,
}

/// The body of `POST /embed`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    inputs: Inputs,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "inputs is a text or a list of texts")]
enum Inputs {
    One(String),
    Several(Vec<String>),
}

/// The answer to `POST /embed`.
#[derive(Debug, Serialize)]
struct Answer {
    vectors: Vec<Vec<f32>>,
    model: &'static str,
    dimensions: usize,
    truncated: usize,
}

impl Embedder {
    /// Answers `running` requests at a time and lets `waiting` more wait.
    #[must_use]
    pub fn new(encoder: Arc<Encoder>, running: usize, waiting: usize) -> Self {
        let running_room = Arc::new(Semaphore::new(running));
        Self { encoder, gate: Gate::new(running + waiting), running: running_room }
    }

    /// The service's routes.
    pub fn routes(self) -> Router {
        let embed = post(embed).layer(from_fn_with_state(self.gate.clone(), gate::pass));
        Router::new().route("/embed", embed).layer(DefaultBodyLimit::max(BODY_MAX_BYTES)).with_state(self)
    }

    async fn encode(&self, texts: Vec<String>) -> Result<Encoded, Problem> {
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(Problem::defect)?;
        let caller = Caller::default();
        let (encoder, abandoned) = (Arc::clone(&self.encoder), Arc::clone(&caller.gone));
        let work = move || {
            // Held until the work has really ended, also when the caller has gone.
            let _running = running;
            encoder.encode(&texts, &abandoned)
        };
        let encoded = tokio::task::spawn_blocking(work).await.map_err(Problem::defect)?;
        encoded.map_err(|error: EncoderError| Problem::defect(error))
    }
}

/// Dropped with the request's future, which is when the caller has its answer or has hung up.
#[derive(Default)]
struct Caller {
    gone: Arc<AtomicBool>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

async fn embed(
    State(embedder): State<Embedder>,
    body: Result<Json<Request>, JsonRejection>,
) -> Result<Json<Answer>, Problem> {
    let texts = match body?.0.inputs {
        Inputs::One(text) => vec![text],
        Inputs::Several(texts) => texts,
    };
    if texts.is_empty() || texts.len() > INPUTS_MAX {
        let detail = format!("inputs holds {} texts; send 1 to {INPUTS_MAX} at a time", texts.len());
        let title = "Too few or too many texts in one request";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "number-of-inputs", title, detail));
    }
    let Encoded { vectors, truncated } = embedder.encode(texts).await?;
    Ok(Json(Answer { vectors, model: MODEL, dimensions: embedder.encoder.dimensions(), truncated }))
}
