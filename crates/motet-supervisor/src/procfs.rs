//! What Linux says about processes, read from `/proc` (proc(5)). Everything that ends a process by its number goes through here, because a
//! number alone does not name a process: the number together with the start time does.

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use std::fs;

/// Numbers of a process from `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// Ended and not yet taken note of by its parent.
    pub(crate) is_zombie: bool,
    /// User and system time, in clock ticks.
    pub(crate) ticks: u64,
    /// When it started, in clock ticks since boot.
    pub(crate) start: u64,
    /// Resident pages.
    pub(crate) pages: u64,
}

/// Reads one process; `None` when there is none.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    let pid = text.split(' ').next()?.parse().ok()?;
    // The name stands in parentheses and may contain anything, parentheses too. Field 3 comes after the last one.
    let rest = text.get(text.rfind(')')? + 2..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        parent: u32::try_from(number(4)?).ok()?,
        group: u32::try_from(number(5)?).ok()?,
        is_zombie: matches!(fields.first(), Some(&("Z" | "X"))),
        ticks: number(14)? + number(15)?,
        start: number(22)?,
        pages: number(24)?,
    })
}

/// All processes.
pub(crate) fn all() -> Vec<Stat> {
    pids().filter_map(stat).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Whether the process with this number is the one that started then.
pub(crate) fn is_same(pid: u32, start: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.start == start && !stat.is_zombie)
}

/// Processes that were started with this environment variable, except this one.
pub(crate) fn with_environment(name: &str, value: &str) -> Vec<Stat> {
    let wanted = format!("{name}={value}");
    let own = std::process::id();
    let carries = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    pids().filter(|pid| *pid != own).filter(carries).filter_map(stat).filter(|stat| !stat.is_zombie).collect()
}

/// Changes with each boot: process numbers of another boot mean nothing.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Signals every member of a group; whether there was one.
pub(crate) fn signal_group(group: u32, signal: Option<Signal>) -> bool {
    match i32::try_from(group) {
        // 0 and 1 mean "my own group" and "everybody" to kill(2).
        Ok(group) if group > 1 => signal::killpg(Pid::from_raw(group), signal).is_ok(),
        _ => false,
    }
}

/// Whether anything in a group still runs. Members that ended and that nobody takes note of do not count.
pub(crate) fn is_group_alive(group: u32) -> bool {
    signal_group(group, None) && all().iter().any(|stat| stat.group == group && !stat.is_zombie)
}

/// Signals one process if it is still the one that started then.
pub(crate) fn signal_process(stat: &Stat, signal: Signal) {
    if let Ok(pid) = i32::try_from(stat.pid)
        && is_same(stat.pid, stat.start)
    {
        // It may have ended since: then there is nothing to do.
        let _ = signal::kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let text = "42 (a ) b) S 7 42 42 0 -1 4194560 100 0 0 0 11 5 0 0 20 0 1 0 987654 1000 33 18446744073709551615";
        let stat = parse_stat(text).expect("parses");
        assert_eq!(
            (stat.pid, stat.parent, stat.group, stat.ticks, stat.start, stat.pages),
            (42, 7, 42, 16, 987_654, 33)
        );
    }

    #[test]
    fn this_process_is_itself_and_nobody_who_started_at_another_time() {
        let own = stat(std::process::id()).expect("runs");
        assert!(is_same(own.pid, own.start));
        assert!(!is_same(own.pid, own.start + 1));
    }
}
