//! The definition in the words of each context: what the supervisor is to run, what the data plane is to hold open. Pure.

use crate::exit::{Exit, Failure};
use anyhow::Result;
use motet_kernel::{endpoint::Authority, name::ServiceName};
use motet_model::system::{self, Run, Service, System, Wait};
use motet_supervisor::spec::{
    Build, Check, Command, Dependency, Kind, Port, Probe, Restart, ServiceSpec, Signal, StopPolicy, Until,
};
use std::collections::BTreeMap;

/// What the supervisor is to run for a service; `None` for what runs elsewhere.
pub(crate) fn service(
    system: &System,
    service: &Service,
    env: BTreeMap<String, String>,
) -> Result<Option<ServiceSpec>> {
    let command = match &service.run {
        Run::Process { command: run } => command(run),
        Run::External { .. } => return Ok(None),
        Run::Container { .. } => {
            let message =
                format!("`{}` is a container, and this version of Motet starts processes only.", service.name);
            return Err(Failure::new(Exit::Definition, message).into());
        }
    };
    let base = if service.once {
        ServiceSpec::job(service.name.clone(), &service.path, command)
    } else {
        ServiceSpec::new(service.name.clone(), &service.path, command)
    };
    Ok(Some(ServiceSpec {
        kind: if service.once { Kind::RunToCompletion } else { Kind::Service },
        build: service.build.as_ref().map(build),
        prepare: service.store.as_ref().and_then(|store| store.migrate.as_ref()).map(self::command),
        env,
        port: match (service.once, service.port) {
            (true, _) => Port::None,
            (false, Some(port)) => Port::Fixed(port),
            (false, None) => Port::Free,
        },
        ready: service.ready.as_ref().map(probe),
        alive: service.alive.as_ref().map(probe),
        after: dependencies(system, service),
        instances: service.scale.min,
        stop: StopPolicy { signal: signal(&service.stop.signal), grace: service.stop.grace, ..StopPolicy::default() },
        restart: motet_supervisor::spec::RestartPolicy {
            policy: match service.restart {
                system::Restart::Always if service.once => Restart::OnFailure,
                system::Restart::Always => Restart::Always,
                system::Restart::OnFailure => Restart::OnFailure,
                system::Restart::Never => Restart::Never,
            },
            ..base.restart
        },
        ..base
    }))
}

/// What a service waits for: those that it uses, unless told not to, and those that it comes after. What runs elsewhere is not waited for.
fn dependencies(system: &System, service: &Service) -> Vec<Dependency> {
    let used = service.uses.iter().filter(|(_, edge)| edge.wait == Wait::Ready).map(|(name, _)| name);
    let names: std::collections::BTreeSet<&ServiceName> = used.chain(&service.after).collect();
    let here = |name: &&&ServiceName| {
        system.services.get(**name).is_some_and(|other| !matches!(other.run, Run::External { .. }))
    };
    names.iter().filter(here).map(|name| Dependency { service: (*name).clone(), until: Until::Ready }).collect()
}

fn command(command: &system::Command) -> Command {
    match command {
        system::Command::Shell(line) => Command::Shell(line.clone()),
        system::Command::Argv(words) => Command::Argv(words.clone()),
    }
}

fn build(build: &system::Build) -> Build {
    Build { inputs: build.inputs.clone(), ..Build::new(command(&build.command)) }
}

fn probe(probe: &system::Probe) -> Probe {
    Probe {
        check: match &probe.check {
            system::Check::Http { path } => Check::Http { path: path.clone() },
            system::Check::Tcp => Check::Tcp,
            system::Check::Log { pattern } => Check::Log { pattern: pattern.clone() },
            system::Check::Command(line) => Check::Command(command(line)),
        },
        interval: probe.interval,
        timeout: probe.timeout,
        failures_max: probe.failures,
        grace: probe.grace,
    }
}

fn signal(name: &str) -> Signal {
    match name {
        "INT" => Signal::Int,
        "QUIT" => Signal::Quit,
        "HUP" => Signal::Hup,
        "USR1" => Signal::Usr1,
        "USR2" => Signal::Usr2,
        "KILL" => Signal::Kill,
        _ => Signal::Term,
    }
}

/// Where an external service answers, if the data plane can speak with it: without TLS and without a path of its own.
pub(crate) fn external_authority(url: &str) -> Option<Authority> {
    let rest = url.strip_prefix("http://")?.trim_end_matches('/');
    if rest.contains(['/', '?', '@']) {
        return None;
    }
    let uri: http::uri::Authority = rest.parse().ok()?;
    let host = uri.host().trim_start_matches('[').trim_end_matches(']');
    Some(Authority { host: host.into(), port: uri.port_u16().unwrap_or(80) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_service_is_reached_through_the_data_plane_when_it_speaks_plain_http_at_a_root() {
        let authority = |url| external_authority(url).map(|authority| authority.to_string());
        assert_eq!(authority("http://10.0.0.7:8000/"), Some("10.0.0.7:8000".to_owned()));
        assert_eq!(authority("http://models"), Some("models:80".to_owned()));
        assert_eq!(authority("http://[::1]:9"), Some("[::1]:9".to_owned()));
        assert_eq!(authority("https://models"), None);
        assert_eq!(authority("http://models/v1"), None);
    }
}
