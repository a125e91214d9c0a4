//! What people may do with jobs: everything that their callers and their handlers may, and look at all of them.

use crate::{error::Refusal, services::port::jobs::Jobs, wire::jobs as wire};
use async_trait::async_trait;
use std::sync::Arc;

/// Which jobs are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Of this service only.
    pub service: Option<String>,
    /// In this state only.
    pub state: Option<wire::State>,
    /// Only those that were asked for before this one.
    pub before: Option<String>,
    /// So many at most.
    pub most: usize,
}

/// The jobs of a running system.
#[async_trait]
pub trait JobsControl: Send + Sync + 'static {
    /// The operator's way to jobs. Nothing where no service takes any.
    fn jobs(&self) -> Result<Arc<dyn Jobs>, Refusal>;

    /// Jobs, those first that were asked for last.
    async fn list_jobs(&self, query: JobQuery) -> Result<wire::Jobs, Refusal>;
}
