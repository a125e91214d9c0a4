//! The supervisor from outside: orders that are answered when they are accepted, and the picture that shows what became of them.

use crate::{
    error::{ApplyError, Ended, OrderError},
    logs::Logs,
    spec::ServiceSpec,
    status::{BuildStatus, Status},
};
use motet_kernel::name::ServiceName;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};

/// An order and where its answer goes.
pub(crate) enum Request {
    Apply(Vec<ServiceSpec>, oneshot::Sender<Result<(), ApplyError>>),
    Scale(ServiceName, u32, oneshot::Sender<Result<u64, OrderError>>),
    Restart(ServiceName, oneshot::Sender<Result<u64, OrderError>>),
    Rebuild(ServiceName, oneshot::Sender<Result<u64, OrderError>>),
    StopAll(oneshot::Sender<()>),
}

/// A build that was asked for did not succeed. What ran before runs on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// The order was refused.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The build failed.
    #[error("{reason}")]
    Failed {
        /// How it ended.
        reason: String,
        /// Its last output.
        lines: Vec<String>,
    },
}

/// Gives orders to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    picture: watch::Receiver<Arc<Status>>,
    logs: Logs,
}

impl Handle {
    pub(super) fn new(requests: mpsc::Sender<Request>, picture: watch::Receiver<Arc<Status>>, logs: Logs) -> Self {
        Self { requests, picture, logs }
    }

    /// Sets the whole wanted set: new services are started, changed ones replaced one instance at a time, missing ones stopped, and
    /// the rest is left alone. A number of instances that was set with [`Handle::scale`] stays until the spec's own changes.
    ///
    /// # Errors
    /// When the set could never come to rest. Nothing changes then.
    pub async fn apply(&self, specs: Vec<ServiceSpec>) -> Result<(), ApplyError> {
        self.ask(|reply| Request::Apply(specs, reply)).await?
    }

    /// Sets the number of instances. Returns at once, with the generation that they belong to.
    ///
    /// # Errors
    /// When there is no such service, or it can have one instance only.
    pub async fn scale(&self, service: &ServiceName, instances: u32) -> Result<u64, OrderError> {
        self.ask(|reply| Request::Scale(service.clone(), instances, reply)).await?
    }

    /// Replaces all instances, one at a time: a new one is ready before an old one is drained, unless its port is fixed. Returns at once, with
    /// the generation that replaces the old ones; done when the service is settled in it.
    ///
    /// # Errors
    /// When there is no such service.
    pub async fn restart(&self, service: &ServiceName) -> Result<u64, OrderError> {
        self.ask(|reply| Request::Restart(service.clone(), reply)).await?
    }

    /// Builds, waits for the end of the build, and then replaces all instances as [`Handle::restart`] does. Without a build there is only
    /// the replacement. Dropping the future does not break off the build.
    ///
    /// # Errors
    /// When there is no such service or its build fails. What ran before runs on then.
    pub async fn rebuild(&self, service: &ServiceName) -> Result<(), RebuildError> {
        self.ask(|reply| Request::Rebuild(service.clone(), reply)).await.map_err(OrderError::from)??;
        let mut picture = self.picture.clone();
        let is_built =
            |status: &Arc<Status>| status.services.get(service).is_none_or(|it| it.build != BuildStatus::Running);
        let status = picture.wait_for(is_built).await.map_err(|_| OrderError::from(Ended))?;
        match status.services.get(service).map(|it| &it.build) {
            Some(BuildStatus::Failed { reason, lines }) => {
                Err(RebuildError::Failed { reason: reason.clone(), lines: lines.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Stops everything, dependants first, and returns when nothing runs any more. The wanted set stays, until the next [`Handle::apply`]
    /// starts it again.
    ///
    /// # Errors
    /// When the supervisor has ended: then nothing runs either.
    pub async fn stop_all(&self) -> Result<(), Ended> {
        self.ask(Request::StopAll).await
    }

    /// The picture of all services, new with each change.
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.picture.clone()
    }

    /// Waits until the picture shows something, for `limit` at most; then `None`.
    pub async fn wait_for(&self, limit: Duration, mut holds: impl FnMut(&Status) -> bool) -> Option<Arc<Status>> {
        let mut picture = self.picture.clone();
        let wait = picture.wait_for(|status| holds(status));
        tokio::time::timeout(limit, wait).await.ok()?.ok().map(|status| Arc::clone(&status))
    }

    /// What services say.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    async fn ask<A>(&self, request: impl FnOnce(oneshot::Sender<A>) -> Request) -> Result<A, Ended> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }
}
