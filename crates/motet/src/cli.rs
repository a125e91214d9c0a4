//! What can be typed: every command with its flags, and nothing about what they do.

mod events;
mod fault;
mod jobs;

pub(crate) use events::{DeadLetters, DeadLettersCommand, Letters, Publish, Replay, Subscription, Tail};
pub(crate) use fault::{Fault, FaultAdd, FaultCommand, FaultRemove};
pub(crate) use jobs::{Jobs, JobsCommand, RunJob};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Runs an AI system that is made of many services as if it were one program.
#[derive(Debug, Parser)]
#[command(name = "motet", version, about, max_term_width = 100, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 errors in the definition, 4 not running, 5 timed out, 6 a service failed, 130 interrupted.";

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Work as if started in this folder.
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// The definition; looked for as motet.yaml in this folder and its parents when not given.
    #[arg(long, global = true, value_name = "FILE", env = "MOTET_FILE", hide_env_values = true)]
    pub(crate) file: Option<PathBuf>,
    /// Lay this profile over the definition; may be given several times.
    #[arg(
        short,
        long = "profile",
        global = true,
        value_name = "NAME",
        env = "MOTET_PROFILE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) profiles: Vec<String>,
    /// Where the system keeps its state; `.motet` beside the definition when not given.
    #[arg(long, global = true, value_name = "DIR", env = "MOTET_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build what changed, start everything in order, wait until it is ready, follow it
    Up(Up),
    /// Stop the system in good order
    Down(Down),
    /// Show services and instances
    Ps(Ps),
    /// Show what services print
    Logs(Logs),
    /// Replace the instances of services one by one
    Restart(Restart),
    /// Set the number of instances of services
    Scale(Scale),
    /// Call a service over the rules of an edge
    Call(Call),
    /// Put faults on an edge or a route, to see what the system does
    Fault(Fault),
    /// Print the metrics that Prometheus collects
    Metrics(Metrics),
    /// Look into the data that services own
    Store(Store),
    /// Show topics and subscriptions: what is kept, how fast, and what waits
    Topics,
    /// Show what each engine of events keeps, and what Motet adds to it
    Engines,
    /// Publish an event
    Publish(Publish),
    /// Show the events of a topic as they are published
    Tail(Tail),
    /// List dead letters, deliver them again, or drop them
    DeadLetters(DeadLetters),
    /// Ask services for jobs, list them, fetch their results, cancel them or begin them again
    Jobs(Jobs),
    /// Let a subscription begin again at another place of its topic
    Replay(Replay),
    /// Send a subscription nothing until it is resumed
    Pause(Subscription),
    /// Go on with a subscription that was paused
    Resume(Subscription),
    /// Validate the definition and lint the architecture
    Check(Check),
    /// Explain a key of the definition, the policy of an edge or a route, a topic, or an error code
    Explain(Explain),
    /// Print the JSON Schema of the definition
    Schema(Schema),
    /// Begin a new system
    New(New),
    /// Look whether this machine has what the system needs
    Doctor,
    /// Print the completions of a shell
    Completions(Completions),
    /// Run the roles of Motet in this process (what `up` starts in the background)
    #[command(hide = true)]
    Serve(Serve),
    /// End what a dead Motet left behind
    #[command(hide = true)]
    Guard,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Return when the system has been started instead of following it.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// With --detach: return only when everything is ready.
    #[arg(long)]
    pub(crate) wait: bool,
    /// With --wait: how long at most.
    #[arg(long, value_name = "TIME", default_value = "30m")]
    pub(crate) wait_timeout: String,
    /// Rebuild and replace a service when its files change.
    #[arg(short, long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Down {
    /// How long to wait for everything to have stopped.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: String,
}

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Only these services.
    pub(crate) services: Vec<String>,
    /// Show the edges and routes too, and what went over them in the last minute.
    #[arg(short, long)]
    pub(crate) edges: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Only these services.
    pub(crate) services: Vec<String>,
    /// Go on with what is printed from now on.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the last lines of each service.
    #[arg(short = 'n', long, default_value_t = 100)]
    pub(crate) tail: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// The services; all when none is given.
    pub(crate) services: Vec<String>,
    /// How long to wait until the new instances are ready.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) timeout: String,
}

#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// Service and number: `embedder=3`.
    #[arg(required = true, value_name = "SERVICE=NUMBER")]
    pub(crate) targets: Vec<String>,
    /// How long to wait until that many are ready.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) timeout: String,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// A service (`embedder`) or an edge (`answerer->embedder`).
    pub(crate) target: String,
    /// The path with its query.
    #[arg(default_value = "/")]
    pub(crate) path: String,
    /// The method; GET, or POST when there is a body.
    #[arg(short = 'X', long)]
    pub(crate) method: Option<String>,
    /// The body; `@file` reads it from a file, `@-` from standard input. Sent as JSON when it is JSON.
    #[arg(short, long)]
    pub(crate) data: Option<String>,
    /// A header, `Name: value`; may be given several times.
    #[arg(short = 'H', long = "header")]
    pub(crate) headers: Vec<String>,
    /// Print status and headers of the answer too.
    #[arg(short, long)]
    pub(crate) include: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// As OpenMetrics instead of Prometheus' text format.
    #[arg(long)]
    pub(crate) openmetrics: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Store {
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// List the stores
    List,
    /// Open the engine's shell on a store
    Shell {
        /// Whose store.
        service: String,
    },
    /// Write a store into a file, while the service may go on
    Backup {
        /// Whose store.
        service: String,
        /// The file to make; named after the service and the time when not given.
        #[arg(value_name = "BACKUP")]
        backup: Option<PathBuf>,
    },
    /// Put a backup in the place of a store
    Restore {
        /// Whose store.
        service: String,
        /// The backup.
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
        /// Even while the service uses it.
        #[arg(long)]
        force: bool,
    },
    /// Empty a store
    Reset {
        /// Whose store.
        service: String,
        /// Even while the service uses it.
        #[arg(long)]
        force: bool,
        /// Don't ask.
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Treat warnings as errors.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A key (`uses.timeout`), an error code (`MO-model-101`), `edge caller->callee`, `route /path`, or `topic document.indexed`.
    #[arg(required = true)]
    pub(crate) subject: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Of which document.
    #[arg(default_value = "motet")]
    pub(crate) document: Document,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Document {
    /// motet.yaml
    Motet,
    /// service.yaml
    Service,
    /// The control API (OpenAPI)
    ControlApi,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    #[command(subcommand)]
    pub(crate) command: NewCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NewCommand {
    /// A new system with two small services that call each other
    System {
        /// Its name, and that of the folder.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Rebuild and replace a service when its files change.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Stop in good order when standard input ends: when whoever started this is gone.
    #[arg(long)]
    pub(crate) attached: bool,
}
