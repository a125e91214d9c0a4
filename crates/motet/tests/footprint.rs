//! What Motet itself costs while nothing happens: memory and processor time of its own processes, not of the services.

use crate::scratch::{Scratch, until};
use std::{fs, time::Duration};

/// All of Motet together: the process that runs the system, and the guard. What they wrote to, without the pages of the program itself:
/// those of an unoptimised one with all engines in it say nothing of what is shipped (`bench/footprint.py` counts everything there).
const MEMORY_BYTES_MAX: u64 = 40 << 20;
/// Of one core.
const CPU_SHARE_MAX: f64 = 0.01;
const OBSERVED: Duration = Duration::from_secs(10);

#[test]
fn motet_with_ten_idle_services_needs_less_than_40_mb_and_one_percent_of_a_core() {
    let mut definition = String::from("motet: 1\nsystem: idle\nservices:\n");
    for number in 0..10 {
        let uses = if number > 0 { format!("\n    uses: {{ s{}: {{}} }}", number - 1) } else { String::new() };
        definition += &format!("  s{number}:\n    path: .\n    process: {{ command: python3 service.py }}{uses}\n");
    }
    definition += "gateway: { listen: \"127.0.0.1:0\", routes: { /: s9 } }\n";
    let system = Scratch::new(&definition);
    system.up();
    let own = own_processes(system.supervisor());
    let memory: u64 = own.iter().map(|pid| proportional_memory(*pid)).sum();
    let begun = std::time::Instant::now();
    let before: f64 = own.iter().map(|pid| cpu_seconds(*pid)).sum();
    until("the time of observation is over", || begun.elapsed() >= OBSERVED);
    let used: f64 = own.iter().map(|pid| cpu_seconds(*pid)).sum::<f64>() - before;
    let share = used / begun.elapsed().as_secs_f64();
    println!("{} processes, {:.1} MiB, {:.2} % of a core", own.len(), memory as f64 / 1_048_576.0, share * 100.0);
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes");
    assert!(share < CPU_SHARE_MAX, "{share} of a core");
}

/// The process and those of its children that are Motet too.
fn own_processes(supervisor: u32) -> Vec<u32> {
    let program = fs::read_link(format!("/proc/{supervisor}/exe")).expect("a program");
    let all = fs::read_dir("/proc").expect("proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parent == Some(supervisor) && fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)
    };
    all.filter(is_child).chain([supervisor]).collect()
}

/// Proportional set size: shared pages count for each process by its share.
fn proportional_memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("own processes can be looked into");
    let line = rollup.lines().find(|line| line.starts_with("Pss_Anon:")).expect("Pss_Anon");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks: f64 = [11, 12].iter().map(|field| fields[*field].parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}
