//! What is around every service's routes, over HTTP in the process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use axum::{Router, response::Response};
use chassis::fault::{Fault, Switch};
use chassis::gate::Gate;
use chassis::serve::application;
use http_body_util::BodyExt;
use std::time::{Duration, Instant};
use tower::ServiceExt;

fn service() -> Router {
    application(Router::new().route("/work", get(|| async { "done" })), Switch::new(Fault::OFF))
}

async fn send(service: &Router, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response: Response = service.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = response.status();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn a_fault_hits_the_work_but_neither_health_nor_the_switch() {
    let service = service();
    assert_eq!(send(&service, Method::GET, "/work", "").await, (StatusCode::OK, "done".into()));

    let (status, body) = send(&service, Method::PUT, "/faults", r#"{"mode": "failing"}"#).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"mode":"failing","latency_ms":500,"rate":1.0}"#));
    let (status, body) = send(&service, Method::GET, "/work", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("urn:askdocs:problem:fault-injected"), "{body}");
    assert_eq!(send(&service, Method::GET, "/healthz", "").await, (StatusCode::OK, r#"{"status":"ok"}"#.into()));

    send(&service, Method::PUT, "/faults", r#"{"mode": "wrong"}"#).await;
    assert!(send(&service, Method::GET, "/work", "").await.1.contains("on purpose"));

    send(&service, Method::DELETE, "/faults", "").await;
    assert_eq!(send(&service, Method::GET, "/work", "").await, (StatusCode::OK, "done".into()));
}

#[tokio::test]
async fn a_slow_service_answers_late_and_a_hanging_one_never() {
    let service = service();
    send(&service, Method::PUT, "/faults", r#"{"mode": "slow", "latency_ms": 60}"#).await;
    let began = Instant::now();
    assert_eq!(send(&service, Method::GET, "/work", "").await.0, StatusCode::OK);
    assert!(began.elapsed() >= Duration::from_millis(60));

    send(&service, Method::PUT, "/faults", r#"{"mode": "hanging"}"#).await;
    let answer = send(&service, Method::GET, "/work", "");
    assert!(tokio::time::timeout(Duration::from_millis(100), answer).await.is_err());
}

#[tokio::test]
async fn what_makes_no_sense_gets_a_problem() {
    let service = service();
    let (status, body) = send(&service, Method::GET, "/wrok", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("there is nothing at /wrok"), "{body}");
    let (status, body) = send(&service, Method::POST, "/work", "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(body.contains("/work does not take POST"), "{body}");
    let (status, body) = send(&service, Method::PUT, "/faults", r#"{"mode": "sleepy"}"#).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.contains("unknown variant `sleepy`"), "{body}");
}

#[tokio::test]
async fn who_finds_no_room_is_told_when_to_come_back() {
    let gate = Gate::new(1);
    let place = gate.enter().unwrap();
    let refused = axum::response::IntoResponse::into_response(gate.enter().unwrap_err());
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    drop(place);
    assert!(gate.enter().is_ok());
}
