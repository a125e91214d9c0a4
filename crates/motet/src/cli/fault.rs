//! What can be typed about faults.

use crate::commands::fault::parse;
use clap::{Args, Subcommand};
use motet_api::wire::fault::Strike;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Fault {
    #[command(subcommand)]
    pub(crate) command: FaultCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FaultCommand {
    /// Put faults on an edge or a route; one of the same kind that is there already is replaced
    Add(Box<FaultAdd>),
    /// List the faults that are in force
    List,
    /// Remove the faults of an edge or a route, or all
    Remove(FaultRemove),
}

#[derive(Debug, Args)]
#[command(
    after_help = "SHARE is a percentage (10%) or a fraction (0.1) of all tries; all of them when it is left out."
)]
#[group(skip)]
pub(crate) struct FaultAdd {
    #[command(flatten)]
    pub(crate) place: FaultPlace,
    /// Requests reach the callee so much later.
    #[arg(long, value_name = "TIME[:SHARE]", value_parser = parse::latency)]
    pub(crate) latency: Option<Strike>,
    /// The callee is not asked, and this status is the answer; may be given several times.
    #[arg(long, value_name = "STATUS[:SHARE]", value_parser = parse::abort)]
    pub(crate) abort: Vec<Strike>,
    /// Answers break off after so much of their body.
    #[arg(long, value_name = "SIZE[:SHARE]", value_parser = parse::cut)]
    pub(crate) cut: Option<Strike>,
    /// Answers come no faster than this.
    #[arg(long, value_name = "SIZE/s[:SHARE]", value_parser = parse::slow)]
    pub(crate) slow: Option<Strike>,
    /// The callee is not asked, and there is no answer.
    #[arg(long, value_name = "SHARE", value_parser = parse::blackhole, num_args = 0..=1, require_equals = true, default_missing_value = "100%")]
    pub(crate) blackhole: Option<Strike>,
    /// The faults end by themselves after this time; without it they stay until they are removed or the system stops.
    #[arg(long = "for", value_name = "TIME", value_parser = parse::time)]
    pub(crate) lasts: Option<Duration>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct FaultPlace {
    /// An edge: `caller->callee`, in quotes because of the arrow.
    #[arg(short, long, value_name = "EDGE", value_parser = parse::edge)]
    pub(crate) edge: Option<String>,
    /// A route of the gateway: its path.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) route: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct FaultRemove {
    /// Those of an edge: `caller->callee`.
    #[arg(short, long, value_name = "EDGE", value_parser = parse::edge)]
    pub(crate) edge: Option<String>,
    /// Those of a route of the gateway: its path.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) route: Option<String>,
    /// Those of all edges and routes.
    #[arg(short, long)]
    pub(crate) all: bool,
}
