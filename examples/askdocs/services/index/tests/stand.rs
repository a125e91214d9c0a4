//! What the tests stand on: an index over a file of its own, and an embedder that counts words instead of understanding
//! them, and that can be told to fail.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use http_body_util::BodyExt;
use index::embedding::Embedder;
use index::retrieval::Retrieval;
use index::store::Store;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::ServiceExt;

const DIMENSIONS: usize = 64;

/// How the fake embedder answers.
#[derive(Clone, Copy, PartialEq)]
pub enum Answer {
    Well,
    /// 503 from so many calls on.
    FailFrom(usize),
    /// With vectors of another length than it says.
    Nonsense,
    /// As another model.
    OtherModel,
}

#[derive(Clone)]
pub struct FakeEmbedder {
    pub url: String,
    behaviour: Arc<Mutex<Answer>>,
    calls: Arc<AtomicUsize>,
    _server: Arc<Server>,
}

struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Shared = (Arc<Mutex<Answer>>, Arc<AtomicUsize>);

impl FakeEmbedder {
    pub async fn start() -> Self {
        let shared: Shared = (Arc::new(Mutex::new(Answer::Well)), Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/embed", post(answer)).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, behaviour: shared.0, calls: shared.1, _server: Arc::new(Server(server)) }
    }

    pub fn answer(&self, how: Answer) {
        *self.behaviour.lock() = how;
        self.calls.store(0, Ordering::SeqCst);
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn answer(State((behaviour, calls)): State<Shared>, Json(question): Json<Value>) -> axum::response::Response {
    let call = calls.fetch_add(1, Ordering::SeqCst);
    let how = *behaviour.lock();
    if matches!(how, Answer::FailFrom(from) if call >= from) {
        return (StatusCode::SERVICE_UNAVAILABLE, "out of order").into_response();
    }
    let texts: Vec<String> = serde_json::from_value(question["inputs"].clone()).unwrap();
    let mut vectors: Vec<Vec<f32>> = texts.iter().map(|text| bag_of_words(text)).collect();
    if how == Answer::Nonsense {
        vectors[0].pop();
    }
    let model = if how == Answer::OtherModel { "another" } else { "fake" };
    Json(json!({"vectors": vectors, "model": model, "dimensions": DIMENSIONS})).into_response()
}

fn bag_of_words(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01_f32; DIMENSIONS];
    for word in text.to_lowercase().split(|letter: char| !letter.is_alphanumeric()) {
        let place = BuildHasherDefault::<DefaultHasher>::default().hash_one(word) as usize % DIMENSIONS;
        vector[place] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / length).collect()
}

pub fn index(file: &Path, embedder_url: &str) -> Router {
    let retrieval = Retrieval::start(Store::open(file).unwrap(), Embedder::new(embedder_url).unwrap()).unwrap();
    index::api::routes(retrieval)
}

pub async fn send(service: &Router, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub async fn put(service: &Router, id: &str, texts: &[&str]) -> (StatusCode, Value) {
    let passages: Vec<Value> = texts.iter().map(|text| json!({"text": text})).collect();
    send(service, Method::PUT, &format!("/documents/{id}"), json!({"title": id, "passages": passages})).await
}

pub async fn search(service: &Router, query: &str, mode: &str) -> (StatusCode, Value) {
    send(service, Method::POST, "/search", json!({"query": query, "mode": mode})).await
}

/// The texts found, best first.
pub fn texts(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap()).collect()
}
