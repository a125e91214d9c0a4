//! Joins the two connections of a request that was answered with 101: from then on bytes pass both ways (WebSocket, RFC 6455).
//!
//! A connection that has switched has no next request to end with. So it is cut when nothing has passed for the policy's idle time, and
//! when its listener closes it has the stop's grace to end by itself. What one side has ended the other has a moment to end too: a peer
//! that is gone must not be held for the other's sake.

use super::record::Record;
use crate::{flight::Held, http1::body::Switched, listener::Listener};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

/// How long one side may go on when the other has ended.
const LINGER: Duration = Duration::from_secs(3);

/// Passes bytes until one side ends, nothing passes any more, or the listener has closed.
pub(crate) async fn join(listener: Rc<Listener>, caller: OnUpgrade, callee: Switched, record: Record, held: Held) {
    let last = Rc::new(Cell::new(Instant::now()));
    let half = Rc::new(Notify::new());
    let idle = record.rules().policy.idle;
    let pass = async {
        let caller = caller.await.map_err(io::Error::other)?;
        let mut caller = Watched { io: TokioIo::new(caller), last: Rc::clone(&last), half: Rc::clone(&half) };
        let mut callee = Watched { io: callee, last: Rc::clone(&last), half: Rc::clone(&half) };
        copy_bidirectional(&mut caller, &mut callee).await
    };
    let closing = async {
        listener.closing.cancelled().await;
        sleep(listener.grace()).await;
    };
    let lingering = async {
        half.notified().await;
        sleep(LINGER).await;
    };
    tokio::select! {
        biased;
        ended = pass => match ended {
            Ok(_) => record.ended(),
            Err(error) => {
                tracing::debug!(%error, "an upgraded connection broke");
                record.cut();
            }
        },
        () = lingering => record.ended(),
        () = silence(&last, idle) => record.cut(),
        () = closing => record.cut(),
    }
    drop(held);
}

/// Ready when nothing has passed for so long.
async fn silence(last: &Cell<Instant>, limit: Duration) {
    loop {
        let until = last.get() + limit;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

/// Remembers when something came, and tells when nothing more will.
struct Watched<T> {
    io: T,
    last: Rc<Cell<Instant>>,
    half: Rc<Notify>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            self.last.set(Instant::now());
            if buffer.filled().len() == before {
                self.half.notify_one();
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
