//! What the tests stand on: an index over a file of its own, and an embedder that counts words instead of understanding
//! them, and that can be told to fail.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use base64::prelude::{BASE64_STANDARD, Engine};
use http_body_util::BodyExt;
use index::embedding::Embedder;
use index::retrieval::Retrieval;
use index::store::Store;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::ServiceExt;

const DIMENSIONS: usize = 64;

/// How the fake embedder answers.
#[derive(Clone, Copy, PartialEq)]
pub enum Answer {
    Well,
    /// With 503.
    Failing,
    /// With vectors of another length than it says.
    Nonsense,
    /// As another model.
    OtherModel,
}

#[derive(Clone)]
pub struct FakeEmbedder {
    pub url: String,
    behaviour: Arc<Mutex<Answer>>,
    _server: Arc<Server>,
}

struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl FakeEmbedder {
    pub async fn start() -> Self {
        let behaviour = Arc::new(Mutex::new(Answer::Well));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/embed", post(answer)).with_state(Arc::clone(&behaviour));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, behaviour, _server: Arc::new(Server(server)) }
    }

    pub fn answer(&self, how: Answer) {
        *self.behaviour.lock() = how;
    }
}

type Behaviour = Arc<Mutex<Answer>>;

async fn answer(State(behaviour): State<Behaviour>, Json(question): Json<Value>) -> axum::response::Response {
    let how = *behaviour.lock();
    if how == Answer::Failing {
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

/// The events of a document, as the embedder tells them, in parts of sixteen.
pub fn parts(id: &str, version: u64, texts: &[&str]) -> Vec<Value> {
    let items = |part: usize, texts: &[&str]| -> Vec<Value> {
        let item = |(at, text): (usize, &&str)| {
            let vector: Vec<u8> = bag_of_words(text).iter().flat_map(|number| number.to_le_bytes()).collect();
            let vector = BASE64_STANDARD.encode(vector);
            json!({"ordinal": part * 16 + at, "text": text, "heading": null, "page": null, "vector": vector})
        };
        texts.iter().enumerate().map(item).collect()
    };
    let chunks: Vec<&[&str]> = texts.chunks(16).collect();
    let part = |(part, chunk): (usize, &&[&str])| {
        let data = json!({
            "document": id, "version": version, "name": format!("{id}.md"), "title": id, "passages": texts.len(),
            "part": part, "parts": chunks.len(), "model": "fake", "dimensions": DIMENSIONS, "items": items(part, chunk),
        });
        json!({"type": "document.embedded.v1", "motetattempt": 1, "data": data})
    };
    chunks.iter().enumerate().map(part).collect()
}

pub fn deleted(id: &str, version: u64) -> Value {
    json!({"type": "document.deleted.v1", "data": {"document": id, "version": version}})
}

/// Delivers a batch of events; gives the status of each.
pub async fn deliver(service: &Router, events: Vec<Value>) -> Vec<u64> {
    let (status, answer) = send(service, Method::POST, "/on/documents", json!(events)).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{answer}");
    answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

/// Delivers a document, each time in a newer version than any before.
pub async fn put(service: &Router, id: &str, texts: &[&str]) {
    static VERSION: AtomicU64 = AtomicU64::new(1);
    let statuses = deliver(service, parts(id, VERSION.fetch_add(1, Ordering::SeqCst), texts)).await;
    assert!(statuses.iter().all(|status| *status == 204), "{statuses:?}");
}

/// What stands in the outbox of this file: topics and data.
pub fn told(file: &Path) -> Vec<(String, Value)> {
    let store = rusqlite::Connection::open(file).unwrap();
    let mut select = store.prepare("SELECT topic, data FROM outbox ORDER BY seq").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
    rows.map(|row| row.map(|(topic, data)| (topic, serde_json::from_str(&data).unwrap())).unwrap()).collect()
}

pub async fn search(service: &Router, query: &str, mode: &str) -> (StatusCode, Value) {
    send(service, Method::POST, "/search", json!({"query": query, "mode": mode})).await
}

/// The texts found, best first.
pub fn texts(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap()).collect()
}
