//! `motet pause` and `motet resume`: whether a subscription is sent anything. What is in flight goes on; it holds across restarts.

use crate::{
    cli::{Global, Subscription},
    connect,
    exit::{Exit, Failure},
    terminal,
};
use anyhow::Result;

pub(crate) async fn run(global: &Global, arguments: &Subscription, on: bool) -> Result<Exit> {
    let (client, name) = (connect::running(global)?, &arguments.subscription);
    let done = if on { client.pause(name).await } else { client.resume(name).await };
    done.map_err(Failure::mistyped)?;
    if global.json {
        terminal::print_json(&serde_json::json!({ "subscription": name, "paused": on }))?;
    } else if on {
        terminal::note(format_args!("{name}: paused; `motet resume {name}` lets it go on"));
    } else {
        terminal::note(format_args!("{name}: goes on"));
    }
    Ok(Exit::Done)
}
