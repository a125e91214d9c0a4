//! What else the machine did meanwhile. Figures that were taken while somebody else used the processors, or while the host
//! took them away, say more about the neighbours than about the proxies: they must be told apart.

use std::{fmt, fs, time::Instant};

/// What the machine had not used at some moment, from `/proc/stat`, in processor seconds since its start.
///
/// Idle time is measured by the kernel, and so is what a process used. The times of user, system and interrupts are not: they are what the
/// timer's tick found, and a benchmark that wakes at fixed times is found always or never.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    at: Instant,
    idle: f64,
    stolen: f64,
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
        Self::parse(Instant::now(), &fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(at: Instant, text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        let mut ticks = line.split_ascii_whitespace().skip(1).map(|field| field.parse::<f64>().unwrap_or(0.0) / 100.0);
        let [_user, _nice, _system, idle, iowait, _irq, _softirq, stolen] =
            std::array::from_fn(|_| ticks.next().unwrap_or(0.0));
        Self { at, idle: idle + iowait, stolen }
    }

    /// What happened from this reading to `later` on so many cores, while the benchmark itself used `ours` processor seconds.
    pub fn until(&self, later: &Self, cores: usize, ours: f64) -> Disturbance {
        let all = ((later.at - self.at).as_secs_f64() * cores as f64).max(0.01);
        let stolen = later.stolen - self.stolen;
        let used = all - (later.idle - self.idle) - stolen;
        Disturbance { others: ((used - ours) / all).max(0.0), stolen: stolen / all }
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

/// How many processors there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine in a few words: its cores and its kernel.
pub fn describe() -> String {
    let cores = cores();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = release.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next().unwrap_or_default();
    format!("{cores} cores, Linux {version}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_neither_idle_nor_ours_is_others() {
        let begin = Instant::now();
        let before = Reading::parse(begin, "cpu 100 0 100 1000 0 0 0 0 0 0\n");
        let after = Reading::parse(begin + Duration::from_secs(1), "cpu 100 0 100 1040 0 0 0 10 0 0\n");
        let seen = before.until(&after, 2, 1.3);
        assert!((seen.others - 0.1).abs() < 1e-9 && (seen.stolen - 0.05).abs() < 1e-9, "{seen:?}");
        assert!(seen.is_too_much());
        assert!(!before.until(&after, 2, 1.5).is_too_much() || seen.stolen > STOLEN_MAX);
    }
}
