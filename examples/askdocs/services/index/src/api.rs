//! The HTTP side. See openapi.yaml.

use crate::document::{InvalidDocument, check_id};
use crate::retrieval::{Hits, Mode, Retrieval, RetrievalError};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chassis::event::{self, Event};
use chassis::gate::{self, Gate};
use chassis::problem::Problem;
use serde::Deserialize;
use serde_json::json;

/// Bytes in one batch of events.
const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes in one question.
const QUESTION_MAX_BYTES: usize = 4_000;
/// Hits in one answer.
const HITS_MAX: usize = 50;
/// Documents in one page of the list.
const PAGE_MAX: usize = 1_000;
/// Questions that are answered at the same time.
const SEARCHES: usize = 128;

/// The service's routes.
pub fn routes(retrieval: Retrieval) -> Router {
    let gate = |limit| from_fn_with_state(Gate::new(limit), gate::pass);
    Router::new()
        .route("/documents", get(list))
        .route("/documents/{id}", get(find))
        .route("/on/documents", post(learn))
        .route("/search", post(search).layer(gate(SEARCHES)))
        .route("/stats", get(stats))
        .layer(DefaultBodyLimit::max(BATCH_MAX_BYTES))
        .with_state(retrieval)
}

impl From<InvalidDocument> for Problem {
    fn from(error: InvalidDocument) -> Self {
        let title = "The document is not one that can be indexed";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-document", title, error.to_string())
    }
}

impl From<RetrievalError> for Problem {
    fn from(error: RetrievalError) -> Self {
        let detail = error.to_string();
        match error {
            RetrievalError::Embedding(_) => {
                let title = "The embedder is needed for this and does not work";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-embedder", title, detail).retry_after_seconds(1)
            }
            _ => Problem::defect(detail),
        }
    }
}

type Id = Result<Path<String>, PathRejection>;

fn checked(id: Id) -> Result<String, Problem> {
    let Path(id) = id?;
    check_id(&id)?;
    Ok(id)
}

/// What others say about documents, in batches. All of a batch is on disk, or none of it.
async fn learn(
    State(retrieval): State<Retrieval>,
    body: Result<Json<Vec<Event>>, JsonRejection>,
) -> Result<Response, Problem> {
    Ok(event::answer(&retrieval.learn(body?.0).await?))
}

async fn find(State(retrieval): State<Retrieval>, id: Id) -> Result<Response, Problem> {
    let id = checked(id)?;
    let asked = id.clone();
    let Some((summary, passages)) = retrieval.read(move |store| store.find(&asked)).await? else {
        let detail = format!("there is no document `{id}` in the index");
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-document", "No such document", detail));
    };
    let (title, source, indexed_at) = (summary.title, summary.source, summary.indexed_at);
    let answer = json!({"id": id, "title": title, "source": source, "indexed_at": indexed_at, "passages": passages});
    Ok(Json(answer).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    after: String,
    #[serde(default = "page_default")]
    limit: usize,
}

fn page_default() -> usize {
    100
}

async fn list(
    State(retrieval): State<Retrieval>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Page { after, limit }) = page?;
    within("limit", limit, PAGE_MAX)?;
    let documents = retrieval.read(move |store| store.list(&after, limit)).await?;
    let next = documents.last().filter(|_| documents.len() == limit).map(|last| last.id.clone());
    Ok(Json(json!({"documents": documents, "next": next})).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: String,
    #[serde(default = "hits_default")]
    limit: usize,
    #[serde(default)]
    mode: Mode,
}

fn hits_default() -> usize {
    5
}

async fn search(
    State(retrieval): State<Retrieval>,
    body: Result<Json<Search>, JsonRejection>,
) -> Result<Json<Hits>, Problem> {
    let Json(Search { query, limit, mode }) = body?;
    within("limit", limit, HITS_MAX)?;
    if query.trim().is_empty() || query.len() > QUESTION_MAX_BYTES {
        return Err(invalid(format!("query is {} bytes long; 1 to {QUESTION_MAX_BYTES} are possible", query.len())));
    }
    Ok(Json(retrieval.search(query, mode, limit).await?))
}

async fn stats(State(retrieval): State<Retrieval>) -> Result<Response, Problem> {
    let (documents, passages, model) = retrieval.size().await?;
    let (model, dimensions) = model.map(|model| (model.name, model.dimensions)).unzip();
    let answer = json!({"documents": documents, "passages": passages, "model": model, "dimensions": dimensions});
    Ok(Json(answer).into_response())
}

fn within(name: &str, value: usize, most: usize) -> Result<(), Problem> {
    if (1..=most).contains(&value) {
        Ok(())
    } else {
        Err(invalid(format!("{name} is {value}; 1 to {most} are possible")))
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-question", "This question cannot be asked", detail)
}
