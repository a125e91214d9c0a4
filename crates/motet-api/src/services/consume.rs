//! `POST /subscriptions/{name}/stream`: events come, and what became of them goes back, over one connection.
//!
//! Each line of the answer is an event, as [`super::pull`] writes it. Each line of the request settles some: `{"ack":["…"]}`, `{"nack":["…"],"reason":"…"}`,
//! `{"extend":["…"],"by":"30s"}`. At most `?max=` events are with the consumer at once; then it gets no more until it settles some or their leases
//! end. A line of the answer that is no event says what went wrong: `{"over":["…"]}` for leases that had ended, `{"problem":{…}}` for the rest.

use super::{
    Door, Refusal,
    body::{self, Response, Upload},
    lines::Lines,
    port::Leased,
    pull::{EVENTS_MAX, Settling, with_delivery},
    route::count,
    stream::chunk,
};
use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use http::Request;
use hyper::body::Incoming;
use motet_cloudevents::json;
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long one look for events lasts before the consumer's leases are counted again.
const LOOK: Duration = Duration::from_secs(5);

/// How many lines that settle something may be on their way.
const SETTLING: usize = 64;

/// The longest line that settles something.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// A line of the request.
#[derive(Debug, Deserialize)]
struct Word {
    ack: Option<Vec<String>>,
    nack: Option<Vec<String>>,
    extend: Option<Vec<String>>,
    #[serde(default)]
    reason: String,
    delay: Option<String>,
    #[serde(default)]
    permanent: bool,
    by: Option<String>,
}

type Fetched = Result<Vec<Leased>, Refusal>;
type Settled = Result<Vec<String>, Refusal>;

struct Consuming {
    door: Arc<Door>,
    name: Arc<str>,
    max: usize,
    body: Option<Incoming>,
    lines: Lines,
    fetching: Option<BoxFuture<'static, Fetched>>,
    settling: FuturesUnordered<BoxFuture<'static, Settled>>,
    /// What the consumer has, and until when.
    held: HashMap<String, Instant>,
    is_over: bool,
    heard: Instant,
}

pub(crate) fn post(door: &Arc<Door>, name: &str, request: Request<Upload>) -> Result<Response, Refusal> {
    let consuming = Consuming {
        door: Arc::clone(door),
        name: name.into(),
        max: count(&request, "max", 64, EVENTS_MAX)?,
        body: Some(request.into_body().into_incoming()),
        lines: Lines::new(LINE_BYTES_MAX),
        fetching: None,
        settling: FuturesUnordered::new(),
        held: HashMap::new(),
        is_over: false,
        heard: Instant::now(),
    };
    let answers = stream::unfold(consuming, |mut consuming| async move {
        let answer = consuming.next().await?;
        Some((answer, consuming))
    });
    Ok(body::streaming("application/x-ndjson", answers))
}

impl Consuming {
    /// The next lines of the answer; nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.fetch();
            let may_read = self.body.is_some() && self.settling.len() < SETTLING;
            let fetching = self.fetching.as_mut();
            let is_fetching = fetching.is_some();
            let fetched = async {
                match fetching {
                    Some(fetching) => fetching.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(settled) = self.settling.next() => {
                    if let Some(line) = verdict(settled) {
                        return Some(line);
                    }
                }
                chunk = timeout(LOOK, chunk(&mut self.body)), if may_read => match chunk {
                    Ok(Some(chunk)) => {
                        if let Some(line) = self.read(&chunk) {
                            return Some(line);
                        }
                    }
                    Ok(None) => self.hang_up(),
                    // Time to count leases again, and to see whether anybody is there.
                    Err(_) if self.heard.elapsed() > self.door.options.stream_idle => self.hang_up(),
                    Err(_) => {}
                },
                fetched = fetched, if is_fetching => {
                    self.fetching = None;
                    match fetched {
                        Ok(leased) if leased.is_empty() => {}
                        Ok(leased) => return Some(self.give(&leased)),
                        Err(refusal) => {
                            self.is_over = true;
                            return Some(problem(&refusal));
                        }
                    }
                }
                () = self.door.closing.cancelled(), if !self.is_over => self.hang_up(),
                else => return None,
            }
        }
    }

    /// Looks for more events, if the consumer may have more.
    fn fetch(&mut self) {
        if self.is_over || self.fetching.is_some() {
            return;
        }
        if self.held.len() >= self.max {
            let now = Instant::now();
            self.held.retain(|_, until| *until > now);
        }
        let room = self.max.saturating_sub(self.held.len());
        if room == 0 {
            return;
        }
        let (door, name) = (Arc::clone(&self.door), Arc::clone(&self.name));
        self.fetching = Some(async move { door.events.next(&name, room, LOOK).await }.boxed());
    }

    /// No more events are given; what was said is still done.
    fn hang_up(&mut self) {
        self.body = None;
        self.fetching = None;
        self.is_over = true;
    }

    fn give(&mut self, leased: &[Leased]) -> Bytes {
        let mut out = Vec::with_capacity(leased.iter().map(|leased| json::length_hint(&leased.event) + 64).sum());
        let now = Instant::now();
        self.heard = now;
        for leased in leased {
            self.held.insert(leased.token.clone(), now + leased.lease);
            with_delivery(leased, |more| json::write_line(&leased.event, more, &mut out));
        }
        out.into()
    }

    /// Does what the lines of a chunk say; returns what to say about lines that make no sense.
    fn read(&mut self, chunk: &Bytes) -> Option<Bytes> {
        self.heard = Instant::now();
        let Ok(lines) = self.lines.push(chunk) else {
            self.hang_up();
            return Some(problem(&Refusal::TooLarge { limit: LINE_BYTES_MAX }));
        };
        let mut out = Vec::new();
        for line in lines.iter().filter(|line| !line.iter().all(u8::is_ascii_whitespace)) {
            if let Err(refusal) = self.word(line) {
                out.extend_from_slice(&problem(&refusal));
            }
        }
        (!out.is_empty()).then(|| out.into())
    }

    fn word(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let word: Word = serde_json::from_slice(line)
            .map_err(|error| Refusal::Unreadable(format!("the line cannot be read: {error}")))?;
        let (verb, tokens) = match (word.ack, word.nack, word.extend) {
            (Some(tokens), None, None) => ("ack", tokens),
            (None, Some(tokens), None) => ("nack", tokens),
            (None, None, Some(tokens)) => ("extend", tokens),
            _ => return Err(Refusal::Unreadable("a line has one of `ack`, `nack` and `extend`".to_owned())),
        };
        let settling = Settling {
            tokens: Vec::new(),
            reason: word.reason,
            delay: word.delay,
            permanent: word.permanent,
            by: word.by,
        };
        let settle = settling.settle(verb)?;
        for token in &tokens {
            match &settle {
                super::port::Settle::Extend(by) => {
                    if let Some(until) = self.held.get_mut(token) {
                        *until = Instant::now() + *by;
                    }
                }
                _ => {
                    self.held.remove(token);
                }
            }
        }
        let (door, name) = (Arc::clone(&self.door), Arc::clone(&self.name));
        self.settling.push(async move { door.events.settle(&name, tokens, settle).await }.boxed());
        Ok(())
    }
}

fn verdict(settled: Settled) -> Option<Bytes> {
    match settled {
        Ok(over) if over.is_empty() => None,
        Ok(over) => Some(format!("{}\n", serde_json::json!({ "over": over })).into()),
        Err(refusal) => Some(problem(&refusal)),
    }
}

fn problem(refusal: &Refusal) -> Bytes {
    format!("{}\n", serde_json::json!({ "problem": refusal.problem() })).into()
}
