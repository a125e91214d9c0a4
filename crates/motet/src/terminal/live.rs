//! The view of a system that starts: a table that is redrawn in place for people, and one line per change for pipes.

use super::{ink, note};
use console::{Style, StyledObject, Term, pad_str, truncate_str};
use motet_api::wire::{Phase, Service, System};
use motet_kernel::{
    clock::{self, Timestamp},
    quantity::show_duration,
};
use std::{collections::BTreeMap, time::Duration};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Shows how a system starts.
#[derive(Debug)]
pub(crate) struct Live {
    terminal: Term,
    /// Lines that are on the screen now and will be replaced.
    drawn: usize,
    frame: usize,
    /// For pipes: what was said last of each service.
    said: BTreeMap<String, String>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { terminal: Term::stderr(), drawn: 0, frame: 0, said: BTreeMap::new() }
    }

    /// Shows the system as it is now. Called at each change and, for people, at each tick.
    pub(crate) fn show(&mut self, system: &System) {
        if self.terminal.features().is_attended() { self.redraw(system) } else { self.say_changes(system) }
    }

    fn redraw(&mut self, system: &System) {
        self.frame += 1;
        let (height, width) = self.terminal.size();
        let mut lines = self.table(system);
        // A table that is taller than the screen cannot be replaced: the services at work are what matters then.
        let room = usize::from(height).saturating_sub(2).max(3);
        if lines.len() > room {
            lines.retain(|line| !line.contains('✔'));
            lines.truncate(room);
        }
        let shown: String = lines
            .iter()
            .map(|line| format!("{}\n", truncate_str(line, usize::from(width).saturating_sub(1), "…")))
            .collect();
        let _ = self.terminal.clear_last_lines(self.drawn);
        let _ = self.terminal.write_str(&shown);
        self.drawn = lines.len();
    }

    fn table(&self, system: &System) -> Vec<String> {
        let counted = system.services.iter().filter(|service| service.phase != Phase::Stopped);
        let ready = counted.clone().filter(|service| is_there(service.phase)).count();
        let elapsed = ink::quiet().apply_to(show_duration(since(&system.started_at)));
        let head = ink::strong().for_stderr().apply_to(&system.system);
        let mut lines = vec![format!("{head}  {ready} of {} ready  {elapsed}", counted.count())];
        let width = system.services.iter().map(|service| service.name.len()).max().unwrap_or(0);
        for service in &system.services {
            let name = pad_str(&service.name, width, console::Alignment::Left, None);
            let time = show_duration(since(&service.since));
            let time = if is_there(service.phase) { String::new() } else { format!("  {time}") };
            let detail = style(service.phase).apply_to(&service.detail);
            lines.push(format!("  {} {name}  {detail}{}", self.mark(service.phase), ink::quiet().apply_to(time)));
            lines.extend(trouble(service));
        }
        lines
    }

    fn mark(&self, phase: Phase) -> StyledObject<&'static str> {
        let sign = match phase {
            Phase::Ready | Phase::Completed | Phase::External => "✔",
            Phase::Waiting | Phase::Stopped => "·",
            Phase::Failed | Phase::CrashLoop => "✘",
            Phase::Building | Phase::Preparing | Phase::Starting | Phase::Stopping | Phase::Degraded => {
                SPINNER[self.frame % SPINNER.len()]
            }
        };
        style(phase).apply_to(sign)
    }

    fn say_changes(&mut self, system: &System) {
        for service in &system.services {
            let now = format!("{:?} {}", service.phase, service.failure.as_ref().map_or("", |failure| &failure.at));
            if self.said.insert(service.name.clone(), now.clone()).as_ref() == Some(&now) {
                continue;
            }
            note(format_args!("{}: {}", service.name, service.detail));
            trouble(service).iter().for_each(note);
        }
    }

    /// Leaves what is drawn as it is, so that what is printed next comes below.
    pub(crate) fn finish(&mut self) {
        self.drawn = 0;
    }
}

/// What a person needs to see of a service that failed: the last lines that it printed.
fn trouble(service: &Service) -> Vec<String> {
    let failed = matches!(service.phase, Phase::Failed | Phase::CrashLoop);
    let lines = service.failure.as_ref().filter(|_| failed).map(|failure| failure.last_lines.as_slice());
    let lines = lines.unwrap_or_default();
    let last = &lines[lines.len().saturating_sub(8)..];
    last.iter().map(|line| format!("      {}", ink::quiet().apply_to(format_args!("│ {line}")))).collect()
}

/// Whether a service is where it should be.
pub(crate) fn is_there(phase: Phase) -> bool {
    matches!(phase, Phase::Ready | Phase::Completed | Phase::External)
}

/// The colour of a phase.
pub(crate) fn style(phase: Phase) -> Style {
    match phase {
        Phase::Ready | Phase::Completed | Phase::External => ink::good(),
        Phase::Waiting | Phase::Stopped => ink::quiet(),
        Phase::Building | Phase::Preparing | Phase::Starting | Phase::Stopping => ink::busy(),
        Phase::Degraded => ink::warn(),
        Phase::Failed | Phase::CrashLoop => ink::bad(),
    }
}

/// How long ago a time was, in words: `3m 5s ago`, `just now`.
pub(crate) fn ago(time: &str) -> String {
    match since(time).as_secs() {
        0 => "just now".to_owned(),
        seconds => format!("{} ago", show_duration(Duration::from_secs(seconds))),
    }
}

/// How long ago a time was, as it travels over the control API.
pub(crate) fn since(time: &str) -> Duration {
    let then: Timestamp = time.parse().unwrap_or_else(|_| clock::now());
    Duration::try_from(clock::now().duration_since(then)).unwrap_or_default()
}
