//! The way of a job to its service, through the data plane like any call; and the way of its end to those who want to know.

use super::shown::shown;
use crate::roles::events::{self, Declared};
use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use motet_api::services::{Refusal, jobs::kept_of_answer};
use motet_broker::{Event, Handle as Broker};
use motet_jobs::{Answer, Call, Job, NotAnnounced, Reach};
use motet_kernel::name::ServiceName;
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const JOB: HeaderName = HeaderName::from_static("x-motet-job");
const ATTEMPT: HeaderName = HeaderName::from_static("x-motet-job-attempt");
const FROM: HeaderName = HeaderName::from_static("x-motet-job-from");
const DEADLINE: HeaderName = HeaderName::from_static("x-motet-deadline-ms");

/// The way to services and topics.
pub(super) struct Way {
    client: reqwest::Client,
    edges: RwLock<BTreeMap<ServiceName, String>>,
    broker: Broker,
    declared: Arc<ArcSwap<Declared>>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("edges", &*self.edges.read()).finish_non_exhaustive()
    }
}

impl Way {
    pub(super) fn new(broker: Broker, declared: Arc<ArcSwap<Declared>>) -> Result<Self> {
        let client = reqwest::Client::builder()
            // A redirection would leave the edge, and with it the system.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .context("jobs cannot be sent")?;
        Ok(Self { client, edges: RwLock::default(), broker, declared })
    }

    /// Says where services are from now on.
    pub(super) fn lead(&self, edges: &BTreeMap<ServiceName, String>) {
        self.edges.write().clone_from(edges);
    }

    async fn send(&self, url: &str, call: Call) -> Result<Answer, reqwest::Error> {
        let most = call.answer_max_bytes;
        let mut answer = self.client.post(url).headers(headers(&call)).body(call.body).send().await?;
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(events::retry_after);
        let (mut body, mut is_whole) = (BytesMut::new(), true);
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > most {
                is_whole = false;
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: kept_of_answer(answer.headers()),
            body: is_whole.then(|| body.freeze()),
            retry_after_ms: retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        })
    }
}

fn headers(call: &Call) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(call.headers.len() + 4);
    for (name, value) in &call.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    for (name, value) in [(JOB, call.job.to_string()), (FROM, call.caller.clone())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers.insert(ATTEMPT, HeaderValue::from(call.attempt));
    headers.insert(DEADLINE, HeaderValue::from(u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX)));
    headers
}

/// The end of a job as an event: what its callback carries, and what is published.
fn event(job: &Job) -> Option<Event> {
    let told = serde_json::to_vec(&shown(job)).ok()?;
    let kind = format!("motet.job.{}", job.state.as_str());
    let (id, source, subject) =
        (format!("{}.{}", job.id, job.round), format!("/jobs/{}", job.target.service), job.id.to_string());
    Event::builder(&id, &source, &kind)
        .subject(subject.as_str())
        .content_type("application/json")
        .data(told)
        .build()
        .ok()
}

#[async_trait]
impl Reach for Way {
    async fn call(&self, call: Call) -> Result<Answer, String> {
        let edge = self.edges.read().get(call.target.service.as_str()).cloned();
        let edge = edge.ok_or_else(|| format!("service `{}` has no address yet", call.target.service))?;
        let url = format!("{}{}", edge.trim_end_matches('/'), call.target.path);
        self.send(&url, call).await.map_err(|error| said(&error))
    }

    fn notice(&self, job: &Job) -> (Vec<(String, String)>, Bytes) {
        let Some(event) = event(job) else { return (Vec::new(), Bytes::new()) };
        let mut headers = HeaderMap::new();
        let body = motet_cloudevents::http::binary(&event, &mut headers);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        (headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(), body)
    }

    async fn announce(&self, topic: &str, job: &Job) -> Result<(), NotAnnounced> {
        let never = |why: String| NotAnnounced::Ever(why);
        let topic = topic.parse().map_err(|error| never(format!("{error}")))?;
        let event = event(job).ok_or_else(|| never("the job does not fit into an event".to_owned()))?;
        match events::publish(&self.broker, &self.declared, &topic, vec![event]).await {
            Ok(_) => Ok(()),
            Err(refusal @ (Refusal::Busy { .. } | Refusal::Unavailable { .. })) => {
                Err(NotAnnounced::Yet(refusal.to_string()))
            }
            Err(refusal) => Err(never(refusal.to_string())),
        }
    }
}

/// An error with what is behind it: `error sending request` alone helps nobody.
fn said(error: &reqwest::Error) -> String {
    let mut text = String::from("the service was not reached, or its answer broke off");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
