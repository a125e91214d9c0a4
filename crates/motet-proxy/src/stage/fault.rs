//! Injected faults, in the instance's place (see `fault.rs`).

use crate::{
    body::{Inbound, Live, Tampered},
    fault::Strike,
};
use http::Response;
use tokio::time::sleep;

/// What happens before the instance is asked. With an answer, it is not asked at all.
pub(crate) async fn before(strike: &Strike) -> Option<Response<Inbound>> {
    if !strike.latency.is_zero() {
        sleep(strike.latency).await;
    }
    if strike.blackhole {
        // Until the deadline, or the caller's going away, ends it.
        std::future::pending::<()>().await;
    }
    let status = strike.abort?;
    let mut response = Response::new(Inbound::made("an injected fault answered instead of the instance\n"));
    *response.status_mut() = status;
    Some(response)
}

/// What happens to the instance's answer.
pub(crate) fn after(strike: &Strike, body: Live) -> Inbound {
    match (strike.cut_after, strike.rate) {
        (None, None) => Inbound::Live(body),
        (cut_after, rate) => Inbound::Tampered(Box::new(Tampered::new(body, cut_after, rate))),
    }
}
