//! The `motet` binary: reads the command line and hands over to one file per command.

mod cli;
mod commands;
mod connect;
mod exit;
mod place;
mod roles;
mod terminal;

use clap::Parser as _;
use exit::{Exit, Failure};
use std::process::ExitCode;

/// The data plane makes and drops some dozens of small pieces per request: this allocator costs it a third of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    terminal::set_up(cli.global.color, cli.global.json);
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit);
            terminal::report::error(&error, cli.global.json);
            exit.into()
        }
    }
}

fn run(cli: &cli::Cli) -> anyhow::Result<Exit> {
    if let Some(dir) = &cli.global.directory {
        std::env::set_current_dir(dir).map_err(|error| anyhow::anyhow!("{}: {error}", dir.display()))?;
    }
    // Only the process that runs a system has work for several threads.
    let mut builder = match cli.command {
        cli::Command::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build()?;
    let exit = runtime.block_on(commands::run(cli));
    // A thread that reads the terminal cannot be interrupted; it must not keep the process.
    runtime.shutdown_background();
    exit
}
