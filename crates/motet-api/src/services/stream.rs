//! `POST /topics/{topic}/stream`: events as they come, one JSON event per line, answered line by line as they become durable.
//!
//! One request per event costs more than the disk does. Here the connection is a pipe: all lines that have arrived go to the broker together,
//! the next ones are read while those are written, and the answers come back in order. By default they are sums, `{"durable":128}`: all lines before
//! the 128th are safe, except those that were refused, which are named one by one before. So a sender that reads answers late blocks nobody, because
//! there are few. With `?receipts=each` every line is answered.

use super::{
    Door, Refusal,
    body::{self, Response, Share, Upload},
    lines::Lines,
    port::{Admitted, Receipt},
    publish::{line_bytes, write_id, write_receipt},
    route::parameter,
};
use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesOrdered},
};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use motet_cloudevents::{Event, http::Limits, json};
use std::sync::Arc;
use tokio::time::timeout;

/// How many groups of lines may be on their way to the disk.
const GROUPS: usize = 32;

/// How many events one group has at most.
const GROUP_EVENTS: usize = 512;

/// A line that was read.
enum Line {
    Event(Event),
    Refused(Refusal),
    Blank,
}

/// Lines that went to the broker together, and what came of it.
struct Group {
    lines: Vec<Line>,
    receipts: Result<Vec<Receipt>, Refusal>,
}

struct Publishing {
    door: Arc<Door>,
    topic: Arc<str>,
    admitted: Admitted,
    body: Option<Incoming>,
    lines: Lines,
    in_flight: FuturesOrdered<BoxFuture<'static, Group>>,
    /// How many lines were answered.
    answered: u64,
    is_each: bool,
}

pub(crate) fn post(door: &Arc<Door>, topic: &str, request: Request<Upload>) -> Result<Response, Refusal> {
    let admitted = door.events.admit(topic)?;
    let is_each = match parameter(&request, "receipts")?.as_deref() {
        None | Some("sum") => false,
        Some("each") => true,
        Some(other) => return Err(Refusal::Unreadable(format!("`receipts` is `{other}`: it can be `sum` or `each`"))),
    };
    let publishing = Publishing {
        door: Arc::clone(door),
        topic: topic.into(),
        lines: Lines::new(line_bytes(&admitted)),
        admitted,
        body: Some(request.into_body().into_incoming()),
        in_flight: FuturesOrdered::new(),
        answered: 0,
        is_each,
    };
    let answers = stream::unfold(publishing, |mut publishing| async move {
        let answer = publishing.next().await?;
        Some((answer, publishing))
    });
    Ok(body::streaming("application/x-ndjson", answers))
}

impl Publishing {
    /// The next answers; nothing when everything that came is answered.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let may_read = self.body.is_some() && self.in_flight.len() < GROUPS;
            let idle = self.door.options.stream_idle;
            tokio::select! {
                biased;
                Some(group) = self.in_flight.next() => return Some(self.answer(&group)),
                () = self.door.closing.cancelled(), if may_read => self.body = None,
                chunk = timeout(idle, chunk(&mut self.body)), if may_read => match chunk {
                    Ok(Some(chunk)) => self.read(&chunk).await,
                    Ok(None) => {
                        self.body = None;
                        if let Some(line) = self.lines.last() {
                            self.hand_in(vec![line]).await;
                        }
                    }
                    Err(_) => self.body = None,
                },
                else => return None,
            }
        }
    }

    async fn read(&mut self, chunk: &Bytes) {
        match self.lines.push(chunk) {
            Ok(lines) => {
                for group in lines.chunks(GROUP_EVENTS) {
                    self.hand_in(group.to_vec()).await;
                }
            }
            Err(_) => {
                // Where the next line begins cannot be known without reading all of this one.
                self.body = None;
                let refused = Refusal::TooLarge { limit: line_bytes(&self.admitted) };
                let group = Group { lines: vec![Line::Refused(refused)], receipts: Ok(Vec::new()) };
                self.in_flight.push_back(std::future::ready(group).boxed());
            }
        }
    }

    /// Reads lines and publishes them together. Waits while too much waits already: this is how a stream is told to be slower.
    async fn hand_in(&mut self, lines: Vec<Bytes>) {
        let bytes = lines.iter().map(Bytes::len).sum();
        let Some(share) = self.door.budget.wait(bytes).await else { return };
        let limits = Limits { event_bytes: self.admitted.event_bytes, batch_events: 1 };
        let lines: Vec<Line> = lines.iter().map(|line| read_line(line, &limits)).collect();
        let (door, topic) = (Arc::clone(&self.door), Arc::clone(&self.topic));
        self.in_flight.push_back(publish(door, topic, lines, share).boxed());
    }

    fn answer(&mut self, first: &Group) -> Bytes {
        let mut out = Vec::new();
        self.write(first, &mut out);
        while let Some(Some(group)) = self.in_flight.next().now_or_never() {
            self.write(&group, &mut out);
        }
        if !self.is_each {
            out.extend_from_slice(format!("{{\"durable\":{}}}\n", self.answered).as_bytes());
        }
        out.into()
    }

    fn write(&mut self, group: &Group, out: &mut Vec<u8>) {
        let mut receipts = group.receipts.as_deref().unwrap_or_default().iter();
        for line in &group.lines {
            let number = self.answered;
            self.answered += 1;
            match (line, &group.receipts) {
                (Line::Blank, _) => {}
                (Line::Refused(refusal), _) | (Line::Event(_), Err(refusal)) => write_refusal(number, refusal, out),
                (Line::Event(event), Ok(_)) => {
                    let Some(receipt) = receipts.next() else { continue };
                    if self.is_each || receipt.duplicate {
                        out.extend_from_slice(format!("{{\"line\":{number},").as_bytes());
                        write_id(event.id(), out);
                        write_receipt(*receipt, out);
                        out.extend_from_slice(b"}\n");
                    }
                }
            }
        }
    }
}

async fn publish(door: Arc<Door>, topic: Arc<str>, lines: Vec<Line>, share: Share) -> Group {
    let of_line = |line: &Line| if let Line::Event(event) = line { Some(event.clone()) } else { None };
    let events: Vec<Event> = lines.iter().filter_map(of_line).collect();
    let receipts = if events.is_empty() { Ok(Vec::new()) } else { door.events.publish(&topic, events).await };
    drop(share);
    Group { lines, receipts }
}

fn read_line(line: &Bytes, limits: &Limits) -> Line {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Line::Blank;
    }
    json::read(line, limits).map_or_else(|error| Line::Refused(error.into()), Line::Event)
}

fn write_refusal(number: u64, refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"line\":{number},\"problem\":").as_bytes());
    // A problem is texts and a number, and memory takes them.
    let _ = serde_json::to_writer(&mut *out, &refusal.problem());
    out.extend_from_slice(b"}\n");
}

/// The next piece of a body; nothing when it has ended, well or not.
pub(crate) async fn chunk(body: &mut Option<Incoming>) -> Option<Bytes> {
    let body = body.as_mut()?;
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(data);
                }
            }
            Err(_) => return None,
        }
    }
}
