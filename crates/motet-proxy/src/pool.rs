//! One instance as one worker sees it: its connections, its load, how fast it answers. Nothing of it leaves the worker's thread
//! except the load. It lives as long as somebody balances over it or it has a request; its unused connections are closed with it.
//!
//! Ours rather than hyper's legacy client, because we must know per instance what is under way, close a connection the moment its
//! caller goes away, and never repeat a request behind the policy's back.

use crate::{
    body::{LiveError, Outbound},
    http1::connection::Connection,
    load::Load,
    net::TcpStream,
    spec::Protocol,
    stage::balance::Latency,
    worker::LocalSpawn,
};
use http::HeaderValue;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use motet_kernel::{
    endpoint::{Authority, Endpoint},
    id::InstanceId,
};
use std::{
    cell::{Cell, RefCell},
    error::Error,
    io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::spawn_local,
    time::{Instant, timeout},
};

/// How long a connection whose answer has ended may take to be ready for the next request, which is when the request's own
/// body has ended too.
const SETTLE: Duration = Duration::from_secs(1);

/// How many requests share an HTTP/2 connection before another is made: what RFC 9113, section 6.5.2, asks of every server at least.
const STREAMS_MAX: usize = 100;

/// How long an HTTP/2 connection may be silent with requests under way before it is asked whether anybody is there, and how long the
/// reply may take. HTTP/1 needs none: each request has its own connection and deadline.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// One instance.
pub(crate) struct Upstream {
    pub(crate) instance: InstanceId,
    pub(crate) label: Arc<str>,
    pub(crate) address: Authority,
    host: HeaderValue,
    pub(crate) load: Arc<Load>,
    pub(crate) latency: Latency,
    idle_max: usize,
    idle: RefCell<Vec<Idle>>,
    /// Told when a connection becomes unused.
    unused: Rc<Notify>,
    shared: RefCell<Vec<Shared>>,
    /// So that many requests at once make one HTTP/2 connection and not many.
    dialing: tokio::sync::Mutex<()>,
}

struct Idle {
    connection: Rc<Connection>,
    since: Instant,
}

/// An HTTP/2 connection and how many requests share it now.
struct Shared {
    sender: http2::SendRequest<Outbound>,
    streams: Rc<Cell<usize>>,
    /// Somebody has told that it broke.
    broken: Rc<Cell<bool>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: Authority, source: io::Error },
    #[error("no connection to {address} within {limit:?}")]
    Slow { address: Authority, limit: Duration },
    #[error("{address} does not speak the protocol: {source}")]
    Handshake { address: Authority, source: hyper::Error },
}

