//! What processes cost: processor time and memory, of a process and all that it started, as the kernel counts them.

use std::fs;

/// Clock ticks per second in `/proc`: fixed for user space on Linux.
const TICKS: f64 = 100.0;

/// Memory of a set of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Memory {
    /// Resident set, in MiB. What processes share counts once for each.
    pub rss_mib: f64,
    /// Proportional set, in MiB. What processes share counts once for all that share it.
    pub pss_mib: f64,
}

/// A process and all its descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let parent = stat(pid)?.get(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// Processor seconds, user and system, that these processes have used since they began.
pub fn cpu_seconds(pids: &[u32]) -> f64 {
    // Fields 14 and 15 of proc_pid_stat(5); the list begins with field 3.
    let ticks = |pid: &u32| {
        let stat = stat(*pid)?;
        Some(stat.get(11)?.parse::<u64>().ok()? + stat.get(12)?.parse::<u64>().ok()?)
    };
    pids.iter().filter_map(ticks).sum::<u64>() as f64 / TICKS
}

/// Memory that these processes have now.
pub fn memory(pids: &[u32]) -> Memory {
    let mut sum = Memory::default();
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let kib = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_ascii_whitespace().nth(1)?.parse::<f64>().ok()
        };
        sum.rss_mib += kib("Rss:").unwrap_or(0.0) / 1024.0;
        sum.pss_mib += kib("Pss:").unwrap_or(0.0) / 1024.0;
    }
    sum
}

/// The fields of `/proc/<pid>/stat` from the third on: the second may contain anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_belongs_to_the_tree_and_has_memory() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let pids = tree(std::process::id());
        assert!(pids.contains(&child.id()));
        assert!(memory(&[std::process::id()]).rss_mib > 0.5);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn work_shows_as_processor_time() {
        let before = cpu_seconds(&[std::process::id()]);
        let mut number = 1_u64;
        while cpu_seconds(&[std::process::id()]) < before + 0.03 {
            number = std::hint::black_box(number.wrapping_mul(31));
        }
    }
}
