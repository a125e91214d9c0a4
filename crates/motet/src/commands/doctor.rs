//! `motet doctor`: whether this machine has what the system needs, and what to do where it has not.

use crate::{
    cli::Global,
    connect,
    exit::Exit,
    place::Place,
    terminal::{self, ink},
};
use anyhow::Result;
use motet_model::system::{Command, Run, Service, StoreEngine, System};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    env,
    net::TcpListener,
    path::{Path, PathBuf},
};

/// What a look at one thing brought.
#[derive(Debug, Serialize)]
struct Diagnosis {
    what: String,
    good: bool,
    detail: String,
}

pub(crate) fn run(global: &Global) -> Result<Exit> {
    let mut found = vec![files_limit()];
    match connect::definition_file(global) {
        Ok(_) => {
            let system = connect::load(global)?.system;
            let place = Place::new(&system.dir, global.state.as_deref())?;
            found.push(state_folder(&place));
            found.extend(gateway(&system, &place));
            found.extend(programs(&system));
            found.extend(stores(&system));
        }
        Err(_) => found.push(Diagnosis {
            what: "definition".into(),
            good: true,
            detail: "no motet.yaml here, so only the machine was looked at".into(),
        }),
    }
    let good = found.iter().all(|one| one.good);
    if global.json {
        terminal::print_json(&found)?;
    } else {
        for one in &found {
            let mark = if one.good { ink::good().apply_to("✔") } else { ink::bad().apply_to("✘") };
            terminal::print(format_args!("{mark} {}: {}", one.what, one.detail));
        }
    }
    Ok(if good { Exit::Done } else { Exit::Failed })
}

/// Each connection of the data plane is a file to the kernel, and there are two for each request under way.
fn files_limit() -> Diagnosis {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let limit: u64 = line.split_whitespace().nth(3).and_then(|number| number.parse().ok()).unwrap_or(u64::MAX);
    let good = limit >= 1024;
    let advice = if limit < 16_384 { "; `ulimit -n 65536` allows more connections" } else { "" };
    Diagnosis { what: "open files".into(), good, detail: format!("{limit} allowed{advice}") }
}

fn state_folder(place: &Place) -> Diagnosis {
    let result = place.create();
    let detail = match &result {
        Ok(()) => format!("{} can be written", place.dir().display()),
        Err(error) => format!("{error:#}"),
    };
    Diagnosis { what: "state".into(), good: result.is_ok(), detail }
}

fn gateway(system: &System, place: &Place) -> Option<Diagnosis> {
    let listen = system.gateway.as_ref()?.listen;
    let what = format!("gateway {listen}");
    if place.is_held() {
        return Some(Diagnosis { what, good: true, detail: "the system is running".into() });
    }
    let result = TcpListener::bind(listen);
    let detail = match &result {
        Ok(_) => "free".to_owned(),
        Err(error) => format!("{error}; stop what listens there, or set another `gateway.listen`"),
    };
    Some(Diagnosis { what, good: result.is_ok(), detail })
}

/// The programs that commands of the definition begin with, as far as a look at the words can tell.
fn programs(system: &System) -> Vec<Diagnosis> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for service in system.services.values() {
        for command in commands(service) {
            let Some(program) = program(command) else { continue };
            if program.contains('/') || !seen.insert(program.clone()) {
                continue;
            }
            let place = on_path(&program);
            let detail = place.as_ref().map_or_else(
                || format!("not on PATH, and `{}` needs it: install it, or correct the command", service.name),
                |path| path.display().to_string(),
            );
            found.push(Diagnosis { what: program, good: place.is_some(), detail });
        }
    }
    found
}

fn commands(service: &Service) -> impl Iterator<Item = &Command> {
    let run = match &service.run {
        Run::Process { command } => Some(command),
        Run::Container { .. } | Run::External { .. } => None,
    };
    let migrate = service.store.as_ref().and_then(|store| store.migrate.as_ref());
    service.build.as_ref().map(|build| &build.command).into_iter().chain(run).chain(migrate)
}

fn program(command: &Command) -> Option<String> {
    let word = match command {
        Command::Argv(words) => words.first()?.clone(),
        Command::Shell(line) => line.split_whitespace().find(|word| !word.contains('='))?.to_owned(),
    };
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+".contains(c));
    let builtin = ["cd", "exec", "test", "set", "export", "if", "for", "while", "true", "false", "echo", "."];
    (plain && !builtin.contains(&word.as_str())).then_some(word)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn stores(system: &System) -> Vec<Diagnosis> {
    let wanted = |engine| system.services.values().filter_map(|it| it.store.as_ref()).any(|it| it.engine == engine);
    let postgres = || tools("postgres", &["psql", "pg_dump", "pg_restore"], "postgresql-client");
    let mysql = || match on_path("mariadb-dump").is_some() || on_path("mysqldump").is_none() {
        true => tools("mysql", &["mariadb", "mariadb-dump"], "mariadb-client"),
        false => tools("mysql", &["mysql", "mysqldump"], "mysql-client"),
    };
    let postgres = wanted(StoreEngine::Postgres).then(postgres);
    postgres.into_iter().chain(wanted(StoreEngine::Mysql).then(mysql)).collect()
}

/// The programs that backups, restores and shells of an engine need.
fn tools(engine: &str, programs: &[&str], package: &str) -> Diagnosis {
    let missing: Vec<_> = programs.iter().copied().filter(|tool| on_path(tool).is_none()).collect();
    Diagnosis {
        what: format!("{engine} tools"),
        good: missing.is_empty(),
        detail: match missing.as_slice() {
            [] => format!("{} are on PATH", programs.join(", ")),
            some => format!("{} not on PATH; Debian's package {package} has them", some.join(", ")),
        },
    }
}
