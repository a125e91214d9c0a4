//! One address as one worker serves it. Every worker has a socket of its own for the address (`SO_REUSEPORT`), so that a connection
//! is accepted, served and closed on one thread.
//!
//! A permit is taken before a connection is accepted: what cannot be served waits in the kernel's queue, where it costs us nothing.

use crate::{
    config::Config,
    farewell::Polite,
    gateway::connection,
    net::{self, Bound, TcpListener, TcpStream},
    stack,
    stage::route::Target,
    worker::{LocalSpawn, Worker},
};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use motet_kernel::task::seldom;
use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// An open address.
pub(crate) struct Listener {
    /// Accepts nothing more once this is cancelled; connections end with the request they have.
    pub(crate) closing: CancellationToken,
    /// Connections, and what outlives them.
    pub(crate) tasks: TaskTracker,
    target: RefCell<Rc<Target>>,
    config: Arc<Config>,
}

/// A connection that requests come in by.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) listener: Rc<Listener>,
    pub(crate) peer: SocketAddr,
    /// What the caller speaks: `http` or `https`.
    pub(crate) scheme: &'static str,
}

impl Listener {
    pub(crate) fn open(worker: &Worker, socket: Bound, target: Target) -> io::Result<Rc<Self>> {
        let socket = net::listen(socket)?;
        let listener = Rc::new(Self {
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            target: RefCell::new(Rc::new(target)),
            config: Arc::clone(&worker.config),
        });
        listener.tasks.spawn_local(accept(Rc::clone(&listener), socket));
        Ok(listener)
    }

    /// What stands behind the address now. A request keeps to what stood there when it came.
    pub(crate) fn target(&self) -> Rc<Target> {
        Rc::clone(&self.target.borrow())
    }

    /// Puts another target behind the address; connections stay.
    pub(crate) fn set_target(&self, target: Target) {
        self.target.replace(Rc::new(target));
    }

    /// How long what is under way may take to end when the listener closes.
    pub(crate) fn grace(&self) -> Duration {
        self.config.stop_grace
    }

    /// How many connections this worker holds. A change of the limit counts for listeners that are opened later.
    fn connections_max(&self) -> usize {
        let all = self.target().gate().map_or(self.config.connections_max, |gate| gate.limits.connections_max);
        all.div_ceil(self.config.workers.get()).max(1)
    }
}

async fn accept(listener: Rc<Listener>, socket: TcpListener) {
    let permits = Arc::new(Semaphore::new(listener.connections_max()));
    let mut failures = 0_u32;
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, socket.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = listener.closing.cancelled() => return,
            next = next => next,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly: no file descriptors left. Waiting lets connections end.
                failures = failures.saturating_add(1);
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(u64::from(failures.min(10)) * 50)).await;
                continue;
            }
        };
        failures = 0;
        let arrival = Arrival { listener: Rc::clone(&listener), peer, scheme: "http" };
        listener.tasks.spawn_local(async move {
            if let Err(error) = serve(arrival, stream).await {
                tracing::debug!(%peer, error = &*error, "a caller's connection ended");
            }
            drop(permit);
        });
    }
}

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn serve(arrival: Arrival, mut stream: TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let gate = arrival.listener.target().gate().cloned();
    if let Some(gate) = gate {
        // Boxed, so that a connection at an edge keeps no room for TLS and the gateway's clocks.
        return Box::pin(connection::serve(gate, arrival, stream)).await;
    }
    let listener = Rc::clone(&arrival.listener);
    let idle_max = listener.config.edge_idle;
    let speaks_http2 = tokio::select! {
        biased;
        first = timeout(idle_max, speaks_http2(&mut stream)) => match first {
            Ok(speaks_http2) => speaks_http2?,
            Err(_) => return Ok(()),
        },
        // Browsers open connections in advance: those must not hold up the end.
        () = listener.closing.cancelled() => return Ok(()),
    };
    let service = service_fn(move |request| {
        let arrival = arrival.clone();
        // Boxed, because hyper moves it about and keeps room for one as long as the connection lives.
        Box::pin(async move { Ok::<_, Infallible>(stack::serve(&arrival, request).await) })
    });
    if speaks_http2 {
        let mut builder = http2::Builder::new(LocalSpawn);
        builder
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_header_list_size(u32::try_from(listener.config.head_size_max).unwrap_or(u32::MAX))
            .keep_alive_interval(idle_max);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let closing = listener.closing.cancelled();
        until_closing(&listener, connection, closing, |connection| connection.graceful_shutdown()).await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(idle_max)
            .max_header_size(listener.config.head_size_max)
            .max_buf_size(listener.config.head_size_max.max(64 * 1024));
        let connection = builder.serve_connection(TokioIo::new(Polite::new(stream)), service).with_upgrades();
        let closing = listener.closing.cancelled();
        until_closing(&listener, connection, closing, |connection| connection.graceful_shutdown()).await
    }
}

/// Drives a connection; when it is to close, lets it end with the requests it has. Once the listener closes, that is within the grace.
pub(crate) async fn until_closing<C>(
    listener: &Listener,
    connection: C,
    closing: impl Future<Output = ()>,
    shut_down: impl FnOnce(Pin<&mut C>),
) -> Result<(), Failure>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return Ok(ended?),
        () = seldom(closing) => shut_down(connection.as_mut()),
    }
    tokio::select! {
        biased;
        ended = connection.as_mut() => return Ok(ended?),
        () = seldom(listener.closing.cancelled()) => {}
    }
    match timeout(listener.config.stop_grace, connection).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Err("it was cut at the end of the grace".into()),
    }
}

/// Whether the caller begins with HTTP/2's preface (RFC 9113, section 3.4). Looks without reading, so that the connection
/// needs no wrapper. No HTTP/1 method begins with `PRI`.
pub(crate) async fn speaks_http2(stream: &mut TcpStream) -> io::Result<bool> {
    const START: &[u8] = b"PRI";
    let mut start = [0; START.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        match &start[..seen] {
            [] => return Ok(false),
            START => return Ok(true),
            other if !START.starts_with(other) => return Ok(false),
            // A caller that sends its first letters one by one.
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
}
