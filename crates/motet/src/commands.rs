//! One file per command; this one only says which is which.

mod call;
mod check;
mod completions;
mod dead_letters;
mod doctor;
mod down;
mod engines;
mod explain;
pub(crate) mod fault;
mod guard;
mod jobs;
mod logs;
mod metrics;
mod new;
mod pause;
mod ps;
mod publish;
mod replay;
mod restart;
mod scale;
mod schema;
mod serve;
mod store;
mod tail;
mod topics;
mod up;
mod wait;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
};
use anyhow::Result;

/// Runs the command that was typed.
pub(crate) async fn run(cli: &Cli) -> Result<Exit> {
    let global = &cli.global;
    match &cli.command {
        Command::Up(arguments) => up::run(global, arguments).await,
        Command::Down(arguments) => down::run(global, arguments).await,
        Command::Ps(arguments) => ps::run(global, arguments).await,
        Command::Logs(arguments) => logs::run(global, arguments).await,
        Command::Restart(arguments) => restart::run(global, arguments).await,
        Command::Scale(arguments) => scale::run(global, arguments).await,
        Command::Call(arguments) => call::run(global, arguments).await,
        Command::Fault(arguments) => fault::run(global, arguments).await,
        Command::Metrics(arguments) => metrics::run(global, arguments).await,
        Command::Store(arguments) => store::run(global, arguments).await,
        Command::Topics => topics::run(global).await,
        Command::Engines => engines::run(global),
        Command::Publish(arguments) => publish::run(global, arguments).await,
        Command::Tail(arguments) => tail::run(global, arguments).await,
        Command::DeadLetters(arguments) => dead_letters::run(global, arguments).await,
        Command::Jobs(arguments) => jobs::run(global, arguments).await,
        Command::Replay(arguments) => replay::run(global, arguments).await,
        Command::Pause(arguments) => pause::run(global, arguments, true).await,
        Command::Resume(arguments) => pause::run(global, arguments, false).await,
        Command::Check(arguments) => check::run(global, arguments),
        Command::Explain(arguments) => explain::run(global, arguments),
        Command::Schema(arguments) => schema::run(arguments),
        Command::New(arguments) => new::run(global, arguments),
        Command::Doctor => doctor::run(global),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Serve(arguments) => serve::run(global, arguments).await,
        Command::Guard => guard::run(),
    }
}
