//! The two bodies of a request. Neither is ever collected.
//!
//! [`Reply`] goes to the caller: the instance's frames as they come, or a short text of ours. It carries what must end with it (the
//! instance's ticket, the connection, the counters), so that dropping it, at whatever moment, cancels the upstream call.
//!
//! [`Source`] holds the caller's body, and each try gets an [`Outbound`] from it. While it may have to be sent again, the frames that
//! went by are kept, up to a limit; beyond it the body goes out once.

use crate::{
    flight::Flight,
    gateway::{Broke, Upload},
    grpc,
    http1::{self, WireError},
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Why an answer ended before it was complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("the instance broke off its answer")]
    Upstream(#[source] InboundError),
    #[error("the deadline passed while the answer was under way")]
    Deadline,
    #[error("the answer was silent for longer than the policy lets it")]
    Idle,
}

impl Cut {
    fn grpc(&self) -> u8 {
        match self {
            Self::Upstream(_) => grpc::status::UNAVAILABLE,
            Self::Deadline | Self::Idle => grpc::status::DEADLINE_EXCEEDED,
        }
    }
}

/// Why an instance's body broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboundError {
    #[error(transparent)]
    Live(LiveError),
    #[error("an injected fault cut it")]
    Injected,
}

/// Why an exchange with an instance broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiveError {
    #[error(transparent)]
    Http1(#[from] WireError),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// An instance's body.
pub(crate) enum Live {
    Http1(http1::body::Body),
    Http2(Incoming),
}

impl Live {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        match self {
            Self::Http1(body) => body.poll_frame(cx).map_err(LiveError::Http1),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(LiveError::Http2),
        }
        .map_err(InboundError::Live)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}

/// An instance's body, or one in its place.
pub(crate) enum Inbound {
    Live(Live),
    Made(Option<Bytes>),
    Tampered(Box<Tampered>),
}

/// An instance's body under an injected fault.
pub(crate) struct Tampered {
    incoming: Live,
    /// How many bytes may still pass.
    left: Option<u64>,
    rate: Option<u64>,
    /// What has come and has not passed yet, because of the rate.
    held: Bytes,
    /// Until when nothing passes.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Tampered {
    pub(crate) fn new(incoming: Live, left: Option<u64>, rate: Option<u64>) -> Self {
        Self { incoming, left, rate, held: Bytes::new(), pause: None }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        if self.left == Some(0) {
            return Poll::Ready(Some(Err(InboundError::Injected)));
        }
        if self.held.is_empty() {
            let Some(frame) = ready!(self.incoming.poll_frame(cx)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => self.held = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let mut passing = self.held.len();
        if let Some(rate) = self.rate {
            // Ten pieces a second.
            passing = passing.min(usize::try_from(rate.div_ceil(10)).unwrap_or(usize::MAX));
            let takes = Duration::from_secs_f64(passing as f64 / rate as f64);
            ready!(self.pause.get_or_insert_with(|| Box::pin(sleep(takes))).as_mut().poll(cx));
            self.pause = None;
        }
        if let Some(left) = &mut self.left {
            passing = passing.min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= passing as u64;
        }
        Poll::Ready(Some(Ok(Frame::data(self.held.split_to(passing)))))
    }

    /// What is cut is never complete.
    fn is_end_stream(&self) -> bool {
        self.left != Some(0) && self.held.is_empty() && self.incoming.is_end_stream()
    }
}

impl Inbound {
    pub(crate) fn made(text: impl Into<Bytes>) -> Self {
        Self::Made(Some(text.into()).filter(|text: &Bytes| !text.is_empty()))
    }

    /// The connection of an answer that switches protocols.
    pub(crate) fn switch(self) -> Option<http1::body::Switched> {
        match self {
            Self::Live(Live::Http1(body)) => body.switch(),
            Self::Tampered(tampered) => Self::Live(tampered.incoming).switch(),
            Self::Live(Live::Http2(_)) | Self::Made(_) => None,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        match self {
            Self::Live(incoming) => incoming.poll_frame(cx),
            Self::Made(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Tampered(tampered) => tampered.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Live(incoming) => incoming.is_end_stream(),
            Self::Made(text) => text.is_none(),
            Self::Tampered(tampered) => tampered.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Live(incoming) => incoming.size_hint(),
            Self::Made(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Tampered(_) => SizeHint::default(),
        }
    }
}

/// What the caller gets.
pub(crate) enum Reply {
    /// A text of ours, or nothing.
    Made(Option<Bytes>),
    /// An instance's answer.
    Streamed(Box<Streamed>),
}

/// An instance's answer and what ends with it.
pub(crate) struct Streamed {
    incoming: Inbound,
    /// Gone as soon as the answer is complete.
    flight: Option<Flight>,
    /// The caller is told of a cut in trailers, as gRPC has it, rather than by a broken stream.
    tells_in_trailers: bool,
    told: bool,
}

impl Reply {
    pub(crate) fn made(text: impl Into<Bytes>) -> Self {
        Self::Made(Some(text.into()).filter(|text: &Bytes| !text.is_empty()))
    }

    pub(crate) fn streamed(incoming: Inbound, flight: Flight, tells_in_trailers: bool) -> Self {
        let mut streamed = Streamed { incoming, flight: Some(flight), tells_in_trailers, told: false };
        streamed.end_if_complete();
        Self::Streamed(Box::new(streamed))
    }
}

impl Streamed {
    fn end_if_complete(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(flight) = self.flight.take()
        {
            flight.complete();
        }
    }

    /// Ends the answer, which is not complete.
    fn cut(&mut self, cut: Cut) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(flight) = self.flight.take() {
            flight.broken(&cut);
        }
        if !self.tells_in_trailers {
            return Poll::Ready(Some(Err(cut)));
        }
        self.told = true;
        Poll::Ready(Some(Ok(Frame::trailers(grpc::trailers(cut.grpc(), &cut.to_string())))))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.told {
            return Poll::Ready(None);
        }
        match self.incoming.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(flight) = &mut self.flight {
                    flight.passed(&frame);
                }
                self.end_if_complete();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                if let Some(flight) = self.flight.take() {
                    flight.complete();
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => self.cut(Cut::Upstream(error)),
            Poll::Pending => {
                let Some(flight) = &mut self.flight else { return Poll::Pending };
                let cut = ready!(flight.poll_limit(cx));
                self.cut(cut)
            }
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // A server that knows the length may not ask for the end.
        self.end_if_complete();
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Made(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Streamed(streamed) => streamed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Made(text) => text.is_none(),
            Self::Streamed(streamed) => streamed.told || streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Made(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Streamed(streamed) => streamed.incoming.size_hint(),
        }
    }
}

/// The caller's body broke off, or was cut.
#[derive(Debug, thiserror::Error)]
#[error("the caller's request body broke off")]
pub(crate) struct CallerBroke(#[source] Option<Broke<hyper::Error>>);

impl CallerBroke {
    /// It is not as long as it was said to be.
    pub(crate) fn lied() -> Self {
        Self(None)
    }
}

/// The caller's body, from which each try gets its own.
#[derive(Clone)]
pub(crate) struct Source(Option<Rc<RefCell<Kept>>>);

struct Kept {
    incoming: Upload<Incoming>,
    frames: Vec<Part>,
    bytes: usize,
    limit: usize,
    /// Everything that came so far is in `frames`.
    intact: bool,
    ended: bool,
    /// Which try may read. An older one that has not been dropped yet reads nothing more.
    turn: u32,
    hint: SizeHint,
}

#[derive(Clone)]
enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Source {
    /// Keeps up to `limit` bytes for sending them again; 0 when it must not be sent again.
    pub(crate) fn new(incoming: Upload<Incoming>, limit: usize) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        let hint = incoming.size_hint();
        Self(Some(Rc::new(RefCell::new(Kept {
            incoming,
            frames: Vec::new(),
            bytes: 0,
            limit,
            intact: true,
            ended: false,
            turn: 0,
            hint,
        }))))
    }

    /// Whether all of it can be sent (again).
    pub(crate) fn is_intact(&self) -> bool {
        self.0.as_ref().is_none_or(|kept| kept.borrow().intact)
    }

    /// Whether all of it has come and is kept, so that two tries can send it at the same time.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.as_ref().is_none_or(|kept| {
            let kept = kept.borrow();
            kept.intact && (kept.ended || kept.incoming.is_end_stream())
        })
    }

    /// The body for the next try. Ends the turn of the one before.
    pub(crate) fn next_try(&self) -> Outbound {
        Outbound(self.0.as_ref().map(|kept| {
            kept.borrow_mut().turn += 1;
            (Rc::clone(kept), kept.borrow().turn, 0)
        }))
    }

    /// No further try will follow: what was kept is freed.
    pub(crate) fn seal(&self) {
        if let Some(kept) = &self.0 {
            let mut kept = kept.borrow_mut();
            kept.limit = 0;
            if kept.frames.is_empty() {
                return;
            }
            kept.intact = false;
        }
    }
}

/// What one try sends: where it is in the kept frames, then live.
pub(crate) struct Outbound(Option<(Rc<RefCell<Kept>>, u32, usize)>);

impl Body for Outbound {
    type Data = Bytes;
    type Error = CallerBroke;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallerBroke>>> {
        let Some((kept, turn, position)) = &mut self.get_mut().0 else { return Poll::Ready(None) };
        let kept = &mut *kept.borrow_mut();
        // What is kept may be read by two tries at once; what is still to come, by the latest only.
        if kept.turn != *turn && !(kept.intact && kept.ended) {
            return Poll::Ready(Some(Err(CallerBroke(None))));
        }
        if let Some(part) = kept.frames.get(*position) {
            *position += 1;
            let frame = match part.clone() {
                Part::Data(bytes) => Frame::data(bytes),
                Part::Trailers(trailers) => Frame::trailers(trailers),
            };
            if !kept.intact && *position == kept.frames.len() {
                kept.frames = Vec::new();
                *position = 0;
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        if kept.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut kept.incoming).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(broke)) => return Poll::Ready(Some(Err(CallerBroke(Some(broke))))),
            None => {
                kept.ended = true;
                return Poll::Ready(None);
            }
        };
        if kept.keep(&frame) {
            *position += 1
        } else {
            *position = 0
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let Some((kept, _, position)) = &self.0 else { return true };
        let kept = kept.borrow();
        *position >= kept.frames.len() && (kept.ended || kept.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            // Asked once, before the first frame.
            Some((kept, ..)) => kept.borrow().hint,
        }
    }
}

impl Kept {
    /// Keeps a frame if everything can be kept; otherwise lets go of all.
    fn keep(&mut self, frame: &Frame<Bytes>) -> bool {
        let part = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Part::Data(data.clone()),
            (_, Some(trailers)) => Part::Trailers(trailers.clone()),
            _ => return self.intact,
        };
        if let Part::Data(data) = &part {
            self.bytes += data.len();
        }
        if !self.intact || self.bytes > self.limit {
            self.intact = false;
            self.frames = Vec::new();
            return false;
        }
        self.frames.push(part);
        true
    }
}
