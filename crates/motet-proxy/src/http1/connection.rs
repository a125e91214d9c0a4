//! One connection to an instance, which serves one request after the other.
//!
//! It is driven by whoever has its request: first the future that waits for the answer's head, then the answer's body. Only a request
//! body that is still under way when the answer begins gets a task of its own, because the caller may not read the one before it has
//! written the other.

use super::{
    WireError,
    answer::{self, HEAD_MAX},
    body::Body,
    upload::Upload,
};
use crate::net::TcpStream;
use bytes::BytesMut;
use http::{Method, Response, StatusCode};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::{JoinHandle, spawn_local},
    time::timeout,
};

/// How much is read at once.
const SPACE: usize = 64 * 1024;

/// How many answers that only announce another one (RFC 9110, section 15.2) come before it.
const ANNOUNCED_MAX: u32 = 32;

thread_local! {
    /// Where a worker reads to: what a connection has not read yet needs no memory, what it has read is copied to as much as it needs.
    static SPACES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Where a worker writes heads to.
    static HEADS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty space for a request's head.
pub(crate) fn head_space() -> Vec<u8> {
    HEADS.take()
}

/// A connection.
pub(crate) struct Connection {
    /// Gone when it was closed, or switched to another protocol.
    io: RefCell<Option<TcpStream>>,
    /// The last answer is complete, and another request may follow.
    is_free: Cell<bool>,
    /// A request was not sent to its end.
    is_broken: Cell<bool>,
    /// Sends the rest of a request whose answer has begun.
    uploading: RefCell<Option<JoinHandle<()>>>,
}

impl Connection {
    pub(crate) fn new(io: TcpStream) -> Rc<Self> {
        Rc::new(Self {
            io: RefCell::new(Some(io)),
            is_free: Cell::new(true),
            is_broken: Cell::new(false),
            uploading: RefCell::default(),
        })
    }

    /// Sends a request and waits for the head of its answer. An upload that was not touched can be sent over another connection.
    pub(crate) async fn exchange(
        self: &Rc<Self>,
        upload: &mut Option<Upload>,
        method: &Method,
    ) -> Result<Response<Body>, WireError> {
        self.is_free.set(false);
        let mut waiting = Waiting { partial: BytesMut::new(), announced: 0, cut: None };
        let response = poll_fn(|cx| {
            let upload = upload.as_mut().expect("it is there until its answer is");
            waiting.poll(self, upload, method, cx)
        })
        .await?;
        let upload = upload.take().expect("it is there until its answer is");
        if upload.is_done() {
            HEADS.set(upload.into_space());
        } else if waiting.cut.is_none() {
            self.carry_on(upload);
        }
        Ok(response)
    }

    fn carry_on(self: &Rc<Self>, mut upload: Upload) {
        let connection = Rc::clone(self);
        let task = spawn_local(async move {
            if let Err(error) = poll_fn(|cx| upload.poll(&connection, cx)).await {
                tracing::debug!(%error, "a request that was answered already was not sent to its end");
                // What follows would be taken for the rest of it.
                connection.is_broken.set(true);
            }
        });
        self.uploading.replace(Some(task));
    }

    /// The answer is complete; whether another may follow is known now.
    pub(super) fn answered(&self, persists: bool) {
        self.is_free.set(persists);
    }

    /// Nothing is under way, and nothing was left unsaid.
    pub(crate) fn is_free(&self) -> bool {
        self.is_free.get() && !self.is_broken.get() && !self.is_uploading()
    }

    /// Nobody has closed it, and nothing has come that was not asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut io = self.io.borrow_mut();
        let Some(io) = io.as_mut() else { return false };
        let mut byte = [0];
        Pin::new(io).poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Waits until the request is sent to its end too. True when another can follow.
    pub(crate) async fn settle(&self, limit: Duration) -> bool {
        let uploading = self.uploading.take();
        if let Some(mut task) = uploading
            && timeout(limit, &mut task).await.is_err()
        {
            task.abort();
            self.is_broken.set(true);
        }
        self.is_free()
    }

    /// Whether a request is still being sent.
    pub(crate) fn is_uploading(&self) -> bool {
        self.uploading.borrow().as_ref().is_some_and(|task| !task.is_finished())
    }

    /// Closes it, whatever is under way.
    pub(crate) fn close(&self) {
        if let Some(task) = self.uploading.take() {
            task.abort();
        }
        self.io.take();
    }

    /// It serves another protocol from now on.
    pub(super) fn leave(&self) -> Option<TcpStream> {
        self.io.take()
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.io.borrow_mut().as_mut() {
            Some(io) => Pin::new(io).poll_write_vectored(cx, slices),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Reads what has come and hands it on; an empty slice means that nothing more will.
    pub(super) fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<T, WireError>> {
        let mut io = self.io.borrow_mut();
        let Some(io) = io.as_mut() else {
            return Poll::Ready(Err(WireError::Read(io::ErrorKind::NotConnected.into())));
        };
        SPACES.with_borrow_mut(|space| {
            if space.is_empty() {
                space.resize(SPACE, 0);
            }
            let mut buffer = ReadBuf::new(space);
            ready!(Pin::new(io).poll_read(cx, &mut buffer)).map_err(WireError::Read)?;
            Poll::Ready(Ok(take(buffer.filled())))
        })
    }
}

/// An exchange before its answer's head is there.
struct Waiting {
    /// What has come of it.
    partial: BytesMut,
    announced: u32,
    /// Why the rest of the request could not be sent. The instance may have answered before it closed (RFC 9112, section 9.6).
    cut: Option<WireError>,
}

impl Waiting {
    fn poll(
        &mut self,
        connection: &Rc<Connection>,
        upload: &mut Upload,
        method: &Method,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Body>, WireError>> {
        if self.cut.is_none() && !upload.is_done() {
            match upload.poll(connection, cx) {
                Poll::Ready(Err(error @ WireError::Write(_))) if upload.is_touched() => self.cut = Some(error),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        loop {
            let partial = &mut self.partial;
            let read = connection.poll_read(cx, |came| {
                partial.extend_from_slice(came);
                (came.is_empty(), came.contains(&b'\n'))
            });
            match ready!(read) {
                Ok((true, _)) => return Poll::Ready(Err(self.ended())),
                Ok((false, ends_line)) => {
                    // A head ends with a line: one that comes letter by letter is not read anew at each of them.
                    if ends_line && let Some(response) = self.take(connection, method)? {
                        return Poll::Ready(Ok(response));
                    }
                    if self.partial.len() > HEAD_MAX {
                        return Poll::Ready(Err(WireError::Malformed("its head is too long")));
                    }
                }
                Err(error) => return Poll::Ready(Err(self.cut.take().unwrap_or(error))),
            }
        }
    }

    fn ended(&mut self) -> WireError {
        let plain = if self.partial.is_empty() { WireError::NoAnswer } else { WireError::Incomplete };
        self.cut.take().unwrap_or(plain)
    }

    /// Reads the head, if it is complete.
    fn take(&mut self, connection: &Rc<Connection>, method: &Method) -> Result<Option<Response<Body>>, WireError> {
        while !self.partial.is_empty() {
            let bytes = self.partial.split().freeze();
            let Some(answer) = answer::read(&bytes, method)? else {
                self.partial = bytes.into();
                return Ok(None);
            };
            let rest = bytes.slice(answer.length..);
            let status = answer.response.status();
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                self.announced += 1;
                if self.announced > ANNOUNCED_MAX {
                    return Err(WireError::Malformed("it announces and never answers"));
                }
                self.partial = rest.into();
                continue;
            }
            let persists = answer.persists && self.cut.is_none();
            let body = Body::begin(Rc::clone(connection), answer.framing, persists, status, rest)?;
            return Ok(Some(answer.response.map(|()| body)));
        }
        Ok(None)
    }
}
