//! An answer's body, read from its connection by whoever wants it: what the caller does not take stays with the instance.

use super::{WireError, answer::Framing, connection::Connection, upload};
use crate::net::TcpStream;
use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The body.
pub(crate) struct Body {
    connection: Rc<Connection>,
    framing: Framing,
    persists: bool,
    /// What has come and was not taken yet.
    data: Bytes,
    trailers: Option<Box<HeaderMap>>,
    ended: bool,
}

impl Body {
    /// What follows a head, of which `rest` has come with it.
    pub(super) fn begin(
        connection: Rc<Connection>,
        framing: Framing,
        persists: bool,
        status: StatusCode,
        rest: Bytes,
    ) -> Result<Self, WireError> {
        let mut body = Self { connection, framing, persists, data: Bytes::new(), trailers: None, ended: false };
        if status == StatusCode::SWITCHING_PROTOCOLS {
            body.ended = true;
            body.data = rest;
            return Ok(body);
        }
        if matches!(body.framing, Framing::Length(0)) || !rest.is_empty() {
            body.take(&rest, |range| rest.slice(..range))?;
        }
        Ok(body)
    }

    /// Takes what came; `own` makes the first so many bytes of it ours.
    fn take(&mut self, came: &[u8], own: impl FnOnce(usize) -> Bytes) -> Result<(), WireError> {
        let used = match &mut self.framing {
            Framing::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(came.len());
                *left -= used as u64;
                self.ended = *left == 0;
                self.data = own(used);
                used
            }
            Framing::Chunks(chunks) => {
                let mut data = Vec::with_capacity(came.len());
                let used = chunks.take(came, &mut data).map_err(WireError::Malformed)?;
                self.data = data.into();
                if chunks.is_done() {
                    self.ended = true;
                    let trailers = chunks.trailers().map_err(WireError::Malformed)?;
                    self.trailers = upload::trailing(trailers).map(Box::new);
                }
                used
            }
            Framing::Close => {
                self.data = own(came.len());
                came.len()
            }
        };
        if self.ended {
            // What follows was not asked for: nobody knows what it would answer.
            self.connection.answered(self.persists && used == came.len());
        }
        Ok(())
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        loop {
            if !self.data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
            }
            if self.ended {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))));
            }
            let connection = Rc::clone(&self.connection);
            let read = connection.poll_read(cx, |came| match came {
                [] if matches!(self.framing, Framing::Close) => {
                    self.ended = true;
                    Ok(())
                }
                [] => Err(WireError::Incomplete),
                came => self.take(came, |used| Bytes::copy_from_slice(&came[..used])),
            });
            if let Err(error) = ready!(read).flatten() {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended && self.data.is_empty() && self.trailers.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let here = self.data.len() as u64;
        match &self.framing {
            Framing::Length(left) => SizeHint::with_exact(here + left),
            // Also when all of it is here: trailers can only follow chunks.
            Framing::Chunks(_) | Framing::Close => SizeHint::default(),
        }
    }

    /// The connection, of an answer that switches protocols.
    pub(crate) fn switch(self) -> Option<Switched> {
        Some(Switched { io: self.connection.leave()?, rest: self.data })
    }
}

/// A connection that has switched protocols.
pub(crate) struct Switched {
    io: TcpStream,
    /// What has come with the answer already.
    rest: Bytes,
}

impl AsyncRead for Switched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Switched {
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
