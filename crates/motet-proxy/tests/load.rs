//! Load on an address: so many requests per second, whether or not the ones before have been answered (an open loop), and what became
//! of each.
//!
//! Latency counts from the moment at which a request was due, so that a caller that was held up does not hide what it missed.

use crate::world::{Body, LIMIT, empty};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// What became of all requests.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Of answers that came whole: when they were complete, and their status.
    pub(crate) answers: Vec<(Duration, StatusCode)>,
    /// Of all others: why not.
    pub(crate) broken: Vec<String>,
}

impl Report {
    /// The latency that the share `quantile` of all answers kept.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        let mut latencies: Vec<_> = self.answers.iter().map(|(latency, _)| *latency).collect();
        latencies.sort_unstable();
        let rank = (latencies.len() as f64 * quantile).ceil() as usize;
        latencies[rank.clamp(1, latencies.len()) - 1]
    }

    pub(crate) fn count(&self, status: StatusCode) -> usize {
        self.answers.iter().filter(|(_, got)| *got == status).count()
    }

    /// Panics unless every request was answered with 200.
    pub(crate) fn assert_all_good(&self) {
        let mut bad = BTreeMap::<String, usize>::new();
        for (_, status) in self.answers.iter().filter(|(_, status)| *status != StatusCode::OK) {
            *bad.entry(status.to_string()).or_default() += 1;
        }
        for error in &self.broken {
            *bad.entry(error.clone()).or_default() += 1;
        }
        assert!(bad.is_empty(), "of {} requests: {bad:?}", self.answers.len() + self.broken.len());
    }
}

/// Sends `GET path` so often per second for so long, and waits for all answers.
pub(crate) async fn get(address: SocketAddr, path: &str, per_second: u32, lasting: Duration) -> Report {
    let uri = format!("http://{address}{path}");
    send(per_second, lasting, || Request::get(&uri).body(empty()).expect("a request")).await
}

/// The same with requests of any kind.
pub(crate) async fn send(per_second: u32, lasting: Duration, request: impl Fn() -> Request<Body>) -> Report {
    let mut builder = Client::builder(TokioExecutor::new());
    // Nothing may be repeated behind our back: it is the data plane that is to do that.
    let client = builder.retry_canceled_requests(false).pool_max_idle_per_host(1024).build_http::<Body>();
    let interval = Duration::from_secs(1) / per_second;
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for n in 0..(lasting.as_secs_f64() * f64::from(per_second)) as u32 {
        let due = began + interval * n;
        sleep_until(due).await;
        let (client, request) = (client.clone(), request());
        under_way.spawn(async move {
            let whole = async {
                let answer = client.request(request).await.map_err(|error| format!("{error:?}"))?;
                let status = answer.status();
                answer.into_body().collect().await.map_err(|error| format!("{error:?}"))?;
                Ok((due.elapsed(), status))
            };
            timeout(LIMIT, whole).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
        });
    }
    let mut report = Report::default();
    while let Some(ended) = under_way.join_next().await {
        match ended.expect("a request does not panic") {
            Ok(answer) => report.answers.push(answer),
            Err(error) => report.broken.push(error),
        }
    }
    report
}
