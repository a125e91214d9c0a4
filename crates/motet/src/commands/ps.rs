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
use motet_api::wire::{Instance, Service, System};
use motet_kernel::quantity::{show_duration, show_size};

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

fn print_edges(system: &System) {
    let mut table = Table::new(&["EDGE", "ADDRESS", "REQUESTS", "FAILURES", "RETRIES", "IN FLIGHT"]);
    for edge in &system.edges {
        table.row(vec![
            format!("{}→{}", edge.caller, edge.callee),
            edge.url.clone(),
            edge.requests.to_string(),
            edge.failures.to_string(),
            edge.retries.to_string(),
            edge.in_flight.to_string(),
        ]);
    }
    table.print();
}
