//! `motet serve`: the process that runs a system. Started by `motet up`; it can be started by hand or by an init system too.

use crate::{
    cli::{Global, Serve},
    connect,
    exit::{Exit, Failure},
    place::Place,
    roles::session::{Options, Session},
};
use anyhow::{Context as _, Result};
use motet_supervisor::Leftovers;
use std::io::Read as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing_subscriber::EnvFilter;

pub(crate) async fn run(global: &Global, arguments: &Serve) -> Result<Exit> {
    let filter = EnvFilter::try_from_env("MOTET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();

    let loaded = connect::load(global)?;
    let place = Place::new(&loaded.system.dir, global.state.as_deref())?;
    place.create()?;
    let Some(held) = place.hold().await? else {
        return Err(Failure::new(
            Exit::Failed,
            "Another process of Motet runs this system already; `motet ps` shows it.",
        )
        .into());
    };
    let left = motet_supervisor::end_leftovers(&place.run()).await;
    match left.context("what an earlier Motet left behind cannot be looked at")? {
        Leftovers::None => {}
        Leftovers::Ended { processes } => tracing::warn!(processes, "ended what an earlier Motet left behind"),
        Leftovers::StillRunning { pid } => {
            let message = format!("Process {pid} of Motet still runs this system, without its lock; end it first.");
            return Err(Failure::new(Exit::Failed, message).into());
        }
    }
    // Signals are caught before anything is started, so that there is no moment in which one would leave something behind.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let detached = arguments.attached.then(standard_input_ends).transpose()?;

    let options = Options { place: place.clone(), profiles: global.profiles.clone(), watch: arguments.watch };
    let mut session = Session::start(loaded, options).await?;
    let reason = tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "asked to terminate",
        _ = hangup.recv() => "terminal closed",
        () = ended(detached) => "the process that started it ended",
        () = session.asked_to_stop() => "asked to stop",
    };
    tracing::info!(reason, "stopping");
    session.stop().await;
    place.close_door();
    drop(held);
    Ok(Exit::Done)
}

/// Becomes ready when whoever holds the other end of standard input is gone.
fn standard_input_ends() -> Result<oneshot::Receiver<()>> {
    let (ended, seen) = oneshot::channel();
    // A thread, because a pipe that another process holds open cannot be read without blocking somewhere.
    std::thread::Builder::new()
        .name("standard input".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            let mut bytes = [0_u8; 64];
            while matches!(std::io::stdin().read(&mut bytes), Ok(1..)) {}
            let _ = ended.send(());
        })
        .context("a thread cannot be started")?;
    Ok(seen)
}

async fn ended(detached: Option<oneshot::Receiver<()>>) {
    match detached {
        Some(seen) => drop(seen.await),
        None => std::future::pending().await,
    }
}
