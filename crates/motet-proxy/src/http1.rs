//! Our side of HTTP/1 towards an instance (RFC 9112), driven by the request that it serves.
//!
//! Ours rather than hyper's client, which gives each connection a task of its own: a request then crosses two channels and wakes four
//! times, most of what a proxy's user time is at low rates, and its header fields are copied for each try. Here the request's own future writes the
//! head from the caller's fields, reads the answer's, and its body reads the rest. What has no request holds no memory but its socket's: bytes are
//! read into a space that all connections of a worker share.
//!
//! The map: [`head`] writes a request's head, [`upload`] sends it with its body, [`answer`] reads an answer's head and decides how its body
//! is framed, [`chunks`] takes chunks apart, [`connection`] drives one exchange, [`body`] is the answer's body.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod chunks;
pub(crate) mod connection;
pub(crate) mod head;
pub(crate) mod upload;

use crate::body::CallerBroke;
use std::io;

/// Why an exchange broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the request could not be written")]
    Write(#[source] io::Error),
    #[error("the answer could not be read")]
    Read(#[source] io::Error),
    #[error("connection closed before an answer came")]
    NoAnswer,
    #[error("connection closed before the answer was complete")]
    Incomplete,
    #[error("the answer is not HTTP/1.1: {0}")]
    Unreadable(httparse::Error),
    #[error("the answer is not HTTP/1.1: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Caller(CallerBroke),
}
