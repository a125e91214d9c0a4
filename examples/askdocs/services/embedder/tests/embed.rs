//! The embedder over HTTP in the process, with the real model.
//!
//! Without the model (`fetch-model.sh` gets it) these tests say that they were skipped; with `CI` set they fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::prelude::{BASE64_STANDARD, Engine};
use embedder::api::{BODY_MAX_BYTES, Embedder, INPUTS_MAX};
use embedder::encoder::{Encoder, EncoderError, MODEL};
use embedder::model_files::{ModelFiles, WEIGHTS_SHA256};
use embedder::step::Step;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tower::ServiceExt;

fn encoder() -> Option<Arc<Encoder>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    if !folder.exists() {
        assert!(std::env::var_os("CI").is_none(), "the model is not there: run services/embedder/fetch-model.sh");
        eprintln!("skipped: the model is not there; services/embedder/fetch-model.sh gets it");
        return None;
    }
    Some(Arc::new(Encoder::load(&folder, 2).unwrap()))
}

fn service() -> Option<Router> {
    Some(Embedder::new(encoder()?, 2, 8).routes())
}

async fn embed(service: &Router, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post("/embed").header("content-type", "application/json").body(body.into()).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn vectors(answer: &Value) -> Vec<Vec<f32>> {
    serde_json::from_value(answer["vectors"].clone()).unwrap()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn sentences_are_as_alike_as_the_model_was_published_to_find_them() {
    let Some(service) = service() else { return };
    let inputs =
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"];
    let (status, answer) = embed(&service, json!({"inputs": inputs}).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["model"], &answer["dimensions"]), (&json!(MODEL), &json!(384)));
    let vectors = vectors(&answer);
    // What Hugging Face's documentation of the sentence similarity task gives for this model.
    for (vector, published) in vectors[1..].iter().zip([0.694_577_3, 0.942_915_1, 0.256_876_1]) {
        let found = dot(&vectors[0], vector);
        assert!((found - published).abs() < 1e-4, "{found} instead of {published}");
    }
}

#[tokio::test]
async fn a_text_gets_the_same_vector_in_any_company_and_in_its_place() {
    let Some(service) = service() else { return };
    let (_, alone) = embed(&service, json!({"inputs": "a short question"}).to_string()).await;
    let long = "many words about something else ".repeat(20);
    let mixed =
        json!({"inputs": [long, "a short question", "", long, "another one that is a little longer"]}).to_string();
    let (_, together) = embed(&service, mixed.clone()).await;
    let (alone, both) = (vectors(&alone), vectors(&together));
    assert_eq!(both.len(), 5);
    let furthest = alone[0].iter().zip(&both[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest < 1e-5, "{furthest}");
    assert_eq!(both[0], both[3]);
    assert!(both.iter().all(|vector| (dot(vector, vector) - 1.0).abs() < 1e-4));
    assert_eq!(embed(&service, mixed).await.1, together, "the same request has the same answer, bit by bit");
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut_and_the_answer_says_so() {
    let Some(service) = service() else { return };
    let long = |words: usize| "word ".repeat(words);
    let (_, answer) = embed(&service, json!({"inputs": [long(254), long(255), long(900)]}).to_string()).await;
    assert_eq!(answer["truncated"], 2);
    let vectors = vectors(&answer);
    assert_eq!(vectors[1], vectors[2]);
}

#[tokio::test]
async fn what_cannot_be_embedded_gets_a_problem_that_says_why() {
    let Some(service) = service() else { return };
    let too_large = format!(r#"{{"inputs": "{}"}}"#, "x".repeat(BODY_MAX_BYTES));
    let too_many = json!({"inputs": vec!["x"; INPUTS_MAX + 1]}).to_string();
    let cases = [
        (r#"{"inputs": []}"#, StatusCode::UNPROCESSABLE_ENTITY, "inputs holds 0 texts"),
        (&too_many, StatusCode::UNPROCESSABLE_ENTITY, "inputs holds 257 texts"),
        (r#"{"inputs": [1]}"#, StatusCode::UNPROCESSABLE_ENTITY, "inputs is a text or a list of texts"),
        (r#"{"input": "x"}"#, StatusCode::UNPROCESSABLE_ENTITY, "unknown field `input`"),
        (r#"{"inputs": "#, StatusCode::BAD_REQUEST, "EOF while parsing"),
        (&too_large, StatusCode::PAYLOAD_TOO_LARGE, "length limit exceeded"),
    ];
    for (body, status, detail) in cases {
        let (found, problem) = embed(&service, body.to_owned()).await;
        assert_eq!(found, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        assert!(problem["type"].as_str().unwrap().starts_with("urn:askdocs:problem:"), "{problem}");
    }
}

#[test]
fn work_for_a_caller_who_has_gone_is_given_up() {
    let Some(encoder) = encoder() else { return };
    let result = encoder.encode(&["x".to_owned()], &AtomicBool::new(true));
    assert!(matches!(result, Err(EncoderError::Abandoned)));
}

#[test]
fn weights_that_are_not_the_published_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.safetensors"), "other weights").unwrap();
    let error = ModelFiles::read(folder.path()).err().unwrap().to_string();
    assert!(error.contains(WEIGHTS_SHA256) && error.contains("fetch-model.sh"), "{error}");
    let missing = ModelFiles::read(&folder.path().join("nowhere")).err().unwrap().to_string();
    assert!(missing.contains("fetch-model.sh"), "{missing}");
}

fn part(document: &str, texts: &[&str], attempt: u32) -> Value {
    let item =
        |(ordinal, text): (usize, &&str)| json!({"ordinal": ordinal, "text": text, "heading": "On stores", "page": 3});
    let items: Vec<Value> = texts.iter().enumerate().map(item).collect();
    let data = json!({
        "document": document, "version": 1, "name": "a.md", "title": "A", "passages": texts.len(), "part": 0, "parts": 1, "items": items
    });
    json!({"type": "document.parsed.v1", "motetattempt": attempt, "traceparent": "00-trace", "data": data})
}

async fn deliver(step: &Step, events: Vec<Value>) -> Vec<u64> {
    let request = Request::post("/on/document-parsed").header("content-type", "application/cloudevents-batch+json");
    let request = request.body(Body::from(json!(events).to_string())).unwrap();
    let response = step.clone().routes().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::MULTI_STATUS);
    let body: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    body["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn passages_that_come_as_an_event_go_out_with_their_vectors_once() {
    let Some(encoder) = encoder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("embedder.sqlite");
    let step = Step::open(&file, Arc::clone(&encoder)).unwrap();
    let text = "A store belongs to one service.";
    let mut unreadable = part("doc_2", &[text], 1);
    unreadable["data"]["items"] = json!("none");
    let events = vec![part("doc_1", &[text, "Another."], 1), unreadable, part("doc_3", &[text], 16)];
    assert_eq!(deliver(&step, events).await, [204, 422, 422]);
    assert_eq!(deliver(&step, vec![part("doc_1", &[text, "Another."], 2)]).await, [204]);

    let store = rusqlite::Connection::open(&file).unwrap();
    let mut select = store.prepare("SELECT topic, key, data, extensions FROM outbox ORDER BY seq").unwrap();
    let rows: Vec<(String, String, String, String)> = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let of: Vec<_> = rows.iter().map(|(topic, key, ..)| (topic.as_str(), key.as_str())).collect();
    assert_eq!(of, [("document.embedded.v1", "doc_1"), ("document.failed.v1", "doc_3")]);
    let told: Value = serde_json::from_str(&rows[0].2).unwrap();
    assert_eq!(
        (&told["model"], &told["dimensions"], &told["items"][0]["page"]),
        (&json!(MODEL), &json!(384), &json!(3))
    );
    assert_eq!(rows[0].3, r#"{"traceparent":"00-trace"}"#);
    let bytes = BASE64_STANDARD.decode(told["items"][0]["vector"].as_str().unwrap()).unwrap();
    let vector: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let alone = encoder.encode(&[format!("On stores\n{text}")], &AtomicBool::new(false)).unwrap();
    assert!(dot(&vector, &alone.vectors[0]) > 0.999_99, "it is embedded with its heading");
}
