//! The API that services speak, over real sockets, with a broker that is a double.

mod consume;
mod double;
mod publish;
mod pull;
mod stream;
mod watch;

use double::Double;
use motet_api::services::{self, Options};
use motet_kernel::task::TaskGroup;
use serde_json::Value as Json;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// An open address with a double behind it.
struct Address {
    double: Arc<Double>,
    url: String,
    group: TaskGroup,
}

async fn open() -> Address {
    open_with(Options::default()).await
}

async fn open_with(options: Options) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (double, group) = (Arc::new(Double::default()), TaskGroup::new());
    services::serve(listener, double.clone(), options, &group);
    Address { double, url, group }
}

impl Address {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A connection to speak HTTP/1.1 over by hand.
    async fn connect(&self) -> Wire {
        let socket = TcpStream::connect(self.url.trim_start_matches("http://")).await.expect("a connection");
        Wire { socket, read: Vec::new() }
    }
}

/// A connection, and what was read of it.
struct Wire {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    async fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.expect("written");
    }

    /// A chunk of a body without a length.
    async fn send_chunk(&mut self, text: &str) {
        self.send(&format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Reads until the text is there, and takes everything up to its end.
    async fn until(&mut self, text: &str) -> String {
        within(async {
            loop {
                let found = self.read.windows(text.len()).position(|window| window == text.as_bytes());
                if let Some(at) = found {
                    let taken: Vec<u8> = self.read.drain(..at + text.len()).collect();
                    return String::from_utf8(taken).expect("text");
                }
                let mut chunk = [0; 4096];
                let count = self.socket.read(&mut chunk).await.expect("readable");
                assert!(count > 0, "it ended before `{text}`: {}", String::from_utf8_lossy(&self.read));
                self.read.extend_from_slice(&chunk[..count]);
            }
        })
        .await
    }
}

/// Waits, and not for ever.
async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("in time")
}

/// The problem document of an answer that has to have this status and code.
async fn problem(response: reqwest::Response, status: u16, code: &str) -> String {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.status(), status);
    let problem: Json = response.json().await.expect("JSON");
    assert_eq!(problem["type"], format!("urn:motet:error:{code}"));
    assert_eq!(problem["status"], status);
    problem["detail"].as_str().expect("a text").to_owned()
}

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a": 1}}"#;

/// A line with an event of this id.
fn line(id: usize) -> String {
    format!("{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/s\",\"type\":\"t\"}}\n")
}
