//! `motet up`: starts the system, or finds it running and makes it match the definition; then follows it.
//!
//! The system runs in a process of its own. A plain `up` stays tied to it by a pipe: when this process ends, however it ends, the
//! system stops in good order. With `--detach` there is no pipe.

use super::wait::{self, Verdict};
use crate::{
    cli::{Global, Up},
    connect,
    exit::{Exit, Failure},
    place::Place,
    terminal::{
        self, ink,
        live::{Live, is_there},
        logs::Printer,
        report,
    },
};
use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use motet_api::{
    client::Client,
    wire::{Applied, ApplyRequest, Phase, System, SystemPhase},
};
use motet_kernel::quantity::show_duration;
use std::{os::unix::process::CommandExt as _, process::Stdio, time::Duration};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// How long the process that runs the system may take to open its door. It does so before it starts any service, but after it
/// has read what the last one left, which takes a while on a machine that is busy otherwise. One that ends is noticed at once.
const DOOR_WITHIN: Duration = Duration::from_secs(60);
/// How often the live view moves.
const FRAME: Duration = Duration::from_millis(100);

pub(crate) async fn run(global: &Global, arguments: &Up) -> Result<Exit> {
    let limit = wait::duration(&arguments.wait_timeout)?;
    let loaded = connect::load(global)?;
    let place = Place::new(&loaded.system.dir, global.state.as_deref())?;
    place.create()?;
    let mut stops = Stops::new()?;
    if let Some(door) = place.door()? {
        let client = Client::new(&door.socket)?;
        let profiles = (!global.profiles.is_empty()).then(|| global.profiles.clone());
        let applied = client.apply(&ApplyRequest { profiles, watch: arguments.watch.then_some(true) }).await?;
        found_running(loaded.system.name.as_str(), &applied);
        return if arguments.detach {
            detached(global, arguments, &client, limit).await
        } else {
            // Somebody else started it, so leaving does not stop it.
            follow(global, &client, &mut stops, None).await
        };
    }
    let mut child = start(global, arguments, &place)?;
    let client = door_opens(&place, &mut child).await?;
    if arguments.detach {
        detached(global, arguments, &client, limit).await
    } else {
        follow(global, &client, &mut stops, Some(child)).await
    }
}

fn found_running(system: &str, applied: &Applied) {
    let lists = [("added", &applied.added), ("changed", &applied.changed), ("removed", &applied.removed)];
    let services = lists.iter().filter(|(_, names)| !names.is_empty());
    let services = services.map(|(verb, names)| format!("{verb} {}", names.join(", ")));
    let changes: Vec<_> = services.chain(applied.gateway.then(|| "changed the gateway".to_owned())).collect();
    let changes = if changes.is_empty() { "nothing changed".to_owned() } else { changes.join("; ") };
    terminal::note(format_args!("{} runs already: {changes}.", ink::strong().for_stderr().apply_to(system)));
}

/// Starts the process that runs the system.
fn start(global: &Global, arguments: &Up, place: &Place) -> Result<Child> {
    let log = std::fs::File::create(place.own_log()).context("motet's own log cannot be written")?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("serve").arg("--file").arg(connect::definition_file(global)?).arg("--state").arg(place.dir());
    for profile in &global.profiles {
        command.arg("--profile").arg(profile);
    }
    if arguments.watch {
        command.arg("--watch");
    }
    if arguments.detach {
        command.stdin(Stdio::null());
    } else {
        command.arg("--attached").stdin(Stdio::piped());
    }
    // A group of its own: Ctrl-C in this terminal reaches only this process, which then asks for a stop in good order.
    command.stdout(Stdio::null()).stderr(log).process_group(0);
    Command::from(command).spawn().context("motet cannot start itself in the background")
}

