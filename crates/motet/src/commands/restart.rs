//! `motet restart`: replaces instances one by one, new ones ready before old ones go.

use super::wait::{self, Verdict};
use crate::{
    cli::{Global, Restart},
    connect,
    exit::Exit,
    terminal,
};
use anyhow::Result;
use motet_api::wire::{Phase, System};
use motet_kernel::quantity::show_duration;
use std::{collections::BTreeSet, time::Instant};

pub(crate) async fn run(global: &Global, arguments: &Restart) -> Result<Exit> {
    let limit = wait::duration(&arguments.timeout)?;
    let client = connect::running(global)?;
    let system = client.system().await?;
    wait::known(&system, &arguments.services)?;
    let all = || system.services.iter().filter(|s| s.phase != Phase::External && s.wanted > 0).map(|s| s.name.clone());
    let services: Vec<String> =
        if arguments.services.is_empty() { all().collect() } else { arguments.services.clone() };
    let begun = Instant::now();
    for service in &services {
        let before = ids(&system, service);
        client.restart(service).await?;
        wait::until(&client, limit, |now| {
            let Some(found) = now.services.iter().find(|found| found.name == *service) else {
                return Verdict::Never(format!("{service} is not in the definition any more"));
            };
            let renewed = ids(now, service).is_disjoint(&before);
            match wait::verdict(found) {
                Verdict::There if !renewed => Verdict::NotYet,
                verdict => verdict,
            }
        })
        .await?;
        if !global.json {
            terminal::note(format_args!("{service}: restarted"));
        }
    }
    let took = show_duration(begun.elapsed());
    if global.json {
        terminal::print_json(&serde_json::json!({ "restarted": services }))?;
    } else if services.len() > 1 {
        terminal::note(format_args!("{} services restarted in {took}.", services.len()));
    }
    Ok(Exit::Done)
}

fn ids(system: &System, service: &str) -> BTreeSet<String> {
    let found = system.services.iter().find(|found| found.name == service);
    found.map(|found| found.instances.iter().map(|instance| instance.id.clone()).collect()).unwrap_or_default()
}
