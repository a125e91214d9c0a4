//! From a command line to the system that it means: finds the definition, its state folder and the process that runs it.

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    place::Place,
    roles::events::Knows,
    terminal::report,
};
use anyhow::{Context as _, Result};
use motet_api::client::Client;
use motet_model::{LoadOptions, Loaded};
use std::{
    env,
    path::{Path, PathBuf},
};

/// The names under which a definition is looked for.
const NAMES: [&str; 2] = ["motet.yaml", "motet.yml"];

/// The definition's file: the one that was named, or the nearest one in this folder and its parents.
pub(crate) fn definition_file(global: &Global) -> Result<PathBuf> {
    if let Some(file) = &global.file {
        return std::path::absolute(file).with_context(|| format!("{} is not a path", file.display()));
    }
    let here = env::current_dir().context("the current folder cannot be read")?;
    let found = here.ancestors().flat_map(|dir| NAMES.map(|name| dir.join(name))).find(|file| file.is_file());
    found.ok_or_else(|| Failure::new(Exit::Definition, nothing_found(&here)).into())
}

fn nothing_found(here: &Path) -> String {
    let mut message = format!("There is no motet.yaml in {} or any folder above it.", here.display());
    let compose = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
    if let Some(name) = compose.iter().find(|name| here.join(name).is_file()) {
        message.push_str(&format!(" ({name} is here, but that is a definition for Docker Compose.)"));
    }
    message.push_str("\n  `motet new system NAME` begins one; `-C DIR` or `--file FILE` names another place.");
    message
}

/// Which definition is meant and with what it is read.
pub(crate) fn load_options(global: &Global) -> Result<LoadOptions> {
    Ok(LoadOptions {
        file: definition_file(global)?,
        profiles: global.profiles.clone(),
        env: env::vars().collect(),
        judge: Some(&Knows),
    })
}

/// The definition, read and without errors. Errors are printed, all of them.
pub(crate) fn load(global: &Global) -> Result<Loaded> {
    let options = load_options(global)?;
    motet_model::load(&options).map_err(|problems| report::problems(&problems, global.json))
}

/// The state folder of the system that is meant. Needs the definition's place, not its content.
pub(crate) fn place(global: &Global) -> Result<Place> {
    let file = definition_file(global)?;
    let dir = file.parent().context("a file has a folder")?;
    Place::new(dir, global.state.as_deref())
}

/// A client of the running system; fails with [`Exit::NotRunning`] when none runs.
pub(crate) fn running(global: &Global) -> Result<Client> {
    let place = place(global)?;
    match place.door()? {
        Some(door) => Ok(Client::new(&door.socket)?),
        None => Err(Failure::new(Exit::NotRunning, "The system is not running. `motet up` starts it.").into()),
    }
}
