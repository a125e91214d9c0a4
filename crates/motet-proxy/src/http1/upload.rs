//! A request on its way to an instance: its head, then its body as the caller sends it, framed as the head says.
//!
//! Until the first byte of it is written it can be sent over another connection instead, with all that the caller has sent so far.

use super::{WireError, connection::Connection};
use crate::body::{CallerBroke, Outbound};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body;
use std::{
    io::{self, IoSlice, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

/// How the length of a request's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is no body.
    None,
    /// So many bytes.
    Known(u64),
    /// Nobody knows yet.
    Chunks,
}

impl Length {
    /// Of a body of which nothing was read yet.
    pub(crate) fn of(body: &Outbound) -> Self {
        if body.is_end_stream() {
            return Self::None;
        }
        body.size_hint().exact().map_or(Self::Chunks, Self::Known)
    }
}

/// A request that is being sent.
pub(crate) struct Upload {
    /// The head, later what stands before a chunk's data or in place of it.
    front: Vec<u8>,
    /// How much of it is written.
    front_written: usize,
    data: Bytes,
    /// What stands after a chunk's data.
    back: &'static [u8],
    body: Outbound,
    /// What the body still owes.
    owed: Length,
    ended: bool,
    /// A byte of it was written.
    touched: bool,
}

impl Upload {
    pub(crate) fn new(head: Vec<u8>, body: Outbound, length: Length) -> Self {
        let ended = length == Length::None;
        Self { front: head, front_written: 0, data: Bytes::new(), back: b"", body, owed: length, ended, touched: false }
    }

    /// The instance may have seen something of it.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }

    /// All of it is written.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && !self.has_pending()
    }

    /// The space that its head was in, to be used again.
    pub(crate) fn into_space(mut self) -> Vec<u8> {
        self.front.clear();
        self.front
    }

    fn has_pending(&self) -> bool {
        self.front_written < self.front.len() || !self.data.is_empty() || !self.back.is_empty()
    }

    /// Ready when all of it is written.
    pub(crate) fn poll(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        loop {
            // The head and what the caller has sent with it leave in one piece.
            if self.data.is_empty() && !self.ended && (self.front_written == self.front.len() || !self.touched) {
                match self.poll_body(cx) {
                    Poll::Ready(taken) => taken?,
                    Poll::Pending if self.has_pending() => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
            while self.has_pending() {
                let slices = [
                    IoSlice::new(&self.front[self.front_written..]),
                    IoSlice::new(&self.data),
                    IoSlice::new(self.back),
                ];
                match ready!(connection.poll_write(cx, &slices)).map_err(WireError::Write)? {
                    0 => return Poll::Ready(Err(WireError::Write(io::ErrorKind::WriteZero.into()))),
                    written => self.written(written),
                }
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn written(&mut self, count: usize) {
        self.touched = true;
        let of_front = count.min(self.front.len() - self.front_written);
        self.front_written += of_front;
        let of_data = (count - of_front).min(self.data.len());
        self.data.advance(of_data);
        self.back = &self.back[count - of_front - of_data..];
    }

    /// Takes what the caller sends next.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(frame) => frame.map_err(WireError::Caller)?,
            None => return Poll::Ready(self.end(None)),
        };
        Poll::Ready(match frame.into_data() {
            Ok(data) => self.take(data),
            Err(frame) => self.end(frame.trailers_ref()),
        })
    }

    fn take(&mut self, data: Bytes) -> Result<(), WireError> {
        match &mut self.owed {
            Length::Chunks if data.is_empty() => return Ok(()),
            Length::Chunks => {
                self.make_room();
                write!(self.front, "{:x}\r\n", data.len()).expect("a vector takes all that is written to it");
                self.back = b"\r\n";
            }
            Length::Known(left) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                *left = left.checked_sub(length).ok_or(WireError::Caller(CallerBroke::lied()))?;
                self.ended = *left == 0;
            }
            Length::None => return Err(WireError::Caller(CallerBroke::lied())),
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), WireError> {
        self.ended = true;
        match self.owed {
            Length::None | Length::Known(0) => Ok(()),
            Length::Known(_) => Err(WireError::Caller(CallerBroke::lied())),
            Length::Chunks => {
                self.make_room();
                self.front.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| may_trail(name)) {
                    self.front.extend_from_slice(name.as_str().as_bytes());
                    self.front.extend_from_slice(b": ");
                    self.front.extend_from_slice(value.as_bytes());
                    self.front.extend_from_slice(b"\r\n");
                }
                self.front.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }

    /// Lets go of what is written of the front.
    fn make_room(&mut self) {
        if self.front_written == self.front.len() {
            self.front.clear();
            self.front_written = 0;
        }
    }
}

/// What frames, routes or authenticates a message must stand in its head (RFC 9110, section 6.5.1).
pub(crate) fn may_trail(name: &http::HeaderName) -> bool {
    use http::header;
    ![
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::HOST,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
    ]
    .contains(name)
}

/// Those of the fields that may trail, if there are any.
pub(crate) fn trailing(mut fields: HeaderMap) -> Option<HeaderMap> {
    let refused: Vec<_> = fields.keys().filter(|name| !may_trail(name)).cloned().collect();
    for name in refused {
        fields.remove(name);
    }
    (!fields.is_empty()).then_some(fields)
}