impl Upstream {
    pub(crate) fn new(endpoint: &Endpoint, load: Arc<Load>, idle_max: usize, unused: Rc<Notify>) -> Self {
        let address = endpoint.address.clone();
        // A host that cannot stand in a header cannot be connected to either.
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("invalid"));
        Self {
            instance: endpoint.instance,
            label: Arc::clone(&endpoint.label),
            address,
            host,
            load,
            latency: Latency::default(),
            idle_max,
            idle: RefCell::default(),
            unused,
            shared: RefCell::default(),
            dialing: tokio::sync::Mutex::new(()),
        }
    }

    /// Its own address, as a `Host` field.
    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host
    }

    /// A connection that has served before and is still open, the most recently used first.
    pub(crate) fn reuse(self: &Rc<Self>, protocol: Protocol) -> Option<Lease> {
        if protocol == Protocol::H2c {
            let mut shared = self.shared.borrow_mut();
            shared.retain(|shared| !shared.sender.is_closed());
            let least = shared.iter().min_by_key(|shared| shared.streams.get())?;
            let wire = (least.streams.get() < STREAMS_MAX).then(|| least.wire())?;
            return Some(self.lease(wire, true));
        }
        loop {
            let Idle { connection, .. } = self.idle.borrow_mut().pop()?;
            if connection.is_quiet() {
                return Some(self.lease(Wire::Http1(connection), true));
            }
        }
    }

    /// A new connection.
    pub(crate) async fn dial(self: &Rc<Self>, protocol: Protocol, limit: Duration) -> Result<Lease, DialError> {
        let dialed = timeout(limit, async {
            match protocol {
                Protocol::Http1 => self.dial_http1().await,
                Protocol::H2c => self.dial_http2().await,
            }
        });
        dialed.await.unwrap_or_else(|_| Err(DialError::Slow { address: self.address.clone(), limit }))
    }

    async fn connect(&self) -> Result<TcpStream, DialError> {
        let failed = |source| DialError::Connect { address: self.address.clone(), source };
        let stream = TcpStream::connect((&*self.address.host, self.address.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }

    async fn dial_http1(self: &Rc<Self>) -> Result<Lease, DialError> {
        let connection = Connection::new(self.connect().await?);
        Ok(self.lease(Wire::Http1(connection), false))
    }

    async fn dial_http2(self: &Rc<Self>) -> Result<Lease, DialError> {
        let _one_at_a_time = self.dialing.lock().await;
        if let Some(lease) = self.reuse(Protocol::H2c) {
            return Ok(lease);
        }
        let io = TokioIo::new(self.connect().await?);
        let failed = |source| DialError::Handshake { address: self.address.clone(), source };
        let (sender, connection) = http2::Builder::new(LocalSpawn)
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(io)
            .await
            .map_err(failed)?;
        spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to an instance ended");
            }
        });
        let shared = Shared { sender, streams: Rc::default(), broken: Rc::default() };
        let wire = shared.wire();
        self.shared.borrow_mut().push(shared);
        Ok(self.lease(wire, false))
    }

    fn lease(self: &Rc<Self>, wire: Wire, reused: bool) -> Lease {
        Lease { upstream: Rc::clone(self), wire: Some(wire), reused }
    }

    fn put_back(&self, connection: Rc<Connection>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max {
            idle.push(Idle { connection, since: Instant::now() });
            self.unused.notify_one();
        }
    }

    /// Closes connections that were not used for so long. True while some are left.
    pub(crate) fn sweep(&self, unused: Duration) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|idle| idle.since.elapsed() < unused && idle.connection.is_quiet());
        !idle.is_empty()
    }
}

impl Shared {
    fn wire(&self) -> Wire {
        self.streams.set(self.streams.get() + 1);
        Wire::Http2 {
            sender: self.sender.clone(),
            broken: Rc::clone(&self.broken),
            stream: Stream(Rc::clone(&self.streams)),
        }
    }
}

/// One of the requests on an HTTP/2 connection: counts while it lives.
pub(crate) struct Stream(Rc<Cell<usize>>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// What a request is sent over.
pub(crate) enum Wire {
    Http1(Rc<Connection>),
    Http2 {
        sender: http2::SendRequest<Outbound>,
        broken: Rc<Cell<bool>>,
        #[expect(dead_code, reason = "counts while it lives")]
        stream: Stream,
    },
}

/// The use of one connection for one request. Dropped before [`Lease::finish`], it closes an HTTP/1 connection at once; an HTTP/2 stream
/// is reset by hyper when its answer is dropped.
pub(crate) struct Lease {
    upstream: Rc<Upstream>,
    wire: Option<Wire>,
    /// Whether the connection had served before, so that it may have been closed by the other side just now.
    pub(crate) reused: bool,
}

impl Lease {
    /// What to send over.
    pub(crate) fn wire(&mut self) -> &mut Wire {
        self.wire.as_mut().expect("it is there until the lease ends")
    }

    /// The request failed. True unless it shared a connection that broke with others, one of which has told of it already: what breaks a
    /// hundred calls at once has happened once.
    pub(crate) fn is_first_to_fail(&self, error: &LiveError) -> bool {
        let LiveError::Http2(error) = error else { return true };
        let of_one = |error: &h2::Error| error.is_reset();
        let cause = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        match &self.wire {
            Some(Wire::Http2 { broken, .. }) if !cause.is_some_and(of_one) => !broken.replace(true),
            _ => true,
        }
    }

    /// The answer is complete: keeps the connection for the next request, as soon as it is ready for one.
    pub(crate) fn finish(mut self) {
        let Some(Wire::Http1(connection)) = self.wire.take() else { return };
        if !connection.is_uploading() {
            if connection.is_free() {
                self.upstream.put_back(connection);
            }
            return;
        }
        let upstream = Rc::clone(&self.upstream);
        spawn_local(async move {
            if connection.settle(SETTLE).await {
                upstream.put_back(connection);
            }
        });
    }

    /// The connection now belongs to an upgraded stream.
    pub(crate) fn detach(mut self) {
        self.wire.take();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(Wire::Http1(connection)) = self.wire.take() {
            connection.close();
        }
    }
}
