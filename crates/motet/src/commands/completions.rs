//! `motet completions bash`: what a shell needs to complete Motet's command line.

use crate::{
    cli::{Cli, Completions},
    exit::Exit,
};
use anyhow::Result;
use clap::CommandFactory as _;

#[expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]
pub(crate) fn run(arguments: &Completions) -> Result<Exit> {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "motet", &mut std::io::stdout());
    Ok(Exit::Done)
}