async fn door_opens(place: &Place, child: &mut Child) -> Result<Client> {
    let deadline = Instant::now() + DOOR_WITHIN;
    let pid = child.id();
    loop {
        if let Some(door) = place.door()?.filter(|door| Some(door.pid) == pid) {
            return Ok(Client::new(&door.socket)?);
        }
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            if ended.is_none() {
                // Who is told that the system could not be started must not find it running later.
                let _ = child.kill().await;
            }
            let said = std::fs::read_to_string(place.own_log()).unwrap_or_default();
            let said = match ended {
                _ if !said.trim().is_empty() => said,
                Some(status) => format!("it ended with {status} and said nothing"),
                None => format!("it said nothing for {} s", DOOR_WITHIN.as_secs()),
            };
            return Err(
                Failure::new(Exit::Failed, format!("Motet could not start the system:\n{}", said.trim_end())).into()
            );
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn detached(global: &Global, arguments: &Up, client: &Client, limit: Duration) -> Result<Exit> {
    if arguments.wait {
        let mut live = Live::new();
        let waited = wait::until(client, limit, |system| {
            live.show(system);
            settled(system)
        })
        .await;
        live.finish();
        waited?;
    }
    let system = client.system().await?;
    if global.json {
        terminal::print_json(&system)?;
    } else {
        summary(&system);
    }
    Ok(Exit::Done)
}

/// Whether a system has come to rest: everything there, or something that will not come by itself.
fn settled(system: &System) -> Verdict {
    let mut all_there = true;
    for service in &system.services {
        match wait::verdict(service) {
            Verdict::Never(why) => return Verdict::Never(why),
            Verdict::NotYet => all_there = false,
            Verdict::There => {}
        }
    }
    if all_there { Verdict::There } else { Verdict::NotYet }
}

fn summary(system: &System) {
    let there = system.services.iter().filter(|service| is_there(service.phase)).count();
    let count = system.services.len();
    let head = match system.phase {
        SystemPhase::Ready => ink::good().for_stderr().apply_to(format!("{} is ready", system.system)),
        _ => ink::busy().for_stderr().apply_to(format!("{} is starting", system.system)),
    };
    let gateway = system.gateway.as_ref().map(|gateway| format!("  {}", gateway.url)).unwrap_or_default();
    terminal::note(format_args!("{head} ({there} of {count} services){gateway}"));
}

/// Shows how the system starts, then what it prints, until it is told to stop.
async fn follow(global: &Global, client: &Client, stops: &mut Stops, own: Option<Child>) -> Result<Exit> {
    let begun = Instant::now();
    let exit = tokio::select! {
        result = show_start(client) => match result? {
            Start::Ready(system) => {
                ready(&system, begun, own.is_some());
                tokio::select! {
                    result = print_logs(global, client, &system) => { result?; Exit::Failed }
                    () = stops.next() => Exit::Done,
                }
            }
            Start::Ended => Exit::Failed,
        },
        () = stops.next() => Exit::Interrupted,
    };
    match own {
        None => Ok(Exit::Done),
        Some(child) if exit == Exit::Failed => died(child).await,
        Some(child) => stop(client, stops, child).await.map(|()| exit),
    }
}

enum Start {
    Ready(Box<System>),
    Ended,
}

async fn show_start(client: &Client) -> Result<Start> {
    let mut live = Live::new();
    let mut changes = client.system_changes().await?;
    let mut frames = tokio::time::interval(FRAME);
    let mut last: Option<System> = None;
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(system)) => {
                    live.show(&system);
                    let at_rest = at_rest(&system);
                    last = Some(system);
                    if at_rest { break }
                }
                Some(Err(_)) | None => return Ok(Start::Ended),
            },
            _ = frames.tick(), if console::Term::stderr().features().is_attended() => if let Some(system) = &last { live.show(system) },
        }
    }
    live.finish();
    last.map_or(Ok(Start::Ended), |system| Ok(Start::Ready(Box::new(system))))
}

/// Whether nothing more is on its way: each service is there, has failed, or waits for one that has.
fn at_rest(system: &System) -> bool {
    let failed = system.services.iter().any(|service| matches!(service.phase, Phase::Failed | Phase::CrashLoop));
    system.services.iter().all(|service| {
        is_there(service.phase)
            || matches!(service.phase, Phase::Failed | Phase::CrashLoop | Phase::Stopped)
            || (failed && service.phase == Phase::Waiting)
    })
}

fn ready(system: &System, begun: Instant, own: bool) {
    let broken: Vec<_> =
        system.services.iter().filter(|service| !is_there(service.phase) && service.phase != Phase::Stopped).collect();
    let took = show_duration(begun.elapsed());
    if broken.is_empty() {
        let head = ink::good().for_stderr().bold().apply_to(format!("{} is ready", system.system));
        terminal::note(format_args!("\n{head} after {took}"));
        if let Some(gateway) = &system.gateway {
            terminal::note(format_args!("  {}", ink::strong().for_stderr().apply_to(&gateway.url)));
        }
    } else {
        let names: Vec<_> = broken.iter().map(|service| service.name.as_str()).collect();
        let head = ink::bad().for_stderr().apply_to(format!("{} is not complete: {}", system.system, names.join(", ")));
        terminal::note(format_args!("\n{head}"));
        terminal::note(
            "  What works goes on. Mend the cause and run `motet restart SERVICE` in another terminal, or stop with Ctrl-C.",
        );
    }
    let leave = if own { "Ctrl-C stops it" } else { "Ctrl-C leaves it running" };
    terminal::note(ink::quiet().for_stderr().apply_to(format_args!("  {leave}; `motet ps` shows more.\n")));
}

async fn print_logs(global: &Global, client: &Client, system: &System) -> Result<()> {
    let mut printer = Printer::new(system.services.iter().map(|service| service.name.as_str()), global.json);
    let mut events = client.logs(&[], 0, true).await?;
    while let Some(Ok(event)) = events.next().await {
        printer.event(&event);
    }
    Ok(())
}

async fn stop(client: &Client, stops: &mut Stops, mut child: Child) -> Result<()> {
    terminal::note(ink::quiet().for_stderr().apply_to("\nStopping in good order (Ctrl-C again leaves at once)."));
    let _ = client.down().await;
    tokio::select! {
        _ = super::down::stopped(client, Duration::from_secs(120)) => {}
        () = stops.next() => return Ok(()),
    }
    tokio::select! {
        _ = child.wait() => terminal::note("Stopped."),
        () = stops.next() => {}
    }
    Ok(())
}

async fn died(mut child: Child) -> Result<Exit> {
    let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
    match ended {
        Ok(Ok(status)) if status.success() => {
            terminal::note("The system was stopped.");
            Ok(Exit::Done)
        }
        Ok(Ok(status)) => {
            let message = format!(
                "The process that ran the system ended ({status}). Its services were ended with it; `motet up` starts again."
            );
            report::error(&Failure::new(Exit::Failed, message).into(), false);
            Ok(Exit::Failed)
        }
        _ => Err(Failure::new(Exit::Failed, "The system does not answer any more; `motet ps` may know why.").into()),
    }
}

/// What asks this process to stop: Ctrl-C, a closed terminal, `kill`.
struct Stops {
    signals: [Signal; 3],
}

impl Stops {
    fn new() -> Result<Self> {
        let of = |kind| signal(kind).context("signals cannot be received");
        Ok(Self { signals: [of(SignalKind::interrupt())?, of(SignalKind::terminate())?, of(SignalKind::hangup())?] })
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
