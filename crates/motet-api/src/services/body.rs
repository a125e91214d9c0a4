//! Bodies: read within bounds of size, time and memory, and answered.

use super::{Door, Refusal, patience::Patience};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is sent back: most answers are small and known, some have no end.
pub(crate) type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// What comes with a request, and the timer of the connection that it comes by.
pub(crate) struct Upload {
    incoming: Incoming,
    patience: Patience,
}

impl Upload {
    pub(crate) fn new(incoming: Incoming, patience: Patience) -> Self {
        Self { incoming, patience }
    }

    /// The body alone, for who waits for it in a way of its own.
    pub(crate) fn into_incoming(self) -> Incoming {
        self.incoming
    }
}

/// An answer.
pub(crate) type Response = http::Response<Body>;

/// The unit of the budget, in bytes: a semaphore counts no further than 32 bits at once.
const UNIT: usize = 256;

/// Bodies of up to so many bytes are copied out of the connection's buffer. An event holds its bytes until it is durable; if these were a piece of the
/// buffer, the connection would need a new one of 8 KiB for each request.
const COPIED: usize = 16 * 1024;

/// How many bytes of bodies may be in memory.
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    most: usize,
}

/// A share of the budget; given back when it is dropped.
pub(crate) struct Share(#[expect(dead_code, reason = "held until dropped")] OwnedSemaphorePermit);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let most = bytes.div_ceil(UNIT).max(1);
        Self { units: Arc::new(Semaphore::new(most)), most }
    }

    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.most)).unwrap_or(u32::MAX)
    }

    /// A share now, or the advice to come back.
    pub(crate) fn take(&self, bytes: usize) -> Result<Share, Refusal> {
        let permit = Arc::clone(&self.units).try_acquire_many_owned(self.units(bytes));
        permit.map(Share).map_err(|_| Refusal::Busy { retry_after: Duration::from_secs(1) })
    }

    /// A share as soon as there is one. Nothing only when the process ends.
    pub(crate) async fn wait(&self, bytes: usize) -> Option<Share> {
        Arc::clone(&self.units).acquire_many_owned(self.units(bytes)).await.ok().map(Share)
    }
}

/// Reads a body of at most `limit` bytes. The share is to be kept for as long as the bytes are.
pub(crate) async fn read(door: &Door, body: Upload, limit: usize) -> Result<(Bytes, Share), Refusal> {
    let Upload { incoming, patience } = body;
    let expected = incoming.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if expected.is_some_and(|bytes| bytes > limit) {
        return Err(Refusal::TooLarge { limit });
    }
    let share = door.budget.take(expected.unwrap_or(limit))?;
    let deadline = door.options.body_deadline;
    let read = patience.within(deadline, Limited::new(incoming, limit).collect());
    match read.await {
        Ok(Ok(collected)) => {
            let bytes = collected.to_bytes();
            Ok((if bytes.len() <= COPIED { Bytes::copy_from_slice(&bytes) } else { bytes }, share))
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge { limit }),
        Ok(Err(error)) => Err(Refusal::Unreadable(format!("the body ended early: {error}"))),
        Err(_) => Err(Refusal::TooSlow(deadline)),
    }
}

/// An answer with a body.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = http::Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer without one.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = http::Response::new(Either::Left(Full::new(Bytes::new())));
    *response.status_mut() = status;
    response
}

/// An answer that goes on for as long as the stream does.
pub(crate) fn streaming(
    content_type: &'static str,
    chunks: impl futures_util::Stream<Item = Bytes> + Send + 'static,
) -> Response {
    let frames = futures_util::StreamExt::map(chunks, |chunk| Ok(Frame::data(chunk)));
    let mut response = http::Response::new(Either::Right(StreamBody::new(frames).boxed_unsync()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
