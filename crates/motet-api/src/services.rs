//! The API that services speak: `$MOTET_URL`. So far, events: publish, fetch, acknowledge, watch.
//!
//! Each service has an address of its own on loopback, and the address is who it is, as with edges: no token, no header, no SDK. Behind an
//! address stands one [`port::Events`], which knows what this service may do.
//!
//! | Request | Does |
//! |---|---|
//! | `POST /topics/{topic}` | publishes one event or a batch; answers when all of it is durable |
//! | `POST /topics/{topic}/stream` | publishes as many as come, one JSON event per line; answers as they become durable |
//! | `GET /topics/{topic}/watch` | shows what is published, as server-sent events |
//! | `GET /subscriptions/{name}/next` | fetches events, with a lease on each |
//! | `POST /subscriptions/{name}/ack`, `nack`, `extend` | settles what was fetched, or asks for more time |
//! | `POST /subscriptions/{name}/stream` | fetches and settles over one connection, a JSON line each way |
//! | `POST /jobs/{service}/{path}` | makes a request a job; answers when it is durable |
//! | `GET /jobs/{id}`, `…/result` | how far it is, and what came of it |
//! | `POST /jobs/{id}/cancel`, `retry`, `complete`, `extend`, `PUT …/progress` | what its caller and its handler may do with it |
//!
//! Hyper is used directly: a request that publishes passes a match on its path, one read of its body and one call of the port, because that is
//! all that there is time for beside the disk.
//!
//! Invariants:
//! - What waits in memory is bounded in bytes over all requests ([`Options::waiting_bytes`]); what does not fit is answered with 429.
//! - Every body has a deadline, every stream ends when nothing happens on it, and all of them when the process stops.
//! - Nothing here decides about events: what is refused is refused by the port, or cannot be read.

mod body;
mod consume;
mod error;
mod ids;
pub mod jobs;
mod lines;
mod patience;
pub mod port;
mod publish;
mod pull;
mod route;
mod stream;
mod watch;

pub use error::Refusal;

use body::{Budget, Upload};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use ids::Ids;
use motet_kernel::task::{Kind, TaskGroup, seldom};
use patience::Patience;
use port::{Events, jobs::Jobs};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What is bounded, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many bytes of bodies may be in memory at once, over all connections of an address. Default 64 MiB.
    pub waiting_bytes: usize,
    /// The largest batch, in bytes of its body. Default 8 MiB.
    pub batch_bytes: usize,
    /// How many events one batch may have. Default 1,000.
    pub batch_events: usize,
    /// How long a body may take to come. Default 30 s.
    pub body_deadline: Duration,
    /// How long nothing may happen on a stream before it is ended. Default 5 min.
    pub stream_idle: Duration,
    /// How many connections an address holds; more wait in the kernel. Default 1,024.
    pub connections: usize,
    /// How long what is under way may take to end when the process stops. Default 5 s.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            waiting_bytes: 64 << 20,
            batch_bytes: 8 << 20,
            batch_events: 1000,
            body_deadline: Duration::from_secs(30),
            stream_idle: Duration::from_secs(300),
            connections: 1024,
            grace: Duration::from_secs(5),
        }
    }
}

/// What is behind an address.
pub struct Ports {
    /// Events.
    pub events: Arc<dyn Events>,
    /// Jobs, where there are any.
    pub jobs: Option<Arc<dyn Jobs>>,
}

impl<E: Events> From<Arc<E>> for Ports {
    fn from(events: Arc<E>) -> Self {
        Self { events, jobs: None }
    }
}

/// What all requests at one address share.
pub(crate) struct Door {
    pub(crate) events: Arc<dyn Events>,
    pub(crate) jobs: Option<Arc<dyn Jobs>>,
    pub(crate) ids: Ids,
    pub(crate) options: Options,
    pub(crate) budget: Budget,
    pub(crate) closing: CancellationToken,
}

/// Serves one service's address until the group is cancelled.
pub fn serve(listener: TcpListener, ports: impl Into<Ports>, options: Options, group: &TaskGroup) {
    let budget = Budget::new(options.waiting_bytes);
    let Ports { events, jobs } = ports.into();
    let door = Arc::new(Door { events, jobs, ids: Ids::default(), options, budget, closing: group.token() });
    let connections = group.clone();
    group.spawn(Kind::Listener, "services' port", async move { accept(listener, door, connections).await });
}

async fn accept(listener: TcpListener, door: Arc<Door>, group: TaskGroup) {
    let permits = Arc::new(Semaphore::new(door.options.connections));
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = door.closing.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((socket, _)) => {
                let door = Arc::clone(&door);
                group.spawn(Kind::Connection, "a service's connection", async move {
                    connection(socket, door).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Mostly: no file descriptors left. Waiting lets connections end.
                tracing::warn!(%error, "a connection of a service could not be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, door: Arc<Door>) {
    let _ = socket.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let patience = Patience::default();
    builder.http1().timer(patience.clone()).header_read_timeout(door.options.stream_idle).pipeline_flush(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256).keep_alive_interval(Duration::from_secs(30));
    let grace = door.options.grace;
    let closing = door.closing.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let request = request.map(|incoming| Upload::new(incoming, patience.clone()));
        route::answer(Arc::clone(&door), request)
    });
    let served = builder.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        biased;
        ended = &mut served => ended,
        () = seldom(closing.cancelled()) => {
            served.as_mut().graceful_shutdown();
            timeout(grace, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a service's connection ended");
    }
}
