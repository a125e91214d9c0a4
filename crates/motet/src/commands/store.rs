//! `motet store`: the data that services own, seen by their operator. Works whether the system runs or not.

use crate::{
    cli::{Global, Store, StoreCommand},
    connect,
    exit::{Exit, Failure},
    place::Place,
    roles::stores::{self, told},
    terminal::{self, table::Table},
};
use anyhow::{Context as _, Result};
use motet_api::client::Client;
use motet_datastore::{Occupancy, Stores};
use motet_kernel::{clock, name::ServiceName, quantity::show_size};
use serde_json::json;
use std::{
    io::{BufRead as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
};

pub(crate) async fn run(global: &Global, arguments: &Store) -> Result<Exit> {
    let loaded = connect::load(global)?;
    let place = Place::new(&loaded.system.dir, global.state.as_deref())?;
    let stores = stores::of(&loaded.system, &place)?;
    match &arguments.command {
        StoreCommand::List => list(global, &stores).await,
        StoreCommand::Shell { service } => shell(&stores, &owner(&stores, service)?).await,
        StoreCommand::Backup { service, backup: file } => {
            backup(global, &stores, &owner(&stores, service)?, file.as_deref()).await
        }
        StoreCommand::Restore { service, backup: file, force } => {
            let service = owner(&stores, service)?;
            let occupancy = occupancy(&place, &service, *force).await?;
            stores.restore(&service, file, occupancy).await.map_err(told)?;
            done(global, &json!({ "restored": service.as_str(), "from": file }), &format!("{service}: restored"))
        }
        StoreCommand::Reset { service, force, yes } => {
            let service = owner(&stores, service)?;
            let occupancy = occupancy(&place, &service, *force).await?;
            if !yes && !confirmed(&format!("All data of `{service}` will be gone. Type its name to go on: "), &service)?
            {
                return Err(Failure::new(Exit::Failed, "Nothing was changed.").into());
            }
            stores.reset(&service, occupancy).await.map_err(told)?;
            done(global, &json!({ "reset": service.as_str() }), &format!("{service}: empty now"))
        }
    }
}

async fn list(global: &Global, stores: &Stores) -> Result<Exit> {
    let mut table = Table::new(&["SERVICE", "ENGINE", "SIZE", "LOCATION"]);
    let mut rows = Vec::new();
    for (service, engine) in stores.iter() {
        let found = stores.describe(service).await.map_err(told)?;
        let size = found.size.map_or_else(|| "not made yet".to_owned(), show_size);
        table.row(vec![service.to_string(), found.engine.clone(), size, found.location.clone()]);
        rows.push(json!({
            "service": service.as_str(), "engine": engine.as_str(), "version": found.engine,
            "size_bytes": found.size, "location": found.location,
        }));
    }
    if global.json {
        terminal::print_json(&rows)?;
    } else if rows.is_empty() {
        terminal::note("No service has a store. `motet explain store` says how to give it one.");
    } else {
        table.print();
    }
    Ok(Exit::Done)
}

/// Becomes the engine's shell.
async fn shell(stores: &Stores, service: &ServiceName) -> Result<Exit> {
    let shell = stores.shell(service).await.map_err(told)?;
    let (program, arguments) = shell.argv.split_first().context("a shell has a name")?;
    let env = shell.env.iter().map(|(name, value)| (name, value.expose()));
    let error = std::process::Command::new(program).args(arguments).envs(env).exec();
    Err(error).with_context(|| format!("{} cannot be started", program.to_string_lossy()))
}

async fn backup(global: &Global, stores: &Stores, service: &ServiceName, file: Option<&Path>) -> Result<Exit> {
    let file = file.map_or_else(
        || PathBuf::from(format!("{service}-{}.backup", clock::now().strftime("%Y%m%dT%H%M%SZ"))),
        Path::to_path_buf,
    );
    let file = std::path::absolute(file)?;
    stores.backup(service, &file).await.map_err(told)?;
    let size = std::fs::metadata(&file).map(|data| data.len()).unwrap_or_default();
    let line = format!("{service}: {} in {}", show_size(size), file.display());
    done(global, &json!({ "backup": service.as_str(), "file": file, "size_bytes": size }), &line)
}

/// Whether the service uses its store now.
async fn occupancy(place: &Place, service: &ServiceName, force: bool) -> Result<Occupancy> {
    if force {
        return Ok(Occupancy::Forced);
    }
    let Some(door) = place.door()? else { return Ok(Occupancy::Free) };
    let system = Client::new(&door.socket)?.system().await?;
    let runs = system.services.iter().any(|found| found.name == service.as_str() && !found.instances.is_empty());
    Ok(if runs { Occupancy::InUse } else { Occupancy::Free })
}

fn owner(stores: &Stores, name: &str) -> Result<ServiceName> {
    let service = name.parse::<ServiceName>().ok().filter(|service| stores.has(service));
    service.ok_or_else(|| {
        let all: Vec<_> = stores.iter().map(|(service, _)| service.as_str()).collect();
        let all =
            if all.is_empty() { "no service has one".to_owned() } else { format!("these have: {}", all.join(", ")) };
        Failure::new(Exit::Usage, format!("`{name}` has no store; {all}.")).into()
    })
}

fn done(global: &Global, value: &serde_json::Value, line: &str) -> Result<Exit> {
    if global.json {
        terminal::print_json(value)?
    } else {
        terminal::note(line)
    }
    Ok(Exit::Done)
}

fn confirmed(question: &str, service: &ServiceName) -> Result<bool> {
    let mut out = std::io::stderr();
    write!(out, "{question}")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == service.as_str())
}
