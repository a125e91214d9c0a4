//! What a stretch of load cost: processor time of the contender and of everybody else, read before and after.

use crate::{
    generator::Tally,
    machine::{self, Disturbance, Reading},
    processes,
};

/// What one load on one contender gave.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What the caller saw.
    pub tally: Tally,
    /// Errors outside the measured stretch.
    pub errors_beside: u64,
    /// What it cost.
    pub cost: Cost,
}

/// Processor seconds, and what else happened.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Of the contender.
    pub cpu: f64,
    /// Of the upstream and the caller.
    pub cpu_beside: f64,
    /// What else the machine did.
    pub disturbance: Disturbance,
}

impl Cell {
    /// Processor seconds of the contender for 100,000 requests.
    pub fn cpu_per_100k(&self) -> f64 {
        self.cost.cpu * 100_000.0 / self.tally.answered.max(1) as f64
    }

    /// Processor seconds of the upstream and the caller for 100,000 requests.
    pub fn cpu_beside_per_100k(&self) -> f64 {
        self.cost.cpu_beside * 100_000.0 / self.tally.answered.max(1) as f64
    }

    /// All that was not answered well.
    pub fn errors(&self) -> u64 {
        self.tally.errors + self.errors_beside
    }
}

/// Whose time is counted.
#[derive(Debug, Clone)]
pub struct Parties {
    /// The contender's processes.
    pub contender: Vec<u32>,
    /// The upstream's and the caller's.
    pub beside: Vec<u32>,
}

/// A reading before the load.
#[derive(Debug)]
pub struct Meter<'a> {
    parties: &'a Parties,
    machine: Reading,
    cpu: f64,
    cpu_beside: f64,
}

impl<'a> Meter<'a> {
    /// Reads all counters.
    pub fn start(parties: &'a Parties) -> Self {
        Self {
            parties,
            machine: Reading::take(),
            cpu: processes::cpu_seconds(&parties.contender),
            cpu_beside: processes::cpu_seconds(&parties.beside),
        }
    }

    /// What has happened since.
    pub fn stop(self) -> Cost {
        let cpu = processes::cpu_seconds(&self.parties.contender) - self.cpu;
        let cpu_beside = processes::cpu_seconds(&self.parties.beside) - self.cpu_beside;
        let disturbance = self.machine.until(&Reading::take(), machine::cores(), cpu + cpu_beside);
        Cost { cpu, cpu_beside, disturbance }
    }
}
