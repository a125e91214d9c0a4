//! `motet publish order.placed '{…}'`: an event from the command line, held against the topic's schema as those of services are.

use crate::{
    cli::{Global, Publish},
    connect,
    exit::{Exit, Failure},
    terminal,
};
use anyhow::Result;
use motet_cloudevents::Event;
use motet_kernel::{clock, quantity::parse_duration};
use std::io::Read as _;

pub(crate) async fn run(global: &Global, arguments: &Publish) -> Result<Exit> {
    let client = connect::running(global)?;
    let event = event(arguments)?;
    let published = client.publish(&arguments.topic, &[event]).await.map_err(Failure::mistyped)?;
    for receipt in &published.receipts {
        if global.json {
            terminal::print_json(receipt)?;
            continue;
        }
        let id = &receipt.id;
        match (receipt.position, &receipt.deliver_at) {
            _ if receipt.duplicate => terminal::print(format_args!("{id}: was published before, and was not again")),
            (Some(position), _) => terminal::print(format_args!("{id}: at position {position}")),
            (None, Some(at)) => terminal::print(format_args!("{id}: will be published at {at}")),
            (None, None) => terminal::print(id),
        }
    }
    Ok(Exit::Done)
}

fn event(arguments: &Publish) -> Result<Event> {
    let Publish { topic, data, id, ty, source, subject, key, delay } = arguments;
    let id = id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let mut event = Event::builder(&id, source, ty.as_ref().unwrap_or(topic)).time(clock::now().to_string());
    if let Some(subject) = subject {
        event = event.subject(subject.as_str());
    }
    if let Some(key) = key {
        event = event.extension("partitionkey", key.as_str());
    }
    if let Some(delay) = delay {
        parse_duration(delay).map_err(|error| Failure::new(Exit::Usage, format!("--delay: {error}.")))?;
        event = event.extension("delay", delay.as_str());
    }
    if let Some(data) = data {
        let data = read(data)?;
        event = event.content_type(media_type(&data)).data(data);
    }
    Ok(event.build().map_err(|error| Failure::new(Exit::Usage, format!("That makes no event: {error}.")))?)
}

/// What was typed, or standard input for `-`.
pub(super) fn read(data: &str) -> Result<Vec<u8>> {
    if data != "-" {
        return Ok(data.as_bytes().to_vec());
    }
    let mut read = Vec::new();
    std::io::stdin().lock().read_to_end(&mut read)?;
    Ok(read)
}

/// What data that nobody named is taken for.
pub(super) fn media_type(data: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok() {
        "application/json"
    } else if std::str::from_utf8(data).is_ok() {
        "text/plain"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_taken_for_what_it_looks_like() {
        for (data, expected) in [
            (&b"{\"a\": 1}"[..], "application/json"),
            (b"{\"a\": ", "text/plain"),
            (b"hello", "text/plain"),
            (b"\xff\x00", "application/octet-stream"),
        ] {
            assert_eq!(media_type(data), expected);
        }
    }
}
