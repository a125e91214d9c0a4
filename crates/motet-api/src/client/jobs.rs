//! Jobs: asked for, looked at, cancelled and tried again.

use super::{ANSWER_WITHIN, Client, encode, read, refused};
use crate::{
    error::CallError,
    port::jobs::JobQuery,
    wire::jobs::{Job, Jobs},
};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// What a service answered to a job.
#[derive(Debug, Clone)]
pub struct JobResult {
    /// The job's state, as it is written.
    pub state: String,
    /// The status of the answer; 202 while there is none.
    pub status: u16,
    /// The media type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Jobs, those first that were asked for last.
    pub async fn jobs(&self, query: &JobQuery) -> Result<Jobs, CallError> {
        let mut path = format!("/v1/jobs?max={}", query.most);
        for (name, value) in [
            ("service", query.service.as_deref()),
            ("state", query.state.map(|state| state.as_str())),
            ("before", query.before.as_deref()),
        ] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        read(self.send(self.request(Method::GET, &path).timeout(ANSWER_WITHIN)).await?).await
    }

    /// Makes a POST to a path of a service a job; durable when this returns.
    pub async fn run_job(
        &self,
        service: &str,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Job, CallError> {
        let path = format!("/v1/services/{}/jobs/{}", encode(service), path.trim_start_matches('/'));
        let mut request = self.request(Method::POST, &path).timeout(ANSWER_WITHIN).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        read(self.send(request).await?).await
    }

    /// A job as it is; after its end or after `wait`, whatever is first.
    pub async fn job(&self, id: &str, wait: Duration) -> Result<Job, CallError> {
        let path = format!("/v1/jobs/{}?wait={}ms", encode(id), wait.as_millis());
        read(self.send(self.request(Method::GET, &path).timeout(ANSWER_WITHIN + wait)).await?).await
    }

    /// What a service answered to a job.
    pub async fn job_result(&self, id: &str, wait: Duration) -> Result<JobResult, CallError> {
        let path = format!("/v1/jobs/{}/result?wait={}ms", encode(id), wait.as_millis());
        let request = self.request(Method::GET, &path).timeout(ANSWER_WITHIN + wait);
        let answer = request.send().await.map_err(CallError::Unreachable)?;
        let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // An answer of the service may be a refusal, and is no refusal of ours.
        let Some(state) = text("x-motet-job-state") else { return Err(refused(answer).await) };
        let (status, content_type) = (answer.status().as_u16(), text("content-type").unwrap_or_default());
        let body = answer.bytes().await.map_err(CallError::Unreachable)?.to_vec();
        Ok(JobResult { state, status, content_type, body })
    }

    /// Ends a job.
    pub async fn cancel_job(&self, id: &str) -> Result<Job, CallError> {
        read(self.post(&format!("/v1/jobs/{}/cancel", encode(id)), &Value::Null).await?).await
    }

    /// Begins a job that failed or was cancelled anew.
    pub async fn retry_job(&self, id: &str) -> Result<Job, CallError> {
        read(self.post(&format!("/v1/jobs/{}/retry", encode(id)), &Value::Null).await?).await
    }
}
