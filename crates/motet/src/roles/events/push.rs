//! The way of an event to a subscriber's path: a POST through the data plane, so that balancing, circuits and limits are those of every
//! other call.
//!
//! | Header | Says |
//! |---|---|
//! | `ce-…`, `content-type` | the event, in the binary mode of CloudEvents unless the subscription says `structured`; a batch is in the batched mode |
//! | `ce-motetattempt` | which delivery of this event it is, from 1 |
//! | `ce-motettoken` | by this a handler that answered 202 acknowledges later |
//! | `traceparent` | the trace that the event belongs to, if it says so |
//!
//! In a batch, and in the structured mode, the same stand in the events, as extension attributes. It is taken as a whole by a 2xx. To take it in part the handler answers 207 with `{"results": [{"status": 200}, {"status": 503,
//! "detail": "…", "retryAfter": 5}]}`, a result per event, in their order.

use super::Declared;
use anyhow::{Context as _, Result};
use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use motet_broker::{
    Deliver, Delivery, Event, Outcome, Parcel, Permanent, Refusal, SubscriptionName, outcome::DETAIL_MAX_BYTES,
};
use motet_cloudevents::http as codec;
use motet_kernel::name::ServiceName;
use motet_model::system::events::ContentMode;
use parking_lot::RwLock;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

const ATTEMPT: HeaderName = HeaderName::from_static("ce-motetattempt");
const TOKEN: HeaderName = HeaderName::from_static("ce-motettoken");
const DEADLINE: HeaderName = HeaderName::from_static("x-motet-deadline-ms");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How much is read of an answer that tells about each event of a batch.
const RESULTS_MAX_BYTES: usize = 1 << 20;

/// Sends events to paths.
#[derive(Debug)]
pub(super) struct Push {
    client: reqwest::Client,
    /// Where the events of each subscription go.
    targets: RwLock<HashMap<SubscriptionName, Target>>,
}

#[derive(Debug, Clone)]
struct Target {
    url: Arc<str>,
    content: ContentMode,
}

impl Push {
    pub(super) fn new() -> Result<Self> {
        let client = reqwest::Client::builder()
            // A redirection would leave the edge, and with it the system.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .context("deliveries cannot be made")?;
        Ok(Self { client, targets: RwLock::default() })
    }

    /// Says where events go from now on.
    pub(super) fn lead(&self, declared: &Declared, edges: &BTreeMap<ServiceName, String>) {
        let pushed = declared.subscriptions().values().filter_map(|subscription| {
            let edge = edges.get(&subscription.service)?;
            let url = format!("{}{}", edge.trim_end_matches('/'), subscription.path.as_ref()?);
            Some((subscription.spec.name.clone(), Target { url: url.into(), content: subscription.content }))
        });
        *self.targets.write() = pushed.collect();
    }

    async fn send(&self, target: &Target, delivery: &Delivery) -> Result<Vec<Outcome>, reqwest::Error> {
        let (headers, body) = request(delivery, target.content);
        let mut answer = self.client.post(&*target.url).headers(headers).body(body).send().await?;
        let status = answer.status().as_u16();
        let after = answer.headers().get(header::RETRY_AFTER).and_then(retry_after);
        let is_parted = status == 207 && delivery.subscription.batch.is_some();
        let most = if is_parted { RESULTS_MAX_BYTES } else { DETAIL_MAX_BYTES };
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > most {
                break;
            }
        }
        let permanent = &delivery.subscription.permanent;
        if is_parted {
            return Ok(results(&text, permanent));
        }
        let outcome = permanent.outcome(status, &String::from_utf8_lossy(&text), after);
        Ok(vec![outcome; delivery.parcels.len()])
    }
}

#[async_trait]
impl Deliver for Push {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let target = self.targets.read().get(&delivery.subscription.name).cloned();
        let all = |why: String| vec![Outcome::retry(why); delivery.parcels.len()];
        let Some(target) = target else { return all("the service has no address yet".to_owned()) };
        match self.send(&target, &delivery).await {
            Ok(outcomes) => outcomes,
            Err(error) => all(error.without_url().to_string()),
        }
    }
}

fn request(delivery: &Delivery, content: ContentMode) -> (HeaderMap, bytes::Bytes) {
    let mut headers = HeaderMap::new();
    let body = match delivery.parcels.as_slice() {
        [parcel] if delivery.subscription.batch.is_none() => {
            for (extension, name) in [("traceparent", TRACEPARENT), ("tracestate", TRACESTATE)] {
                let value = parcel.event.extension(extension).map(|value| value.to_string());
                if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                    headers.insert(name, value);
                }
            }
            match content {
                ContentMode::Binary => binary(parcel, &mut headers),
                ContentMode::Structured => codec::structured(&told(parcel), &mut headers),
            }
        }
        parcels => {
            let told: Vec<_> = parcels.iter().map(told).collect();
            codec::batched(&told, &mut headers)
        }
    };
    let limit = u64::try_from(delivery.subscription.timeout.as_millis()).unwrap_or(u64::MAX);
    headers.insert(DEADLINE, HeaderValue::from(limit));
    (headers, body)
}

