//! What travels over the control API. Times are RFC 3339, sizes are bytes, durations are milliseconds and say so in their names.

pub mod events;
pub mod fault;
pub mod jobs;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A running system as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct System {
    /// The system's name.
    pub system: String,
    /// The definition's file.
    pub file: String,
    /// The profiles laid over it.
    pub profiles: Vec<String>,
    /// The life of the supervising process; a restart of Motet makes a new one.
    pub session: String,
    /// The process that runs it.
    pub pid: u32,
    /// Since when.
    pub started_at: String,
    /// How it is as a whole.
    pub phase: SystemPhase,
    /// Its public door.
    pub gateway: Option<Gateway>,
    /// Its services, in the order of their names.
    pub services: Vec<Service>,
    /// Its edges, in the order of caller and callee.
    pub edges: Vec<Edge>,
    /// Faults that people have put on edges and routes.
    pub faults: Vec<fault::Fault>,
}

/// How a system is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemPhase {
    /// Something is on its way and nothing has failed.
    Starting,
    /// Everything that should serve serves.
    Ready,
    /// Something has failed; the rest goes on.
    Degraded,
    /// It has been asked to stop.
    Stopping,
}

/// The public door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// Where it answers.
    pub url: String,
    /// What it lets in.
    pub routes: Vec<Route>,
}

/// A public way in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Path prefix.
    pub path: String,
    /// The service that answers.
    pub to: String,
    /// What went over it.
    pub traffic: Traffic,
}

/// A service and its instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: Option<String>,
    /// The bounded context it belongs to.
    pub context: Option<String>,
    /// What it is doing.
    pub phase: Phase,
    /// The same in words: `waiting for embedder`, `3 of 3 ready`.
    pub detail: String,
    /// Since when it is in that phase.
    pub since: String,
    /// How many instances it should have.
    pub wanted: u32,
    /// How many of them may get requests.
    pub ready: u32,
    /// The address at which `motet call` reaches it.
    pub url: Option<String>,
    /// What went wrong last, if anything did since it was last started by hand.
    pub failure: Option<Failure>,
    /// Its instances, oldest first.
    pub instances: Vec<Instance>,
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not started yet: something it depends on is not ready.
    Waiting,
    /// Its build runs.
    Building,
    /// Its migration runs.
    Preparing,
    /// Started, and not ready yet.
    Starting,
    /// All instances are ready.
    Ready,
    /// Fewer instances than wanted are ready.
    Degraded,
    /// It fails again and again; it is tried at the longest interval.
    CrashLoop,
    /// It will not be started before something changes: its build or its migration failed.
    Failed,
    /// It ran to completion.
    Completed,
    /// On its way down.
    Stopping,
    /// Not running, as wanted.
    Stopped,
    /// Runs elsewhere.
    External,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// In words: `killed by SIGKILL`, `exited with 3`, `build failed`.
    pub reason: String,
    /// When.
    pub at: String,
    /// The last lines it printed.
    pub last_lines: Vec<String>,
}

/// One running copy of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its name for people: `embedder-2`.
    pub label: String,
    /// The process.
    pub pid: Option<u32>,
    /// The port it listens on.
    pub port: Option<u16>,
    /// `starting`, `ready`, `draining`, `stopping`, `backoff`, `exited`.
    pub state: String,
    /// Since when it runs.
    pub started_at: Option<String>,
    /// How often its place was filled again after a failure.
    pub restarts: u32,
    /// Share of one core, in percent.
    pub cpu_percent: Option<f32>,
    /// Resident memory of its processes.
    pub memory_bytes: Option<u64>,
    /// Requests that it is working on for the data plane.
    pub in_flight: u64,
}

/// A declared dependency and what went over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// The address that the caller was given.
    pub url: String,
    /// What went over it.
    pub traffic: Traffic,
}

/// What went over an edge or a route since it came to be, and what goes over it now.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Requests that came in.
    pub requests: u64,
    /// Answers with a status of 500 or above, Motet's own among them.
    pub failures: u64,
    /// Motet's own answers by error code; codes that did not occur are left out.
    pub errors: BTreeMap<String, u64>,
    /// Tries beyond the first.
    pub retries: u64,
    /// Second copies of requests that took long.
    pub hedges: u64,
    /// Requests that were answered by a fallback.
    pub fallbacks: u64,
    /// Requests whose caller went away.
    pub cancelled: u64,
    /// Requests under way, those that wait for their turn among them.
    pub in_flight: u64,
    /// Requests that wait for their turn.
    pub queued: u64,
    /// The instances that are left alone because they fail, by label.
    pub ejected: Vec<String>,
    /// The last minute.
    pub recent: Recent,
}

/// What went over an edge or a route of late.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Recent {
    /// How long a time this is about: about a minute, less after a start.
    pub over_ms: u64,
    /// Requests per second.
    pub requests_per_second: f64,
    /// Of all answers, the share with a status of 500 or above. Missing when there were none.
    pub failure_share: Option<f64>,
    /// Half of the answers began within this time. Taken from a histogram whose buckets double, so it is an estimate. Missing when there were no answers.
    pub p50_ms: Option<f64>,
    /// 99 of 100 answers began within this time.
    pub p99_ms: Option<f64>,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was read.
    pub at: String,
    /// The service.
    pub service: String,
    /// The instance's label.
    pub instance: String,
    /// `out`, `err`, `build` or `motet`.
    pub stream: String,
    /// The line without its end.
    pub text: String,
}

/// What a stream of logs carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogEvent {
    /// A line.
    Line(LogLine),
    /// This many lines were passed over because the reader was too slow; they are in the files.
    Lost(u64),
}

/// How many instances a service should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScaleRequest {
    /// The number wanted; 0 stops the service.
    pub instances: u32,
}

/// Which definition the system should follow from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplyRequest {
    /// The profiles to lay over it; those of the running system when not given.
    pub profiles: Option<Vec<String>>,
    /// Whether changed files are to rebuild and replace their services from now on.
    pub watch: Option<bool>,
}

/// What applying a definition changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// Services that are new.
    pub added: Vec<String>,
    /// Services whose definition changed.
    pub changed: Vec<String>,
    /// Services that are gone.
    pub removed: Vec<String>,
    /// Whether the gateway or one of its routes changed.
    #[serde(default)]
    pub gateway: bool,
}

/// An error, as RFC 9457 problem details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URN that names the kind of problem: `urn:motet:error:MO-api-101`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, where, and what to do.
    pub detail: String,
}
