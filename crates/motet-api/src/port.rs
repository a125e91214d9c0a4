//! What the control API needs from the system that it controls.

pub mod events;
pub mod jobs;

use crate::{
    error::Refusal,
    exposition::Family,
    wire::{
        Applied, ApplyRequest, LogEvent, System,
        fault::{AddFaults, Door, Fault},
    },
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use tokio::sync::watch;

pub use events::EventsControl;
pub use jobs::JobsControl;

/// Which lines of output are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only these services; empty means all.
    pub services: Vec<String>,
    /// This many of the last lines of each first.
    pub tail: usize,
    /// Whether the stream goes on with what is printed from now on.
    pub follow: bool,
}

/// A running system.
#[async_trait]
pub trait Control: EventsControl + JobsControl {
    /// The system as it is; the receiver sees each change.
    fn system(&self) -> watch::Receiver<Arc<System>>;

    /// Lines of output. The stream ends by itself unless `follow` is asked for; it never holds more than a bounded number of lines for a slow reader.
    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogEvent>, Refusal>;

    /// Replaces the instances of a service one by one.
    async fn restart(&self, service: &str) -> Result<(), Refusal>;

    /// Sets the number of instances of a service.
    async fn scale(&self, service: &str, instances: u32) -> Result<(), Refusal>;

    /// Reads the definition again and makes the system match it.
    async fn apply(&self, request: ApplyRequest) -> Result<Applied, Refusal>;

    /// The faults that are in force.
    fn faults(&self) -> Vec<Fault>;

    /// Puts faults on an edge or a route; returns all that are there then.
    fn add_faults(&self, request: AddFaults) -> Result<Vec<Fault>, Refusal>;

    /// Removes the faults of an edge or a route, or all; returns what was removed.
    fn remove_faults(&self, door: Option<Door>) -> Result<Vec<Fault>, Refusal>;

    /// All metrics as they are now.
    async fn metrics(&self) -> Vec<Family>;

    /// Asks the system to stop in good order. Returns at once; the process ends when everything has stopped.
    async fn down(&self) -> Result<(), Refusal>;
}
