//! The typed client that the commands use, over the system's socket.

mod events;
mod jobs;

pub use jobs::JobResult;

use crate::{
    error::CallError,
    exposition::Format,
    sse,
    wire::{
        Applied, ApplyRequest, LogEvent, Problem, ScaleRequest, System,
        fault::{AddFaults, Door, Fault},
    },
};
use futures_util::{Stream, StreamExt, stream};
use reqwest::{Method, RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::Path, time::Duration};

/// How long an answer may take that is not a stream.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Speaks with one running system.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// A client of the system that listens on `socket`. Nothing is sent yet.
    pub fn new(socket: &Path) -> Result<Self, CallError> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(CallError::Unreachable)?;
        Ok(Self { http })
    }

    /// The system as it is.
    pub async fn system(&self) -> Result<System, CallError> {
        let answer = self.send(self.request(Method::GET, "/v1/system").timeout(ANSWER_WITHIN)).await?;
        read(answer).await
    }

    /// The system as it is, and again after each change. The stream ends when the system's process does.
    pub async fn system_changes(&self) -> Result<impl Stream<Item = Result<System, CallError>> + use<>, CallError> {
        let answer = self.send(self.request(Method::GET, "/v1/system/changes")).await?;
        Ok(events(answer))
    }

    /// Lines of output.
    pub async fn logs(
        &self,
        services: &[String],
        tail: usize,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<LogEvent, CallError>> + use<>, CallError> {
        let path = format!("/v1/logs?service={}&tail={tail}&follow={follow}", services.join(","));
        let answer = self.send(self.request(Method::GET, &path)).await?;
        Ok(events(answer))
    }

    /// Replaces the instances of a service, one by one.
    pub async fn restart(&self, service: &str) -> Result<(), CallError> {
        self.post(&format!("/v1/services/{service}/restart"), &serde_json::Value::Null).await.map(drop)
    }

    /// Sets the number of instances of a service.
    pub async fn scale(&self, service: &str, instances: u32) -> Result<(), CallError> {
        self.post(&format!("/v1/services/{service}/scale"), &ScaleRequest { instances }).await.map(drop)
    }

    /// Makes the system match its definition as it is now.
    pub async fn apply(&self, request: &ApplyRequest) -> Result<Applied, CallError> {
        read(self.post("/v1/apply", request).await?).await
    }

    /// The faults that are in force.
    pub async fn faults(&self) -> Result<Vec<Fault>, CallError> {
        read(self.send(self.request(Method::GET, "/v1/faults").timeout(ANSWER_WITHIN)).await?).await
    }

    /// Puts faults on an edge or a route; returns all that are there then.
    pub async fn add_faults(&self, request: &AddFaults) -> Result<Vec<Fault>, CallError> {
        read(self.post("/v1/faults", request).await?).await
    }

    /// Removes the faults of an edge or a route, or all; returns what was removed.
    pub async fn remove_faults(&self, door: Option<&Door>) -> Result<Vec<Fault>, CallError> {
        let query = match door {
            Some(Door::Edge(edge)) => format!("edge={}", encode(edge)),
            Some(Door::Route(path)) => format!("route={}", encode(path)),
            None => "all=true".to_owned(),
        };
        let request = self.request(Method::DELETE, &format!("/v1/faults?{query}")).timeout(ANSWER_WITHIN);
        read(self.send(request).await?).await
    }

    /// All metrics, as text.
    pub async fn metrics(&self, format: Format) -> Result<String, CallError> {
        let request = self.request(Method::GET, "/metrics").header("accept", format.content_type());
        let answer = self.send(request.timeout(ANSWER_WITHIN)).await?;
        answer.text().await.map_err(|error| CallError::Garbled(error.to_string()))
    }

    /// Asks the system to stop.
    pub async fn down(&self) -> Result<(), CallError> {
        self.post("/v1/down", &serde_json::Value::Null).await.map(drop)
    }

    async fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<Response, CallError> {
        self.send(self.request(Method::POST, path).timeout(ANSWER_WITHIN).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://localhost{path}"))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let answer = request.send().await.map_err(CallError::Unreachable)?;
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await) }
    }
}

/// What an answer that is no success says.
async fn refused(answer: Response) -> CallError {
    let status = answer.status();
    match answer.json::<Problem>().await {
        Ok(problem) => CallError::Refused(problem),
        Err(_) => CallError::Garbled(format!("status {status}")),
    }
}

/// A value in a query: everything but the unreserved characters of RFC 3986, section 2.3, as `%XX`.
fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, CallError> {
    answer.json().await.map_err(|error| CallError::Garbled(error.to_string()))
}

fn events<T: DeserializeOwned>(answer: Response) -> impl Stream<Item = Result<T, CallError>> {
    let mut reader = sse::Reader::default();
    answer.bytes_stream().flat_map(move |chunk| {
        let read = match chunk {
            Ok(bytes) => reader.push(&bytes).map_err(|error| CallError::Garbled(error.to_string())),
            Err(error) => Err(CallError::Unreachable(error)),
        };
        stream::iter(match read {
            Ok(events) => events.iter().map(decode).collect(),
            Err(error) => vec![Err(error)],
        })
    })
}

fn decode<T: DeserializeOwned>(event: &sse::Event) -> Result<T, CallError> {
    serde_json::from_str(&event.data).map_err(|error| CallError::Garbled(format!("event `{}`: {error}", event.name)))
}
