//! Learns and finds: the store, the projection and the embedder together.

use crate::embedding::{Embedder, EmbeddingError, Vectors};
use crate::projection::{Found, Projection, ProjectionError};
use crate::store::{Model, Store, StoreError};
use chassis::event::{Event, Outcome};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;

/// A question waits for its vector this long, then it is answered by words alone.
const QUESTION_LIMIT: Duration = Duration::from_secs(3);

/// Why something could not be learned or found.
#[derive(Debug, thiserror::Error)]
pub enum RetrievalError {
    /// There are no vectors.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The projection could not be brought into step or searched.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// A thread panicked.
    #[error("a thread ended: {0}")]
    Thread(#[from] JoinError),
}

/// How to search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By words and by meaning.
    #[default]
    Hybrid,
    /// By words alone.
    Text,
    /// By meaning alone.
    Vector,
}

/// A passage that answers a question.
#[derive(Debug, Serialize)]
pub struct Hit {
    document: String,
    title: String,
    passage: String,
    text: String,
    heading: Option<String>,
    page: Option<u32>,
    ordinal: u32,
    score: f32,
    ranks: Ranks,
    similarity: Option<f32>,
}

/// Where a passage stood in each ranking, from 1.
#[derive(Debug, Serialize)]
struct Ranks {
    text: Option<u32>,
    vector: Option<u32>,
}

/// The answer to a question.
#[derive(Debug, Serialize)]
pub struct Hits {
    /// The best first.
    hits: Vec<Hit>,
    /// How it was searched in the end.
    mode: Mode,
    /// Whether that is less than what was asked for.
    degraded: bool,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The index: cheap to clone.
#[derive(Clone)]
pub struct Retrieval(Arc<Parts>);

struct Parts {
    store: Store,
    projection: Projection,
    embedder: Embedder,
}

impl Retrieval {
    /// The index over this store; reads all of it, so it takes a moment when it holds much.
    pub fn start(store: Store, embedder: Embedder) -> Result<Self, RetrievalError> {
        let projection = Projection::new()?;
        projection.catch_up(&store)?;
        Ok(Self(Arc::new(Parts { store, projection, embedder })))
    }

    /// Takes what events say about documents; found by the next search, and not lost once this returns. An outcome for each.
    pub async fn learn(&self, events: Vec<Event>) -> Result<Vec<Outcome>, RetrievalError> {
        self.blocking(move |parts| {
            let outcomes = parts.store.learn(events)?;
            parts.projection.catch_up(&parts.store)?;
            Ok(outcomes)
        })
        .await
    }

    /// The passages that answer a question best.
    ///
    /// A hybrid search without the embedder is one by words alone, and says so; one by meaning alone is an error.
    pub async fn search(&self, question: String, mode: Mode, limit: usize) -> Result<Hits, RetrievalError> {
        let (vector, reason) = match mode {
            Mode::Text => (None, None),
            Mode::Vector => (Some(self.vector(&question).await?), None),
            Mode::Hybrid => match self.vector(&question).await {
                Ok(vector) => (Some(vector), None),
                Err(error) => {
                    tracing::warn!("searching by words alone: {error}");
                    (None, Some(error.to_string()))
                }
            },
        };
        let done = if reason.is_some() { Mode::Text } else { mode };
        let hits = self
            .blocking(move |parts| {
                parts.projection.catch_up(&parts.store)?;
                let words = (done != Mode::Vector).then_some(question.as_str());
                Ok(parts.projection.search(words, vector.as_deref(), limit, hit)?)
            })
            .await?;
        Ok(Hits { hits, mode: done, degraded: done != mode, reason })
    }

    async fn vector(&self, question: &str) -> Result<Vec<f32>, RetrievalError> {
        let Vectors { mut vectors, model: offered } =
            self.0.embedder.embed(&[question.to_owned()], QUESTION_LIMIT).await?;
        match self.blocking(|parts| Ok(parts.store.model()?)).await? {
            Some(kept) if kept != offered => Err(StoreError::ModelChanged { kept, offered }.into()),
            _ => Ok(vectors.swap_remove(0)),
        }
    }

    /// Documents and passages that are searched, and the model of their vectors.
    pub async fn size(&self) -> Result<(usize, usize, Option<Model>), RetrievalError> {
        self.blocking(|parts| {
            parts.projection.catch_up(&parts.store)?;
            let (documents, passages) = parts.projection.size();
            Ok((documents, passages, parts.store.model()?))
        })
        .await
    }

    /// Reads from the store.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RetrievalError> {
        self.blocking(move |parts| Ok(read(&parts.store)?)).await
    }

    /// Disk and search are not for an async thread.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Parts) -> Result<T, RetrievalError> + Send + 'static,
    ) -> Result<T, RetrievalError> {
        let parts = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&parts)).await?
    }
}

fn hit(found: &Found<'_>) -> Hit {
    let passage = &found.version.passages[found.position];
    Hit {
        document: found.version.id.clone(),
        title: found.version.title.clone(),
        passage: passage.id.clone().unwrap_or_default(),
        text: passage.text.clone(),
        heading: passage.heading.clone(),
        page: passage.page,
        ordinal: passage.ordinal.unwrap_or_default(),
        score: found.fused.scored.score,
        ranks: Ranks { text: found.fused.text, vector: found.fused.vector },
        similarity: found.similarity,
    }
}
