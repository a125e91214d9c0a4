//! One caller's connection at the gateway: TLS where it is spoken, HTTP/1.1 or HTTP/2, within the limits.
//!
//! What HTTP/2 lets a caller do cheaply and a server pay for has a bound each: streams at once, streams that are opened and reset at once
//! (CVE-2023-44487), errors that make us reset (CVE-2025-8671), header lists, and header blocks in endless frames (CVE-2024-27316, bounded by
//! the `h2` crate itself).

use super::{
    Gate,
    wire::{Pulse, UnderWay, Wire},
};
use crate::{
    body::{Cut, Reply},
    listener::{Arrival, Failure, speaks_http2, until_closing},
    net::TcpStream,
    stack,
    worker::LocalSpawn,
};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// Serves a connection to its end.
pub(crate) async fn serve(gate: Arc<Gate>, mut arrival: Arrival, mut stream: TcpStream) -> Result<(), Failure> {
    let limits = &gate.limits;
    let _counted = match limits.connections_per_client_max {
        None => None,
        Some(most) => match gate.clients.enter(arrival.peer.ip(), most) {
            Some(counted) => Some(counted),
            // Without a word: an answer would cost more than the connection did.
            None => return Err(format!("{} has {most} connections already", arrival.peer.ip()).into()),
        },
    };
    let listener = Rc::clone(&arrival.listener);
    let Some(endpoint) = &gate.tls else {
        let http2 = tokio::select! {
            biased;
            first = timeout(limits.idle.min(limits.head_timeout), speaks_http2(&mut stream)) => match first {
                Ok(http2) => http2?,
                Err(_) => return Ok(()),
            },
            () = listener.closing.cancelled() => return Ok(()),
        };
        return talk(&gate, arrival, stream, http2).await;
    };
    arrival.scheme = "https";
    let accepted = tokio::select! {
        biased;
        accepted = timeout(limits.head_timeout, endpoint.acceptor().accept(stream)) => accepted,
        () = listener.closing.cancelled() => return Ok(()),
    };
    let stream = accepted.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))??;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    talk(&gate, arrival, stream, http2).await
}

async fn talk<S>(gate: &Arc<Gate>, arrival: Arrival, stream: S, http2: bool) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &gate.limits;
    let listener = Rc::clone(&arrival.listener);
    let pulse = Pulse::new(limits, http2);
    let io = TokioIo::new(Wire::new(stream, Arc::clone(&pulse), limits.stalled, Arc::clone(&gate.late)));
    let beat = Arc::clone(&pulse);
    let service = service_fn(move |request| {
        let arrival = arrival.clone();
        let under_way = beat.begin();
        let beat = Arc::clone(&beat);
        Box::pin(async move {
            let response = stack::serve(&arrival, request).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                beat.upgraded();
            }
            Ok::<_, Infallible>(response.map(|reply| Watched { reply, _under_way: under_way }))
        })
    });
    // Twice what we allow: what lies in between is refused by us, with a document.
    let head_max = limits.head_max.saturating_mul(2).saturating_add(limits.uri_max);
    if http2 {
        let mut builder = http2::Builder::new(LocalSpawn);
        builder
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_header_list_size(u32::try_from(head_max).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits.streams_max)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(128)
            .max_send_buf_size(256 * 1024)
            .keep_alive_interval(limits.idle)
            .keep_alive_timeout(limits.head_timeout);
        let connection = builder.serve_connection(io, service);
        let closing = async {
            tokio::select! {
                biased;
                () = listener.closing.cancelled() => {}
                () = pulse.expired() => {}
            }
        };
        until_closing(&listener, connection, closing, |connection| connection.graceful_shutdown()).await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_header_size(head_max)
            .max_buf_size(head_max.max(64 * 1024));
        if limits.fields_max > 100 {
            // hyper's own limit costs no allocation and stays where it is enough.
            builder.max_headers(limits.fields_max.saturating_mul(2));
        }
        let connection = builder.serve_connection(io, service).with_upgrades();
        let closing = listener.closing.cancelled();
        until_closing(&listener, connection, closing, |connection| connection.graceful_shutdown()).await
    }
}

/// An answer that is under way on its connection until it is dropped.
struct Watched {
    reply: Reply,
    _under_way: UnderWay,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Pin::new(&mut self.get_mut().reply).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.reply.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }
}
