//! `motet ps`: services and instances as they are now, with what they use and what happened to them.

use crate::{
    cli::{Global, Ps},
    connect,
    exit::Exit,
    terminal::{
        self, ink,
        live::{since, style},
        table::Table,
    },
};
use anyhow::Result;
use motet_api::wire::{Instance, Service, System, Traffic};
use motet_kernel::quantity::{show_duration, show_size};
use std::time::Duration;

pub(crate) async fn run(global: &Global, arguments: &Ps) -> Result<Exit> {
    let client = connect::running(global)?;
    let mut system = client.system().await?;
    if !arguments.services.is_empty() {
        super::wait::known(&system, &arguments.services)?;
        system.services.retain(|service| arguments.services.contains(&service.name));
    }
    if global.json {
        terminal::print_json(&system)?;
    } else {
        print(&system, arguments.edges);
    }
    Ok(Exit::Done)
}

fn print(system: &System, edges: bool) {
    let mut table = Table::new(&["SERVICE", "STATE", "INSTANCE", "PID", "PORT", "UP", "RESTARTS", "CPU", "MEMORY"]);
    for service in &system.services {
        let state = style(service.phase).apply_to(&service.detail).to_string();
        let mut first = vec![service.name.clone(), state];
        for instance in &service.instances {
            let mut cells = std::mem::replace(&mut first, vec![String::new(), String::new()]);
            cells.extend(instance_cells(instance));
            table.row(cells);
        }
        if service.instances.is_empty() {
            table.row(first);
        }
    }
    table.print();
    for service in &system.services {
        happened(service);
    }
    if edges {
        terminal::print("");
        print_edges(system);
    }
    faults(system);
    if let Some(gateway) = &system.gateway {
        terminal::print(format_args!("\n{} {}", ink::quiet().apply_to("gateway"), gateway.url));
    }
}

fn instance_cells(instance: &Instance) -> Vec<String> {
    let label = if instance.state == "ready" {
        instance.label.clone()
    } else {
        format!("{} {}", instance.label, ink::busy().apply_to(format_args!("({})", instance.state)))
    };
    let number = |value: Option<u32>| value.map_or_else(String::new, |value| value.to_string());
    vec![
        label,
        number(instance.pid),
        number(instance.port.map(u32::from)),
        instance.started_at.as_deref().map_or_else(String::new, |time| show_duration(since(time))),
        if instance.restarts == 0 { "0".to_owned() } else { ink::warn().apply_to(instance.restarts).to_string() },
        instance.cpu_percent.map_or_else(String::new, |percent| format!("{percent:.1}%")),
        instance.memory_bytes.map_or_else(String::new, show_size),
    ]
}

/// What went wrong last with a service, if something did.
fn happened(service: &Service) {
    let Some(failure) = &service.failure else { return };
    let ago = show_duration(since(&failure.at));
    let head = ink::warn().apply_to(format!("{}: {} {ago} ago", service.name, failure.reason));
    terminal::print(format_args!("\n{head}"));
    let lines = &failure.last_lines;
    for line in &lines[lines.len().saturating_sub(5)..] {
        terminal::print(format_args!("  {}", ink::quiet().apply_to(format_args!("│ {line}"))));
    }
}

/// Faults that people put on are easily forgotten, and then everything looks broken.
fn faults(system: &System) {
    if system.faults.is_empty() {
        return;
    }
    let count = system.faults.len();
    let head = format!("{count} {} on by hand:", if count == 1 { "fault is" } else { "faults are" });
    terminal::print(format_args!("\n{}", ink::bad().apply_to(head)));
    for fault in &system.faults {
        terminal::print(format_args!("  {}", super::fault::sentence(fault)));
    }
    terminal::print(format_args!("  {}", ink::quiet().apply_to("`motet fault remove --all` removes them")));
}

fn print_edges(system: &System) {
    let mut table = Table::new(&[
        "EDGE",
        "ADDRESS",
        "REQUESTS",
        "RATE",
        "P50",
        "P99",
        "ERRORS",
        "RETRIES",
        "IN FLIGHT",
        "QUEUED",
        "EJECTED",
    ]);
    for edge in &system.edges {
        table.row(traffic_cells(format!("{}→{}", edge.caller, edge.callee), &edge.url, &edge.traffic));
    }
    if let Some(gateway) = &system.gateway {
        for route in &gateway.routes {
            let url = format!("{}{}", gateway.url, route.path);
            table.row(traffic_cells(format!("gateway→{}", route.to), &url, &route.traffic));
        }
    }
    table.print();
    let over = system.edges.iter().map(|edge| edge.traffic.recent.over_ms).max().unwrap_or_default();
    let over = show_duration(Duration::from_secs(over / 1000));
    terminal::print(ink::quiet().apply_to(format!(
        "rate, p50, p99 (estimates) and the share of errors are of the last {over}; the other numbers count since the start, or are of now"
    )));
}

fn traffic_cells(name: String, url: &str, traffic: &Traffic) -> Vec<String> {
    let recent = &traffic.recent;
    let time =
        |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| show_duration(Duration::from_secs_f64(ms / 1e3)));
    let share = recent.failure_share.filter(|share| *share > 0.0);
    let share = share.map_or_else(String::new, |share| format!(" ({:.1}%)", share * 100.0));
    let marked = |text: String, is_bad: bool| if is_bad { ink::warn().apply_to(text).to_string() } else { text };
    vec![
        name,
        url.to_owned(),
        traffic.requests.to_string(),
        format!("{:.1}/s", recent.requests_per_second),
        time(recent.p50_ms),
        time(recent.p99_ms),
        marked(format!("{}{share}", traffic.failures), !share.is_empty()),
        traffic.retries.to_string(),
        traffic.in_flight.to_string(),
        traffic.queued.to_string(),
        marked(
            if traffic.ejected.is_empty() { "-".to_owned() } else { traffic.ejected.join(", ") },
            !traffic.ejected.is_empty(),
        ),
    ]
}
