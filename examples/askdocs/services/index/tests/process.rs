//! The program itself: killed without warning, stopped in good order, started over a file that is not its own.

use crate::stand::{FakeEmbedder, parts, told};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Instance {
    child: Child,
    address: String,
}

impl Instance {
    /// Starts the program and reads its log until it says where it listens.
    fn start(file: &Path, embedder_url: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_index"))
            .env("PORT", "0")
            .env("DATABASE_PATH", file)
            .env("EMBEDDER_URL", embedder_url)
            .env_remove("FAULT")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.find_map(|line| Some(line.split_once("ready on ")?.1.to_owned()));
        // The rest of its log is of no interest, but has to be read: a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: ready.expect("it ended before it was ready") }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        let request = request.header("content-type", "application/json").body(Full::<Bytes>::from(body.to_string()));
        let response = Client::builder(TokioExecutor::new()).build_http().request(request.unwrap()).await.ok()?;
        serde_json::from_slice(&response.into_body().collect().await.ok()?.to_bytes()).ok()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill_and_nothing_is_there_by_halves() {
    let (embedder, folder) = (FakeEmbedder::start().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("index.sqlite");
    let (mut acknowledged, mut unanswered) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let mut instance = Instance::start(&file, &embedder.url);
        // Killed while a batch is under way: at another place in each round.
        let killed = tokio::time::Duration::from_millis(5 * round);
        for n in 0..3 {
            let id = format!("r{round}n{n}");
            let texts: Vec<String> = (0..50).map(|n| format!("round {round} passage {n}")).collect();
            let batch = json!(parts(&id, 1, &texts.iter().map(String::as_str).collect::<Vec<_>>()));
            let sent = instance.send(Method::POST, "/on/documents", &batch);
            let answer = if n < 2 { sent.await } else { tokio::time::timeout(killed, sent).await.unwrap_or_default() };
            if answer.is_some() { acknowledged.push(id) } else { unanswered.push(batch) }
        }
        instance.child.kill().unwrap();
    }
    let instance = Instance::start(&file, &embedder.url);
    let list = instance.send(Method::GET, "/documents", &Value::Null).await.unwrap();
    let list = list["documents"].as_array().unwrap();
    for id in &acknowledged {
        assert!(list.iter().any(|document| document["id"] == **id), "{id} was acknowledged and is gone");
    }
    assert!(acknowledged.len() >= 10);
    assert!(list.iter().all(|document| document["passages"] == 50), "{list:?}");
    for batch in unanswered {
        instance.send(Method::POST, "/on/documents", &batch).await.unwrap();
    }
    let stats = instance.send(Method::GET, "/stats", &Value::Null).await.unwrap();
    assert_eq!((&stats["documents"], &stats["passages"]), (&json!(15), &json!(750)));
    assert_eq!(told(&file).len(), 15, "each is told of once");
}

#[test]
fn a_file_that_is_no_store_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.sqlite");
    std::fs::write(&file, "not a database at all, but long enough to look like one".repeat(100)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_index"))
        .envs([("PORT", "0"), ("EMBEDDER_URL", "http://127.0.0.1:1")])
        .env("DATABASE_PATH", &file)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("index.sqlite") && log.contains("not a database"), "{log}");
}
