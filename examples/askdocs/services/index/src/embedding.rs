//! Calls the embedder over the edge that the service was given (`EMBEDDER_URL`), and believes nothing unchecked.
//!
//! No retries here: the proxy between the services knows the embedder's other instances, this does not.

use crate::store::Model;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    /// The address in the environment is none.
    #[error("EMBEDDER_URL={0} is not an http address")]
    Address(String),
    /// Nobody answered.
    #[error("the embedder cannot be reached: {0}")]
    Unreachable(String),
    /// The answer did not come in time.
    #[error("the embedder did not answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// It answered with an error.
    #[error("the embedder answered {status}: {body}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// The beginning of its answer.
        body: String,
    },
    /// It answered with something that is not in its contract.
    #[error("the embedder's answer makes no sense: {0}")]
    Nonsense(String),
}

/// Vectors and the model that made them.
#[derive(Debug)]
pub struct Vectors {
    /// One per text, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// What they were made with.
    pub model: Model,
}

/// The embedder, as seen from here.
#[derive(Debug, Clone)]
pub struct Embedder {
    client: Client<HttpConnector, Full<Bytes>>,
    address: Uri,
}

#[derive(Serialize)]
struct Question<'a> {
    inputs: &'a [String],
}

#[derive(Deserialize)]
struct Answer {
    vectors: Vec<Vec<f32>>,
    model: String,
    dimensions: usize,
}

impl Embedder {
    /// The embedder at `url`. Nothing is called yet.
    pub fn new(url: &str) -> Result<Self, EmbeddingError> {
        let address: Uri = format!("{}/embed", url.trim_end_matches('/'))
            .parse()
            .ok()
            .filter(|address: &Uri| address.scheme_str() == Some("http") && address.host().is_some())
            .ok_or_else(|| EmbeddingError::Address(url.into()))?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        connector.set_nodelay(true);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), address })
    }

    /// Vectors for texts, within `limit`. Dropping the future hangs up, which stops the embedder's work.
    pub async fn embed(&self, texts: &[String], limit: Duration) -> Result<Vectors, EmbeddingError> {
        let answer =
            tokio::time::timeout(limit, self.call(texts)).await.map_err(|_| EmbeddingError::TooSlow(limit))??;
        checked(answer, texts.len())
    }

    async fn call(&self, texts: &[String]) -> Result<Answer, EmbeddingError> {
        let nonsense = |error: serde_json::Error| EmbeddingError::Nonsense(error.to_string());
        let body = serde_json::to_vec(&Question { inputs: texts }).map_err(nonsense)?;
        let request = Request::post(self.address.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| EmbeddingError::Nonsense(error.to_string()))?;
        let unreachable = |error: &dyn std::error::Error| {
            EmbeddingError::Unreachable(error.source().map_or_else(|| error.to_string(), ToString::to_string))
        };
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
        let body = body.map_err(|error| EmbeddingError::Unreachable(error.to_string()))?.to_bytes();
        if status != StatusCode::OK {
            let body = String::from_utf8_lossy(&body).chars().take(300).collect();
            return Err(EmbeddingError::Refused { status, body });
        }
        serde_json::from_slice(&body).map_err(nonsense)
    }
}

fn checked(answer: Answer, texts: usize) -> Result<Vectors, EmbeddingError> {
    let Answer { vectors, model, dimensions } = answer;
    let nonsense = |what: String| Err(EmbeddingError::Nonsense(what));
    if vectors.len() != texts {
        return nonsense(format!("{} vectors for {texts} texts", vectors.len()));
    }
    if dimensions == 0 || vectors.iter().any(|vector| vector.len() != dimensions) {
        return nonsense(format!("not every vector has {dimensions} dimensions"));
    }
    if vectors.iter().any(|vector| (vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() > 0.01) {
        return nonsense("not every vector has length one".into());
    }
    Ok(Vectors { vectors, model: Model { name: model, dimensions } })
}
