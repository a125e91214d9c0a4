//! `motet tail order.placed`: the events of a topic as they are published. It looks on, and takes nothing from anybody.

use crate::{
    cli::{Global, Tail},
    connect,
    exit::{Exit, Failure},
    terminal::{self, ink},
};
use anyhow::{Result, bail};
use futures_util::StreamExt as _;
use motet_api::wire::events::{Seen, Watched};
use serde_json::Value;

pub(crate) async fn run(global: &Global, arguments: &Tail) -> Result<Exit> {
    let client = connect::running(global)?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let watched = client.watch_topic(&arguments.topic, arguments.from).await.map_err(Failure::mistyped)?;
    let mut watched = std::pin::pin!(watched);
    while left > 0 {
        let seen = tokio::select! {
            seen = watched.next() => seen,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        };
        match seen.transpose()? {
            Some(Watched::Event(seen)) if global.json => terminal::print(serde_json::to_string(&seen)?),
            Some(Watched::Event(seen)) => terminal::print(line(&seen)?),
            Some(Watched::Problem(problem)) => bail!("{}", problem.detail),
            None => break,
        }
        left -= 1;
    }
    Ok(Exit::Done)
}

/// An event in a line: position, time, type, subject, data.
fn line(seen: &Seen) -> Result<String> {
    let event: Value = serde_json::from_str(seen.event.get())?;
    let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let data = match (&event["data"], &event["data_base64"]) {
        (Value::Null, Value::String(base64)) => format!("(base64) {base64}"),
        (Value::Null, _) => String::new(),
        (data, _) => data.to_string(),
    };
    let head = format!("{} {}", seen.position, text("time"));
    let about = event["subject"].as_str().map(|subject| format!(" {subject}")).unwrap_or_default();
    let line = format!("{} {}{about} {data}", ink::quiet().apply_to(head), ink::strong().apply_to(text("type")));
    Ok(line.trim_end().to_owned())
}
