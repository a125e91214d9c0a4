//! Motet as its users run it: `motet up` with a definition, the services' API at `MOTET_URL`, deliveries through the data plane.
//!
//! The service `client` is only there to be told its `MOTET_URL`, which it writes down; what it would do, this process does. The service `sink`
//! is this process too, as an external one. Nothing else is set than what a user may set: how much is kept and how many may be in flight.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bench_proxy::contender::Program;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Places, Session, Way, bound, folder, version_of, wait_until};
use crate::{
    http1::{self as http, Client},
    publish::{Publish, closed_loop},
    tally::Tally,
};

mod batch;
mod pull;
mod stream;

/// Where `client` writes down its `MOTET_URL`.
const URL_FILE: &str = "motet-url";

struct Server {
    address: SocketAddr,
    version: String,
    program: Program,
    /// Where deliveries go.
    sink: TcpListener,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Publishing {
    /// A request per event, a connection per request that is under way.
    Post,
    /// As many events as may be in flight in one request, one connection.
    Batch,
    /// Events as they come, one connection.
    Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consuming {
    Nothing,
    Push,
    Pull,
    Stream,
}

struct Motet {
    server: Arc<Server>,
    name: &'static str,
    topic: &'static str,
    publishing: Publishing,
    consuming: Consuming,
}

const WAYS: &[(&str, &str, Publishing, Consuming)] = &[
    ("motet: POST, publish only", "kept", Publishing::Post, Consuming::Nothing),
    ("motet: POST, consumed by stream", "streamed", Publishing::Post, Consuming::Stream),
    ("motet: POST, consumed by pull", "pulled", Publishing::Post, Consuming::Pull),
    ("motet: POST, pushed", "pushed", Publishing::Post, Consuming::Push),
    ("motet: batched POST, pushed in batches", "batched", Publishing::Batch, Consuming::Push),
    ("motet: batched POST, consumed by stream", "streamed", Publishing::Batch, Consuming::Stream),
    ("motet: streamed both ways", "streamed", Publishing::Stream, Consuming::Stream),
];

fn definition(own: &str, sink: SocketAddr) -> String {
    format!(
        "motet: 1
system: bench
topics:
  kept: {{ keep: 1GiB }}
  streamed: {{ keep: 1GiB }}
  pulled: {{ keep: 1GiB }}
  pushed: {{ keep: 1GiB }}
  batched: {{ keep: 1GiB }}
services:
  client:
    path: .
    process: {{ command: [\"{own}\", service] }}
    publishes: [kept, streamed, pulled, pushed, batched]
    subscribes:
      streamed: {{ pull: true, in_flight: 1000 }}
      pulled: {{ pull: true, in_flight: 1000 }}
  sink:
    external: {{ url: \"http://{sink}\" }}
    subscribes:
      pushed: {{ to: /in, in_flight: 64 }}
      batched: {{ to: /in, in_flight: 4, batch: {{ items: 100, wait: 1ms }} }}
"
    )
}

pub(super) fn start(places: &Places) -> Result<Vec<Box<dyn Way>>> {
    let home = folder(places, "motet")?;
    let sink = TcpListener::bind("127.0.0.1:0")?;
    sink.set_nonblocking(true)?;
    fs::write(home.join("motet.yaml"), definition(&places.own.display().to_string(), sink.local_addr()?))?;
    let written = home.join(URL_FILE);
    // Of an earlier start; mostly there is none.
    let _ = fs::remove_file(&written);
    let mut command = bound(&places.motet);
    command.arg("up").current_dir(&home);
    let program = Program::start(&mut command, &places.scratch, "motet")?;
    let url = || fs::read_to_string(&written).unwrap_or_default();
    wait_until("motet", places, || url().ends_with('\n'))?;
    let url = url();
    let address = url.trim().strip_prefix("http://").context("MOTET_URL is not http://")?.parse()?;
    wait_until("motet", places, || is_published(address))?;
    let version = format!("Motet {}", version_of(&places.motet.display().to_string(), "--version"));
    let server = Arc::new(Server { address, version, program, sink });
    let ways = WAYS.iter().map(|&(name, topic, publishing, consuming)| {
        let server = Arc::clone(&server);
        Box::new(Motet { server, name, topic, publishing, consuming }) as Box<dyn Way>
    });
    Ok(ways.collect())
}

fn is_published(address: SocketAddr) -> bool {
    let try_once = || -> Result<bool> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(&http::post("/topics/kept", "application/json", b"{}"))?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b"202"))
    };
    try_once().unwrap_or(false)
}

/// What the service `client` does: it writes down where events are, and listens where it is looked for.
///
/// # Errors
/// When Motet did not say what it says to every service.
pub fn serve() -> Result<()> {
    let url = std::env::var("MOTET_URL").context("MOTET_URL is not set")?;
    let port = std::env::var("PORT").context("PORT is not set")?.parse()?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    fs::write(URL_FILE, format!("{url}\n"))?;
    loop {
        // Whoever looks sees that somebody is there.
        drop(listener.accept());
    }
}

#[async_trait]
impl Way for Motet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn server(&self) -> &'static str {
        "motet"
    }

    fn version(&self) -> String {
        self.server.version.clone()
    }

    fn pids(&self) -> Vec<u32> {
        self.server.program.pids()
    }

    async fn session(&self, in_flight: usize, tally: Arc<Tally>) -> Result<Session> {
        let consuming = self.consume(Arc::clone(&tally)).await?;
        let publishing = match self.publishing {
            Publishing::Post => {
                let mut slots = Vec::with_capacity(in_flight);
                for _ in 0..in_flight {
                    let client = self.connect().await?;
                    slots.push(Slot { client, path: format!("/topics/{}", self.topic) });
                }
                closed_loop(tally, slots)
            }
            Publishing::Batch => batch::publish(self.connect().await?, self.topic, in_flight, tally),
            Publishing::Stream => stream::publish(self.connect().await?, self.topic, in_flight, tally).await?,
        };
        Ok(Session::new(publishing, consuming))
    }
}

impl Motet {
    async fn connect(&self) -> Result<Client> {
        Client::connect(self.server.address).await
    }

    async fn consume(&self, tally: Arc<Tally>) -> Result<Option<BoxFuture<'static, Result<()>>>> {
        Ok(match self.consuming {
            Consuming::Nothing => None,
            Consuming::Push => {
                let listener = tokio::net::TcpListener::from_std(self.server.sink.try_clone()?)?;
                let take = Arc::new(move |body: &[u8]| {
                    tally.delivered(body);
                });
                Some(Box::pin(http::serve(listener, take)))
            }
            Consuming::Pull => Some(pull::consume(self.connect().await?, self.topic, tally)),
            Consuming::Stream => Some(stream::consume(self.connect().await?, self.topic, tally).await?),
        })
    }
}

struct Slot {
    client: Client,
    path: String,
}

impl Publish for Slot {
    async fn publish(&mut self, body: Bytes) -> Result<()> {
        let (status, answer) = self.client.ask(&http::post(&self.path, "application/json", &body)).await?;
        ensure!(status == 202, "motet answered {status}: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}

/// An event as the JSON format of CloudEvents has it.
fn write_event(number: u64, topic: &str, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{number:x}\",\"source\":\"/client\",\"type\":\"{topic}\",\
             \"datacontenttype\":\"application/json\",\"data\":"
        )
        .as_bytes(),
    );
    out.extend_from_slice(body);
    out.push(b'}');
}

/// Appends the tokens in `text`, each in quotes and divided by commas.
fn write_tokens(text: &[u8], out: &mut Vec<u8>) {
    let (mut rest, mut is_first) = (text, true);
    while let Some(behind) = crate::message::after(rest, b"\"motettoken\":\"") {
        let end = behind.iter().position(|byte| *byte == b'"').unwrap_or(behind.len());
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        out.push(b'"');
        out.extend_from_slice(&behind[..end]);
        out.push(b'"');
        rest = &behind[end..];
    }
}