fn binary(parcel: &Parcel, headers: &mut HeaderMap) -> bytes::Bytes {
    let body = codec::binary(&parcel.event, headers);
    headers.insert(ATTEMPT, HeaderValue::from(parcel.attempt));
    if let Ok(token) = HeaderValue::from_str(&parcel.token) {
        headers.insert(TOKEN, token);
    }
    body
}

/// An event that says which delivery it is, where that stands in the event.
fn told(parcel: &Parcel) -> Event {
    let attempt = i32::try_from(parcel.attempt).unwrap_or(i32::MAX);
    let told = parcel.event.edit().extension("motetattempt", attempt).extension("motettoken", &*parcel.token).build();
    // One that is at the limits of an event goes as it is.
    told.unwrap_or_else(|_| parcel.event.clone())
}

/// RFC 9110, section 10.2.3; the form with seconds.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What a handler says about each event of a batch.
#[derive(Deserialize)]
struct Results {
    results: Vec<ResultOfOne>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultOfOne {
    status: u16,
    #[serde(default)]
    detail: String,
    retry_after: Option<u64>,
}

fn results(text: &[u8], permanent: &Permanent) -> Vec<Outcome> {
    let Ok(Results { results }) = serde_json::from_slice(text) else {
        let why = "the answer 207 has to be `{\"results\": [{\"status\": …}, …]}`, a result per event";
        // What is missing in the answer counts as failed; the first one says why.
        return vec![Outcome::Retry { refusal: Refusal { status: Some(207), detail: why.to_owned() }, after: None }];
    };
    let outcome = |one: ResultOfOne| {
        let after = one.retry_after.map(Duration::from_secs);
        permanent.outcome(one.status, &one.detail, after)
    };
    results.into_iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_broker::{BatchRule, Run, SubscriptionSpec, Time};

    /// One delivery of an event with a trace, in this mode.
    fn sent(content: ContentMode, batch: Option<BatchRule>) -> (HeaderMap, serde_json::Value) {
        let event = Event::builder("1", "/s", "t").extension("traceparent", "00-a-b-01").data(r#"{"a":1}"#);
        let event = event.content_type("application/json").build().unwrap();
        let spec = SubscriptionSpec { batch, ..SubscriptionSpec::new("s".parse().unwrap(), "t".parse().unwrap()) };
        let token = "7-9".to_owned();
        let parcel = Parcel { event, position: None, redriven: false, attempt: 3, token, published_at: Time(0) };
        let (headers, body) =
            request(&Delivery { subscription: Arc::new(spec), run: Run::default(), parcels: vec![parcel] }, content);
        (headers, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn an_event_lies_in_the_request_as_the_subscription_says() {
        let (headers, body) = sent(ContentMode::Binary, None);
        assert_eq!(body, serde_json::json!({ "a": 1 }));
        let told = ["ce-id", "ce-motetattempt", "ce-motettoken", "traceparent", "content-type"];
        assert_eq!(
            told.map(|name| headers[name].to_str().unwrap()),
            ["1", "3", "7-9", "00-a-b-01", "application/json"]
        );

        let (headers, body) = sent(ContentMode::Structured, None);
        assert_eq!(headers["content-type"], "application/cloudevents+json");
        assert_eq!(headers["traceparent"], "00-a-b-01");
        assert!(headers.keys().all(|name| !name.as_str().starts_with("ce-")), "{headers:?}");
        let told = ["id", "data", "motetattempt", "motettoken"].map(|name| body[name].clone());
        assert_eq!(serde_json::json!(told), serde_json::json!(["1", { "a": 1 }, 3, "7-9"]));

        let rule = BatchRule { items: 10, wait: Duration::ZERO, bytes: 1 << 20 };
        let (headers, body) = sent(ContentMode::Structured, Some(rule));
        assert!(headers["content-type"].to_str().unwrap().starts_with("application/cloudevents-batch+json"));
        assert_eq!(body[0]["motettoken"], "7-9");
    }

    #[test]
    fn a_batch_can_be_taken_in_part() {
        let text = br#"{"results":[{"status":204},{"status":503,"detail":"full","retryAfter":5},{"status":422,"detail":"no pages"}]}"#;
        let outcomes = results(text, &Permanent::default());
        assert_eq!(outcomes[0], Outcome::Ack);
        let refusal = Refusal { status: Some(503), detail: "full".to_owned() };
        assert_eq!(outcomes[1], Outcome::Retry { refusal, after: Some(Duration::from_secs(5)) });
        assert!(matches!(&outcomes[2], Outcome::Permanent(refusal) if refusal.detail == "no pages"));
        assert!(matches!(&results(b"ok", &Permanent::default())[..], [Outcome::Retry { .. }]));
    }
}
