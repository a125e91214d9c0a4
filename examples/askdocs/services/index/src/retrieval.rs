//! Puts and finds: the store, the projection and the embedder together.

use crate::document::Document;
use crate::embedding::{BATCH, Embedder, EmbeddingError, Vectors};
use crate::projection::{Found, Projection, ProjectionError};
use crate::store::{Model, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinError;

/// A question waits for its vector this long, then it is answered by words alone.
const QUESTION_LIMIT: Duration = Duration::from_secs(3);
/// A batch of passages.
const PASSAGES_LIMIT: Duration = Duration::from_secs(60);
/// Documents whose ids fall on the same lock wait for each other; few do.
const LOCKS: usize = 64;

/// Why something could not be put or found.
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

/// What became of a document that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// There was none with this id.
    Created,
    /// It took the place of another version.
    Replaced,
    /// It is what was there already.
    Unchanged,
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
    locks: [Mutex<()>; LOCKS],
}

impl Retrieval {
    /// The index over this store; reads all of it, so it takes a moment when it holds much.
    pub fn start(store: Store, embedder: Embedder) -> Result<Self, RetrievalError> {
        let projection = Projection::new()?;
        projection.catch_up(&store)?;
        let locks = std::array::from_fn(|_| Mutex::new(()));
        Ok(Self(Arc::new(Parts { store, projection, embedder, locks })))
    }

    /// Puts a document in the place of the one with its id; found by the next search, and not lost once this returns.
    pub async fn put(&self, id: String, document: Document) -> Result<Put, RetrievalError> {
        // Later puts of the same document wait for earlier ones, so that the last to come is the one that stays.
        let lock = BuildHasherDefault::<DefaultHasher>::default().hash_one(&id) as usize % LOCKS;
        let _in_turn = self.0.locks[lock].lock().await;
        let fingerprint = document.fingerprint();
        let same = id.clone();
        if self.blocking(move |parts| Ok(parts.store.fingerprint(&same)?)).await? == Some(fingerprint) {
            return Ok(Put::Unchanged);
        }
        let texts: Vec<String> = document.passages.iter().map(|passage| passage.to_embed(&document.title)).collect();
        let Vectors { vectors, model } = self.embed_all(&texts).await?;
        let created = self
            .blocking(move |parts| {
                let created = parts.store.put(&id, &document, &vectors, &model)?;
                parts.projection.catch_up(&parts.store)?;
                Ok(created)
            })
            .await?;
        Ok(if created { Put::Created } else { Put::Replaced })
    }

    async fn embed_all(&self, texts: &[String]) -> Result<Vectors, RetrievalError> {
        let mut all: Option<Vectors> = None;
        for batch in texts.chunks(BATCH) {
            let next = self.0.embedder.embed(batch, PASSAGES_LIMIT).await?;
            match &mut all {
                None => all = Some(next),
                Some(all) if all.model == next.model => all.vectors.extend(next.vectors),
                Some(all) => {
                    let (kept, offered) = (all.model.clone(), next.model);
                    return Err(StoreError::ModelChanged { kept, offered }.into());
                }
            }
        }
        Ok(all.ok_or_else(|| EmbeddingError::Nonsense("there was nothing to embed".into()))?)
    }

    /// Takes a document out; false when there was none.
    pub async fn delete(&self, id: String) -> Result<bool, RetrievalError> {
        let lock = BuildHasherDefault::<DefaultHasher>::default().hash_one(&id) as usize % LOCKS;
        let _in_turn = self.0.locks[lock].lock().await;
        self.blocking(move |parts| {
            let deleted = parts.store.delete(&id)?;
            parts.projection.catch_up(&parts.store)?;
            Ok(deleted)
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
