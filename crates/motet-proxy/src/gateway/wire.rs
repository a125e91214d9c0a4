//! A caller's connection at the gateway, with the limits that only the bytes show: a head that trickles, silence between requests, an
//! answer that nobody takes. It stands between hyper and the socket, because hyper has one timer for the first two and none for the third.
//!
//! What a connection is doing is known from two sides, and kept in its [`Pulse`]: bytes come in here, requests begin and end in the service.
//!
//! It always takes its time to close ([`crate::farewell`]): callers from outside are far away, and what they send is seldom there already.

use super::limits::GatewayLimits;
use crate::farewell::Farewell;
use parking_lot::Mutex;
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};

/// What a connection is doing. Shared by its wire and its requests, all on one thread; locked only because an upgraded connection has to
/// be `Send`.
#[derive(Debug)]
pub(crate) struct Pulse {
    state: Mutex<State>,
    head_timeout: Duration,
    idle: Duration,
    /// HTTP/2 talks of other things too between requests (pings, windows), and has to be told goodbye.
    http2: bool,
    expired: Notify,
}

#[derive(Debug)]
struct State {
    under_way: u32,
    /// Since when there has been no request, or since its head's first byte.
    since: Instant,
    in_head: bool,
    /// The bytes are no HTTP any more.
    upgraded: bool,
}

/// A request that is under way on a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Pulse>);

impl Pulse {
    pub(crate) fn new(limits: &GatewayLimits, http2: bool) -> Arc<Self> {
        let state = State { under_way: 0, since: Instant::now(), in_head: false, upgraded: false };
        Arc::new(Self {
            state: Mutex::new(state),
            head_timeout: limits.head_timeout,
            idle: limits.idle,
            http2,
            expired: Notify::new(),
        })
    }

    /// A request's head is complete.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.state.lock();
        state.under_way += 1;
        state.in_head = false;
        UnderWay(Arc::clone(self))
    }

    /// From now on the bytes are somebody else's.
    pub(crate) fn upgraded(&self) {
        self.state.lock().upgraded = true;
    }

    /// Ready when an HTTP/2 connection has been without a request for too long.
    pub(crate) async fn expired(&self) {
        self.expired.notified().await;
    }

    fn came(&self) {
        let mut state = self.state.lock();
        if state.under_way == 0 && !state.in_head && !self.http2 {
            state.in_head = true;
            state.since = Instant::now();
        }
    }

    /// Until when the caller is waited for, if it is the caller's turn.
    fn until(&self) -> Option<Instant> {
        let state = self.state.lock();
        let limit = if state.in_head { self.head_timeout } else { self.idle };
        (state.under_way == 0 && !state.upgraded).then(|| state.since + limit)
    }

    fn is_in_head(&self) -> bool {
        self.state.lock().in_head
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.under_way -= 1;
        state.since = Instant::now();
    }
}

/// See the module.
pub(crate) struct Wire<S> {
    stream: S,
    pulse: Arc<Pulse>,
    stalled: Duration,
    /// Said to a caller whose head takes too long.
    late: Arc<[u8]>,
    is_late: bool,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

enum Closing {
    No,
    /// Everything has been said; what still comes is thrown away.
    Lingers(Farewell),
    Done,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, pulse: Arc<Pulse>, stalled: Duration, late: Arc<[u8]>) -> Self {
        Self { stream, pulse, stalled, late, is_late: false, reading: None, writing: None, closing: Closing::No }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Ready when the caller has been waited for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(until) = self.pulse.until() else { return Poll::Pending };
            let timer = self.reading.get_or_insert_with(|| Box::pin(sleep_until(until)));
            // A timer that is early is left as it is: there is one per connection, and a request would set it twice.
            if until < timer.deadline() {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(cx));
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }

