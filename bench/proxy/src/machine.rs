//! What else the machine did meanwhile. Figures that were taken while somebody else used the processors, or while the host
//! took them away, say more about the neighbours than about the proxies: they must be told apart.

use std::{fmt, fs};

/// A reading of `/proc/stat`, in processor seconds since the start of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    busy: f64,
    stolen: f64,
    all: f64,
}

/// What happened beside the measured work, as shares of the whole machine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Disturbance {
    /// Processor time of programs that do not belong to the benchmark.
    pub others: f64,
    /// Processor time that the host gave to another machine.
    pub stolen: f64,
}

/// More than this of others' work disturbs a round.
pub const OTHERS_MAX: f64 = 0.12;
/// More than this of stolen time disturbs a round.
pub const STOLEN_MAX: f64 = 0.01;

impl Reading {
    /// The counters now; zeros where there is no `/proc`.
    pub fn take() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        let mut ticks = line.split_ascii_whitespace().skip(1).map(|field| field.parse::<f64>().unwrap_or(0.0) / 100.0);
        let [user, nice, system, idle, iowait, irq, softirq, stolen] =
            std::array::from_fn(|_| ticks.next().unwrap_or(0.0));
        // Interrupts are counted apart from who caused them: on loopback that is the benchmark's own traffic.
        let busy = user + nice + system;
        Self { busy, stolen, all: busy + irq + softirq + idle + iowait + stolen }
    }

    /// What happened from this reading to `later`, in which the benchmark itself used `ours` processor seconds.
    pub fn until(&self, later: &Self, ours: f64) -> Disturbance {
        let all = (later.all - self.all).max(0.01);
        Disturbance {
            others: ((later.busy - self.busy - ours) / all).max(0.0),
            stolen: (later.stolen - self.stolen) / all,
        }
    }
}

impl Disturbance {
    /// The worse of two in each respect.
    pub fn worse(self, other: Self) -> Self {
        Self { others: self.others.max(other.others), stolen: self.stolen.max(other.stolen) }
    }

    /// Whether figures taken meanwhile are not to be trusted.
    pub fn is_too_much(self) -> bool {
        self.others > OTHERS_MAX || self.stolen > STOLEN_MAX
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "others {:.0} %, stolen {:.1} %", self.others * 100.0, self.stolen * 100.0)
    }
}

/// The machine in a few words: its cores and its kernel.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = release.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next().unwrap_or_default();
    format!("{cores} cores, Linux {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_idle_nor_ours_is_others() {
        let before = Reading::parse("cpu 100 0 100 1000 0 0 0 0 0 0\n");
        let after = Reading::parse("cpu 220 0 130 1040 0 0 0 10 0 0\n");
        let seen = before.until(&after, 1.3);
        assert!((seen.others - 0.1).abs() < 1e-9 && (seen.stolen - 0.05).abs() < 1e-9, "{seen:?}");
        assert!(seen.is_too_much());
        assert!(!before.until(&after, 1.5).is_too_much() || seen.stolen > STOLEN_MAX);
    }
}
