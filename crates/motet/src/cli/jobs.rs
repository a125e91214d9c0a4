//! What can be typed about jobs.

use clap::{Args, Subcommand};
use motet_api::wire::jobs::State;

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    pub(crate) command: JobsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, those first that were asked for last
    List {
        /// Of this service; of all when not given.
        service: Option<String>,
        /// In this state: `queued`, `running`, `retrying`, `succeeded`, `failed` or `cancelled`.
        #[arg(long = "in", value_name = "STATE")]
        in_state: Option<State>,
        /// How many at most.
        #[arg(short = 'n', long, default_value_t = 100)]
        max: usize,
    },
    /// Show one
    Show {
        /// Its id.
        job: String,
    },
    /// Print what the service answered, as it was
    Result {
        /// Its id.
        job: String,
        /// Wait so long for its end.
        #[arg(long, value_name = "TIME")]
        wait: Option<String>,
    },
    /// End one: it never begins, or its request is taken back
    Cancel {
        /// Its id.
        job: String,
    },
    /// Begin one anew that failed or was cancelled
    Retry {
        /// Its id.
        job: String,
    },
    /// Ask a service for a job
    Run(RunJob),
}

#[derive(Debug, Args)]
pub(crate) struct RunJob {
    /// Which service.
    pub(crate) service: String,
    /// The path with its query.
    pub(crate) path: String,
    /// The body; `-` reads it from standard input. Sent as JSON when it is JSON.
    pub(crate) data: Option<String>,
    /// A header, `Name: value`; may be given several times.
    #[arg(short = 'H', long = "header")]
    pub(crate) headers: Vec<String>,
    /// Begin it so much later.
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<String>,
    /// Wait so long for its end, and print the result.
    #[arg(long, value_name = "TIME")]
    pub(crate) wait: Option<String>,
}
