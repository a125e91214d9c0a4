//! `motet fault add|list|remove`: breaks an edge or a route on purpose, while the system runs.

pub(crate) mod parse;

use crate::{
    cli::{Fault as Arguments, FaultAdd, FaultCommand, FaultRemove, Global},
    connect,
    exit::{Exit, Failure},
    terminal::{self, ink, live::ago, table::Table},
};
use anyhow::Result;
use motet_api::{
    client::Client,
    wire::fault::{AddFaults, Door, Effect, Fault},
};
use motet_kernel::{
    clock::{self, Timestamp},
    quantity::{show_duration, show_size},
};
use std::time::Duration;

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Exit> {
    let client = connect::running(global)?;
    match &arguments.command {
        FaultCommand::Add(arguments) => add(global, &client, arguments).await,
        FaultCommand::List => list(global, &client.faults().await?),
        FaultCommand::Remove(arguments) => remove(global, &client, arguments).await,
    }
}

async fn add(global: &Global, client: &Client, arguments: &FaultAdd) -> Result<Exit> {
    let FaultAdd { place, latency, abort, cut, slow, blackhole, lasts } = arguments;
    let faults: Vec<_> = [latency, cut, slow, blackhole].into_iter().flatten().chain(abort).copied().collect();
    if faults.is_empty() {
        let message = "Which fault? One or several of --latency, --abort, --cut, --slow and --blackhole.";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let for_ms = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let Some(door) = door(place.edge.as_ref(), place.route.as_ref()) else {
        return Err(Failure::new(Exit::Usage, "Where? --edge or --route.").into());
    };
    let there = client.add_faults(&AddFaults { door, faults, for_ms }).await.map_err(Failure::mistyped)?;
    if global.json {
        terminal::print_json(&there)?;
        return Ok(Exit::Done);
    }
    there.iter().for_each(|fault| terminal::print(sentence(fault)));
    if let Some(fault) = there.iter().find(|fault| fault.until.is_none()) {
        let way_out = match &fault.door {
            Door::Edge(edge) => format!("motet fault remove --edge '{edge}'"),
            Door::Route(path) => format!("motet fault remove --route {path}"),
        };
        let note = format!("Without --for it stays until `{way_out}` or the end of the system.");
        terminal::note(ink::quiet().for_stderr().apply_to(note));
    }
    Ok(Exit::Done)
}

fn list(global: &Global, faults: &[Fault]) -> Result<Exit> {
    if global.json {
        terminal::print_json(&faults)?;
        return Ok(Exit::Done);
    }
    if faults.is_empty() {
        terminal::note("There are no faults.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["WHERE", "FAULT", "SHARE", "SINCE", "ENDS"]);
    for fault in faults {
        let ends =
            fault.until.as_deref().map_or_else(|| "when removed".to_owned(), |time| format!("in {}", until(time)));
        table.row(vec![fault.door.to_string(), effect(fault.effect), percent(fault.share), ago(&fault.since), ends]);
    }
    table.print();
    Ok(Exit::Done)
}

async fn remove(global: &Global, client: &Client, arguments: &FaultRemove) -> Result<Exit> {
    let door = door(arguments.edge.as_ref(), arguments.route.as_ref());
    let removed = client.remove_faults(door.as_ref()).await.map_err(Failure::mistyped)?;
    if global.json {
        terminal::print_json(&removed)?;
        return Ok(Exit::Done);
    }
    if removed.is_empty() {
        terminal::note("There were no faults.");
    }
    for fault in &removed {
        terminal::print(format_args!("removed: {}: {}", fault.door, effect(fault.effect)));
    }
    Ok(Exit::Done)
}

fn door(edge: Option<&String>, route: Option<&String>) -> Option<Door> {
    edge.cloned().map(Door::Edge).or_else(|| route.cloned().map(Door::Route))
}

/// A fault in a line: `web→answerer: latency 2s, for 10 % of tries, ends in 4m`.
pub(crate) fn sentence(fault: &Fault) -> String {
    let share = if fault.share < 1.0 { format!(" for {} of tries", percent(fault.share)) } else { String::new() };
    let ends = fault.until.as_deref().map(|time| format!(", ends in {}", until(time))).unwrap_or_default();
    format!("{}: {}{share}{ends}", fault.door, effect(fault.effect))
}

fn effect(effect: Effect) -> String {
    match effect {
        Effect::LatencyMs(ms) => format!("latency {}", show_duration(Duration::from_millis(ms))),
        Effect::Abort(status) => format!("abort {status}"),
        Effect::CutAfterBytes(bytes) => format!("cut after {}", show_size(bytes)),
        Effect::SlowBytesPerSecond(rate) => format!("slow, {}/s", show_size(rate)),
        Effect::Blackhole => "blackhole".to_owned(),
    }
}

/// As few digits as say it: `10%`, `0.5%`.
fn percent(share: f64) -> String {
    format!("{}%", (share * 1e4).round() / 1e2)
}

fn until(time: &str) -> String {
    let then: Timestamp = time.parse().unwrap_or_else(|_| clock::now());
    show_duration(whole(Duration::try_from(then.duration_since(clock::now())).unwrap_or_default()))
}

/// People count in seconds, and nothing takes none.
fn whole(time: Duration) -> Duration {
    Duration::from_secs((time.as_secs_f64().round() as u64).max(1))
}
