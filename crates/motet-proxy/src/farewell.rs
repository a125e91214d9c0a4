//! How a caller's connection is closed: as RFC 9112, section 9.6, asks.
//!
//! Whoever is answered in the middle of an upload still sends. Closed at once, what arrives would make the operating system reset the connection,
//! and the answer would be lost on its way. So first only our half is closed, and what comes is read and thrown away for a moment.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// How long a connection whose half is closed is read from, and how much.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_MAX: usize = 8 * 1024 * 1024;

/// The moment between closing our half and closing all of it.
pub(crate) struct Farewell {
    /// Nothing as long as nothing had to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
    left: usize,
}

impl Farewell {
    pub(crate) fn new() -> Self {
        Self { timer: None, left: LINGER_MAX }
    }

    /// Reads until the caller has closed too, and no longer than a moment.
    pub(crate) fn poll(&mut self, stream: &mut (impl AsyncRead + Unpin), context: &mut Context<'_>) -> Poll<()> {
        while self.left > 0 {
            match self.read(stream, context) {
                Poll::Ready(0) => break,
                Poll::Ready(_) => {}
                Poll::Pending => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
                    ready!(timer.as_mut().poll(context));
                    break;
                }
            }
        }
        Poll::Ready(())
    }

    /// Whether the caller is in the middle of something: there is more of it to be read.
    fn is_needed(&mut self, stream: &mut (impl AsyncRead + Unpin), context: &mut Context<'_>) -> bool {
        matches!(self.read(stream, context), Poll::Ready(1..))
    }

    /// How many bytes came; none at the end, and when reading fails.
    fn read(&mut self, stream: &mut (impl AsyncRead + Unpin), context: &mut Context<'_>) -> Poll<usize> {
        let mut scratch = [0; 8192];
        let mut buffer = ReadBuf::new(&mut scratch);
        let read = match ready!(Pin::new(stream).poll_read(context, &mut buffer)) {
            Ok(()) => buffer.filled().len(),
            Err(_) => 0,
        };
        self.left = self.left.saturating_sub(read);
        Poll::Ready(read)
    }
}

/// A connection at an edge: closed at once, unless its caller is in the middle of something.
pub(crate) struct Polite<S> {
    stream: S,
    closing: Closing,
}

enum Closing {
    No,
    Lingers(Farewell),
    Done,
}

impl<S> Polite<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, closing: Closing::No }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Polite<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Polite<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.closing, Closing::No) {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            let mut farewell = Farewell::new();
            let is_needed = farewell.is_needed(&mut this.stream, context);
            this.closing = if is_needed { Closing::Lingers(farewell) } else { Closing::Done };
        }
        if let Closing::Lingers(farewell) = &mut this.closing {
            ready!(farewell.poll(&mut this.stream, context));
            this.closing = Closing::Done;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_caller_in_the_middle_of_something_is_listened_to_until_it_has_ended() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Polite::new(ours);
        theirs.write_all(&[0; 64]).await.unwrap();
        let upload = async {
            theirs.write_all(&[0; 100_000]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(theirs);
        };
        let begun = Instant::now();
        let (closed, ()) = tokio::join!(ours.shutdown(), upload);
        closed.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_listened_to_for_long_or_without_end() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Polite::new(ours);
        theirs.write_all(b"and then").await.unwrap();
        let begun = Instant::now();
        ours.shutdown().await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 2);

        let (ours, mut theirs) = duplex(1 << 20);
        let mut ours = Polite::new(ours);
        let endless = async { while theirs.write_all(&[0; 1 << 16]).await.is_ok() {} };
        tokio::select! {
            closed = ours.shutdown() => closed.unwrap(),
            () = endless => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_silent_is_left_at_once() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Polite::new(ours);
        let begun = Instant::now();
        ours.shutdown().await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    }
}
