//! Jobs, as the control API sees them.

use super::Controlled;
use crate::roles::jobs::{Who, job_id, refused, shown};
use async_trait::async_trait;
use motet_api::{
    error::Refusal,
    port::{JobsControl, jobs::JobQuery},
    services::port::jobs::Jobs,
    wire::jobs as wire,
};
use motet_jobs::{List, State};
use std::sync::Arc;

#[async_trait]
impl JobsControl for Controlled {
    fn jobs(&self) -> Result<Arc<dyn Jobs>, Refusal> {
        let running = self.0.events.jobs();
        let running = running.ok_or_else(|| {
            Refusal::NotPossible(
                "no service of this system takes jobs: one does that has `jobs: {}` in the definition".to_owned(),
            )
        })?;
        Ok(running.door(Who::Operator))
    }

    async fn list_jobs(&self, query: JobQuery) -> Result<wire::Jobs, Refusal> {
        let Some(running) = self.0.events.jobs() else { return Ok(wire::Jobs::default()) };
        let list = List {
            service: query.service,
            state: query.state.and_then(|state| State::ALL.into_iter().find(|own| own.as_str() == state.as_str())),
            before: query.before.as_deref().map(job_id).transpose()?,
            most: query.most,
        };
        let (found, next) = running.handle.list(list).await.map_err(|error| refused(&error))?;
        Ok(wire::Jobs { jobs: found.iter().map(shown).collect(), next: next.map(|id| id.to_string()) })
    }
}
