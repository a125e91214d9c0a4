//! Faults that people put on edges and routes of the running system, as they travel.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Where a fault is put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// An edge: `answerer->embedder`, with either arrow.
    Edge(String),
    /// A route of the gateway, by its path.
    Route(String),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge(edge) => f.write_str(edge),
            Self::Route(path) => write!(f, "the route {path}"),
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The request reaches the instance so many milliseconds later.
    LatencyMs(u64),
    /// The instance is not asked; this status, from 400 to 599, is its answer.
    Abort(u16),
    /// The answer's body breaks off after so many bytes.
    CutAfterBytes(u64),
    /// The answer's body comes no faster than so many bytes per second.
    SlowBytesPerSecond(u64),
    /// The instance is not asked, and there is no answer.
    Blackhole,
}

impl Effect {
    /// Whether a new fault of this effect takes the place of an older one: two kinds of abort can be told apart, two latencies cannot.
    pub fn replaces(self, other: Self) -> bool {
        match (self, other) {
            (Self::Abort(a), Self::Abort(b)) => a == b,
            (a, b) => std::mem::discriminant(&a) == std::mem::discriminant(&b),
        }
    }
}

/// An effect and how often it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Strike {
    /// What goes wrong.
    pub effect: Effect,
    /// For which share of all tries, above 0 and up to 1.
    pub share: f64,
}

/// A fault that is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Where.
    pub door: Door,
    /// What goes wrong.
    pub effect: Effect,
    /// For which share of all tries.
    pub share: f64,
    /// Since when.
    pub since: String,
    /// When it ends by itself. Missing: when somebody removes it or the system stops.
    pub until: Option<String>,
}

/// Faults to put on an edge or a route. One of the same effect (and status, for aborts) that is there already is replaced; others stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddFaults {
    /// Where.
    pub door: Door,
    /// Which; at least one.
    pub faults: Vec<Strike>,
    /// After how many milliseconds they end by themselves. Not given: they stay.
    pub for_ms: Option<u64>,
}
