//! Waiting for a running system to become what a command asked for.

use crate::{
    exit::{Exit, Failure},
    terminal::live::is_there,
};
use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use motet_api::{
    client::Client,
    wire::{Phase, Service, System},
};
use motet_kernel::quantity;
use std::time::Duration;

/// Reads a duration that was typed.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    quantity::parse_duration(text).map_err(|error| Failure::new(Exit::Usage, format!("{error}.")).into())
}

/// Refuses names that no service has.
pub(crate) fn known(system: &System, names: &[String]) -> Result<()> {
    for name in names {
        if !system.services.iter().any(|service| service.name == *name) {
            let all: Vec<_> = system.services.iter().map(|service| service.name.as_str()).collect();
            let message = format!("There is no service `{name}` in {}. It has: {}.", system.system, all.join(", "));
            return Err(Failure::new(Exit::Usage, message).into());
        }
    }
    Ok(())
}

/// What a look at the system says about a wait.
pub(crate) enum Verdict {
    /// Go on waiting.
    NotYet,
    /// It is as wanted.
    There,
    /// It will not become so by itself.
    Never(String),
}

/// Whether every wanted instance of a service is there.
pub(crate) fn verdict(service: &Service) -> Verdict {
    match service.phase {
        phase if is_there(phase) && service.ready >= service.wanted => Verdict::There,
        Phase::Completed | Phase::External => Verdict::There,
        Phase::Stopped if service.wanted == 0 => Verdict::There,
        Phase::Failed | Phase::CrashLoop => Verdict::Never(why(service)),
        _ => Verdict::NotYet,
    }
}

/// Why a service is not ready, with what it printed last.
pub(crate) fn why(service: &Service) -> String {
    let mut message = format!("{}: {}", service.name, service.detail);
    let lines = service.failure.as_ref().map(|failure| failure.last_lines.as_slice()).unwrap_or_default();
    for line in &lines[lines.len().saturating_sub(8)..] {
        message.push_str("\n  │ ");
        message.push_str(line);
    }
    message
}

/// Waits until `look` is content with the system, at most for `limit`.
pub(crate) async fn until(client: &Client, limit: Duration, mut look: impl FnMut(&System) -> Verdict) -> Result<()> {
    let watching = async {
        let mut changes = client.system_changes().await?;
        let mut last = None;
        while let Some(system) = changes.next().await {
            match look(last.insert(system?)) {
                Verdict::There => return Ok(()),
                Verdict::Never(why) => return Err(Failure::new(Exit::ServiceFailed, why).into()),
                Verdict::NotYet => {}
            }
        }
        Err(Failure::new(Exit::NotRunning, "The system stopped meanwhile.").into())
    };
    let result: Result<Result<()>, _> = tokio::time::timeout(limit, watching).await;
    match result {
        Ok(result) => result,
        Err(_) => {
            let now = client.system().await.context("the system does not answer any more")?;
            let late = now.services.iter().filter(|service| !matches!(verdict(service), Verdict::There));
            let late: Vec<_> = late.map(|service| format!("{} ({})", service.name, service.detail)).collect();
            let message = format!("Not there after {}: {}.", quantity::show_duration(limit), late.join(", "));
            Err(Failure::new(Exit::TimedOut, message).into())
        }
    }
}
