//! What instances use: one walk over `/proc` sums up all of them, so that its cost does not grow with the number of instances.

use crate::{
    port::Sample,
    procfs::{self, Stat},
};
use motet_kernel::id::InstanceId;
use nix::unistd::{SysconfVar, sysconf};
use std::{collections::HashMap, time::Instant};

/// A chain of parents is followed so far.
const ANCESTORS_MAX: usize = 64;

/// Remembers the last walk, because use of the CPU is a difference.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Ticks by process number and start time.
    before: HashMap<(u32, u64), u64>,
    at: Option<Instant>,
    page_bytes: u64,
    ticks_per_second: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        let ask = |variable, otherwise| sysconf(variable).ok().flatten().unwrap_or(otherwise);
        let page_bytes = u64::try_from(ask(SysconfVar::PAGE_SIZE, 4096)).unwrap_or(4096);
        let ticks_per_second = ask(SysconfVar::CLK_TCK, 100) as f64;
        Self { before: HashMap::new(), at: None, page_bytes, ticks_per_second }
    }
}

impl Sampler {
    /// Sums up each group with everything that descends from it. A process that is new since the last walk counts from the next on.
    pub(crate) fn sample(&mut self, groups: &HashMap<u32, InstanceId>) -> HashMap<InstanceId, Sample> {
        if groups.is_empty() {
            return HashMap::new();
        }
        let now = Instant::now();
        let elapsed = self.at.replace(now).map(|before| now.duration_since(before).as_secs_f64());
        let processes: HashMap<u32, Stat> = procfs::all().into_iter().map(|stat| (stat.pid, stat)).collect();
        let mut samples: HashMap<InstanceId, Sample> = HashMap::new();
        let mut seen = HashMap::new();
        for stat in processes.values() {
            let Some(instance) = owner(stat, &processes, groups) else { continue };
            let sample = samples.entry(instance).or_default();
            sample.memory_bytes += stat.pages * self.page_bytes;
            if let (Some(elapsed), Some(before)) = (elapsed, self.before.get(&(stat.pid, stat.start))) {
                let ticks = stat.ticks.saturating_sub(*before) as f64;
                sample.cpu_percent += (100.0 * ticks / self.ticks_per_second / elapsed.max(0.001)) as f32;
            }
            seen.insert((stat.pid, stat.start), stat.ticks);
        }
        self.before = seen;
        samples
    }
}

fn owner(stat: &Stat, processes: &HashMap<u32, Stat>, groups: &HashMap<u32, InstanceId>) -> Option<InstanceId> {
    let mut next = Some(stat);
    for _ in 0..ANCESTORS_MAX {
        let stat = next?;
        if let Some(instance) = groups.get(&stat.group) {
            return Some(*instance);
        }
        next = processes.get(&stat.parent);
    }
    None
}
