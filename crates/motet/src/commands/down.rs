//! `motet down`: stops the system in good order and waits until it is gone.

use crate::{
    cli::{Down, Global},
    connect,
    exit::{Exit, Failure},
    terminal,
};
use anyhow::Result;
use futures_util::StreamExt as _;
use motet_api::{client::Client, wire::Phase};
use motet_kernel::quantity::show_duration;
use std::time::Duration;

pub(crate) async fn run(global: &Global, arguments: &Down) -> Result<Exit> {
    let limit = super::wait::duration(&arguments.timeout)?;
    let place = connect::place(global)?;
    let Some(door) = place.door()? else {
        terminal::note("The system is not running.");
        return Ok(Exit::Done);
    };
    let client = Client::new(&door.socket)?;
    client.down().await?;
    stopped(&client, limit).await?;
    // The socket closes a moment before the process ends; whoever runs `up` next should find nobody.
    let gone = async {
        while place.is_held() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let late = || Failure::new(Exit::TimedOut, format!("Not stopped after {}.", show_duration(limit)));
    tokio::time::timeout(limit, gone).await.map_err(|_| late())?;
    terminal::note("Stopped.");
    Ok(Exit::Done)
}

/// Follows a system on its way down, until its process ends or everything in it has stopped.
pub(crate) async fn stopped(client: &Client, limit: Duration) -> Result<()> {
    let follow = async {
        let Ok(mut changes) = client.system_changes().await else { return };
        let mut last = String::new();
        while let Some(Ok(system)) = changes.next().await {
            let left: Vec<_> =
                system.services.iter().filter(|s| s.phase == Phase::Stopping).map(|s| &*s.name).collect();
            let now = left.join(", ");
            if !now.is_empty() && now != last {
                terminal::note(format_args!("stopping {now}"));
            }
            last = now;
        }
    };
    let late = |_| {
        Failure::new(
            Exit::TimedOut,
            format!("Not stopped after {}; `motet ps` shows what is left.", show_duration(limit)),
        )
    };
    Ok(tokio::time::timeout(limit, follow).await.map_err(late)?)
}