    /// Whether a write that is waiting has waited too long.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let until = Instant::now() + self.stalled;
        let timer = self.writing.get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing of its answer")))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_late {
            // As if the caller had closed, once what it was told has had the time to arrive: hyper ends the connection then.
            return Pin::new(this).poll_shutdown(cx).map(|_| Ok(()));
        }
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before {
                this.pulse.came();
            }
            return Poll::Ready(read);
        }
        ready!(this.poll_late(cx));
        if this.pulse.http2 {
            this.pulse.expired.notify_one();
            return Poll::Pending;
        }
        if !this.pulse.is_in_head() {
            // As if the caller had closed.
            return Poll::Ready(Ok(()));
        }
        // As much as fits at once, which is all of it unless the caller has not taken the last answer either.
        let _ = Pin::new(&mut this.stream).poll_write(cx, &this.late);
        this.is_late = true;
        Pin::new(this).poll_shutdown(cx).map(|_| Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.poll_stalled(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.poll_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.poll_stalled(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::Done => return Poll::Ready(Ok(())),
                Closing::No => {
                    let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
                    ready!(this.poll_stalled(cx, shut))?;
                    this.closing = Closing::Lingers(Farewell::new());
                }
                Closing::Lingers(farewell) => {
                    ready!(farewell.poll(&mut this.stream, cx));
                    this.closing = Closing::Done;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn wire(http2: bool) -> (Wire<DuplexStream>, DuplexStream, Arc<Pulse>) {
        let limits = GatewayLimits {
            head_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            ..GatewayLimits::default()
        };
        let pulse = Pulse::new(&limits, http2);
        let (ours, theirs) = duplex(64);
        (Wire::new(ours, Arc::clone(&pulse), Duration::from_secs(30), (*b"late").into()), theirs, pulse)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_byte_however_it_trickles() {
        let (mut wire, mut caller, _pulse) = wire(false);
        let started = Instant::now();
        let trickle = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            while caller.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let mut read = Vec::new();
        tokio::select! {
            end = wire.read_to_end(&mut read) => drop(end.unwrap()),
            () = trickle => unreachable!(),
        }
        // Two seconds more, in which the caller can take what it is told.
        assert_eq!(started.elapsed().as_secs(), 42);
        let mut said = [0; 4];
        caller.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"late");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_requests_ends_the_connection_without_a_word_and_during_one_does_not() {
        let (mut wire, mut caller, pulse) = wire(false);
        let under_way = pulse.begin();
        let busy = tokio::time::timeout(Duration::from_secs(3600), wire.read_u8()).await;
        assert!(busy.is_err());
        drop(under_way);
        let started = Instant::now();
        assert!(wire.read_u8().await.is_err());
        assert_eq!(started.elapsed().as_secs(), 60);
        drop(wire);
        let mut said = Vec::new();
        caller.read_to_end(&mut said).await.unwrap();
        assert!(said.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_http2_says_between_requests_is_no_head_and_does_not_keep_it() {
        let (mut wire, mut caller, pulse) = wire(true);
        let pings = async {
            loop {
                caller.write_all(b"ping").await.unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        };
        let started = Instant::now();
        let mut read = Vec::new();
        tokio::select! {
            _ = wire.read_to_end(&mut read) => unreachable!(),
            () = pings => unreachable!(),
            () = pulse.expired() => {}
        }
        assert_eq!(started.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgraded_connection_may_be_silent() {
        let (mut wire, _caller, pulse) = wire(false);
        pulse.upgraded();
        assert!(tokio::time::timeout(Duration::from_secs(3600), wire.read_u8()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_takes_nothing_is_cut_and_one_who_takes_little_is_not() {
        let (mut wire, mut caller, _pulse) = wire(false);
        let slowly = async {
            let mut taken = [0; 16];
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                caller.read_exact(&mut taken).await.unwrap();
            }
        };
        let answer = [0; 16 * 60 + 64];
        let (written, ()) = tokio::join!(wire.write_all(&answer), slowly);
        written.unwrap();
        let started = Instant::now();
        assert_eq!(wire.write_all(&answer).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_reads_on_for_a_moment_and_no_longer() {
        let (mut wire, mut caller, _pulse) = wire(false);
        let uploads = async {
            while caller.write_all(&[0; 64]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let started = Instant::now();
        tokio::select! {
            closed = wire.shutdown() => closed.unwrap(),
            () = uploads => unreachable!("it is read until it is closed"),
        }
        assert_eq!(started.elapsed().as_secs(), 2);
    }
}
