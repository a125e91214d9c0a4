//! One switch per fault, off by default: to see with one's own eyes how the rest of the system takes it.
//!
//! For a whole run: `FAULT=slow:500ms | failing:0.5 | crashing:0.1 | hanging | wrong`. While the service runs:
//! `PUT /faults {"mode": "slow", "latency_ms": 500, "rate": 1.0}`, `GET /faults`, `DELETE /faults`. Health checks and the
//! switch itself are never affected.
//!
//! A rate is kept by counting, not by chance: with 0.25 it is every fourth request, so that a test sees the same each time.

use crate::problem::Problem;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// What a crash exits with, so that a log tells it from a real one.
pub const CRASH_EXIT_CODE: i32 = 70;

/// The ways to be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Not broken.
    Off,
    /// Answers late, by `latency_ms`.
    Slow,
    /// Answers 503.
    Failing,
    /// The process ends at once, in the middle of the request.
    Crashing,
    /// Takes the request and never answers.
    Hanging,
    /// Answers 200 with something that the contract does not know.
    Wrong,
}

/// A mode, how late it is, and the share of requests that it hits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The way to be broken.
    pub mode: Mode,
    /// How late an answer of [`Mode::Slow`] is, in milliseconds.
    #[serde(default = "default_latency_ms")]
    pub latency_ms: u64,
    /// The share of requests that are hit, from 0 to 1.
    #[serde(default = "default_rate")]
    pub rate: f64,
}

const LATENCY_MAX_MS: u64 = 600_000;

fn default_latency_ms() -> u64 {
    500
}

fn default_rate() -> f64 {
    1.0
}

/// A fault that nobody can switch on.
#[derive(Debug, thiserror::Error)]
#[error("{wrong}; faults look like slow:500ms, failing:0.5, crashing:0.1, hanging, wrong or off")]
pub struct InvalidFault {
    wrong: String,
}

impl Fault {
    /// Not broken.
    pub const OFF: Self = Self { mode: Mode::Off, latency_ms: 500, rate: 1.0 };

    fn checked(self) -> Result<Self, InvalidFault> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(InvalidFault { wrong: format!("rate {} is not between 0 and 1", self.rate) });
        }
        if self.latency_ms > LATENCY_MAX_MS {
            return Err(InvalidFault {
                wrong: format!("latency_ms {} is more than {LATENCY_MAX_MS}", self.latency_ms),
            });
        }
        Ok(self)
    }
}

/// The short form in the environment.
impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let invalid = || InvalidFault { wrong: format!("`{text}` is not a fault") };
        let (mode, value) = text.split_once(':').map_or((text, None), |(mode, value)| (mode, Some(value)));
        let mode: Mode = serde_json::from_value(mode.into()).map_err(|_| invalid())?;
        let mut fault = Self { mode, ..Self::OFF };
        match (mode, value) {
            (_, None) => {}
            (Mode::Slow, Some(value)) => {
                let (number, unit_ms) = match value.strip_suffix("ms") {
                    Some(number) => (number, 1),
                    None => (value.strip_suffix('s').ok_or_else(invalid)?, 1000),
                };
                fault.latency_ms = number.parse::<u64>().map_err(|_| invalid())?.saturating_mul(unit_ms);
            }
            (_, Some(value)) => fault.rate = value.parse().map_err(|_| invalid())?,
        }
        fault.checked()
    }
}

/// The switch that the routes, the environment and the request path share.
#[derive(Debug, Clone)]
pub struct Switch(Arc<(RwLock<Fault>, AtomicU32)>);

impl Switch {
    /// A switch that stands at `fault`.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self(Arc::new((RwLock::new(fault), AtomicU32::new(0))))
    }

    /// A switch that stands where `FAULT` says, or off.
    pub fn from_environment() -> Result<Self, InvalidFault> {
        let fault = std::env::var("FAULT").ok().filter(|text| !text.is_empty());
        fault.map_or(Ok(Fault::OFF), |text| text.parse()).map(Self::new)
    }

    fn get(&self) -> Fault {
        *self.0.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fault: Fault) -> Fault {
        *self.0.0.write().unwrap_or_else(PoisonError::into_inner) = fault;
        self.0.1.store(0, Ordering::Relaxed);
        tracing::warn!("fault switch: {fault:?}");
        fault
    }

    /// What to do to this request.
    fn next(&self) -> Mode {
        let fault = self.get();
        if fault.mode == Mode::Off {
            return Mode::Off;
        }
        let count = f64::from(self.0.1.fetch_add(1, Ordering::Relaxed));
        let hit = ((count + 1.0) * fault.rate).floor() > (count * fault.rate).floor();
        if hit { fault.mode } else { Mode::Off }
    }
}

/// The three routes of the switch.
pub fn routes(switch: Switch) -> Router {
    async fn read(State(switch): State<Switch>) -> Json<Fault> {
        Json(switch.get())
    }
    async fn put(
        State(switch): State<Switch>,
        body: Result<Json<Fault>, JsonRejection>,
    ) -> Result<Json<Fault>, Problem> {
        let Json(fault) = body?;
        let invalid = |error: InvalidFault| {
            let title = "This is not a fault that can be switched on";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-fault", title, error.to_string())
        };
        fault.checked().map(|fault| Json(switch.set(fault))).map_err(invalid)
    }
    async fn delete(State(switch): State<Switch>) -> Json<Fault> {
        Json(switch.set(Fault::OFF))
    }
    Router::new().route("/faults", get(read).put(put).delete(delete)).with_state(switch)
}

/// The layer that breaks a request in the chosen way before the service sees it.
pub async fn inject(State(switch): State<Switch>, request: Request, next: Next) -> Response {
    match switch.next() {
        Mode::Off => {}
        Mode::Slow => tokio::time::sleep(Duration::from_millis(switch.get().latency_ms)).await,
        Mode::Failing => {
            let detail = "this request fails on purpose";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "fault-injected", "A fault is switched on", detail)
                .into_response();
        }
        Mode::Crashing => std::process::exit(CRASH_EXIT_CODE),
        Mode::Hanging => std::future::pending().await,
        Mode::Wrong => {
            return Json(serde_json::json!({"wrong": "on purpose: this is not what the contract says"}))
                .into_response();
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_of_each_fault_is_understood() {
        let parse = |text: &str| text.parse::<Fault>().unwrap();
        assert_eq!(parse("slow:2s"), Fault { mode: Mode::Slow, latency_ms: 2000, rate: 1.0 });
        assert_eq!(parse("slow:250ms").latency_ms, 250);
        assert_eq!(parse("failing:0.5"), Fault { mode: Mode::Failing, latency_ms: 500, rate: 0.5 });
        assert_eq!(parse("hanging").mode, Mode::Hanging);
        for text in ["slwo", "slow:fast", "failing:2", "failing:NaN", "slow:999999s", ""] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_of_a_quarter_hits_every_fourth_request() {
        let switch = Switch::new(Fault { mode: Mode::Failing, latency_ms: 0, rate: 0.25 });
        let hits: Vec<bool> = (0..8).map(|_| switch.next() == Mode::Failing).collect();
        assert_eq!(hits, [false, false, false, true, false, false, false, true]);
    }
}
