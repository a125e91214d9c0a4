//! Refuses a wanted set that could never come to rest: the loop may then rely on an acyclic order, known names and valid patterns.

use super::{Check, Dependency, Kind, Port, Probe, ServiceSpec, Until};
use crate::error::{
    ApplyError, CyclicOrder, ExclusiveInstances, InvalidProbe, NeverCompletes, RepeatedService, UnknownService,
};
use motet_kernel::name::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// Checks a whole wanted set.
pub(crate) fn check(specs: &[ServiceSpec]) -> Result<(), ApplyError> {
    let mut by_name = BTreeMap::new();
    for spec in specs {
        if by_name.insert(spec.name.clone(), spec).is_some() {
            return Err(RepeatedService { service: spec.name.clone() }.into());
        }
    }
    for spec in specs {
        instances(spec, spec.instances)?;
        for dependency in &spec.after {
            check_dependency(spec, dependency, &by_name)?;
        }
        for probe in spec.ready.iter().chain(&spec.alive) {
            check_probe(spec, probe)?;
        }
        if let Some(Probe { check: Check::Log { .. }, .. }) = &spec.alive {
            let reason = "output cannot tell that an instance still works: use http, tcp or a command".to_owned();
            return Err(InvalidProbe { service: spec.name.clone(), reason }.into());
        }
    }
    check_order(&by_name)
}

/// Refuses several instances of a service that can have one only.
pub(crate) fn instances(spec: &ServiceSpec, wanted: u32) -> Result<(), ExclusiveInstances> {
    if wanted > 1 && spec.is_exclusive() {
        let reason = match spec.port {
            Port::Fixed(_) => "it has a fixed port",
            _ => "it runs to completion",
        };
        return Err(ExclusiveInstances { service: spec.name.clone(), wanted, reason });
    }
    Ok(())
}

fn check_dependency(
    spec: &ServiceSpec,
    dependency: &Dependency,
    by_name: &BTreeMap<ServiceName, &ServiceSpec>,
) -> Result<(), ApplyError> {
    let Some(other) = by_name.get(&dependency.service) else {
        let (service, unknown) = (spec.name.clone(), dependency.service.clone());
        return Err(UnknownService { service: unknown, named_by: Some(service) }.into());
    };
    if dependency.until == Until::Completed && other.kind == Kind::Service {
        return Err(NeverCompletes { service: spec.name.clone(), waits_for: other.name.clone() }.into());
    }
    Ok(())
}

fn check_probe(spec: &ServiceSpec, probe: &Probe) -> Result<(), InvalidProbe> {
    let invalid = |reason: String| InvalidProbe { service: spec.name.clone(), reason };
    match &probe.check {
        Check::Http { .. } | Check::Tcp if spec.port == Port::None => {
            Err(invalid("it asks the service's port, and the service has none".to_owned()))
        }
        Check::Http { path } if !path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Err(invalid(format!("`{path}` is not a path: it begins with `/` and contains no blanks")))
        }
        Check::Log { pattern } => regex::Regex::new(pattern).map(drop).map_err(|error| invalid(error.to_string())),
        _ => Ok(()),
    }
}

/// Takes away services that wait for nobody until none is left; what stays is in a cycle or waits for one.
fn check_order(by_name: &BTreeMap<ServiceName, &ServiceSpec>) -> Result<(), ApplyError> {
    let mut left: BTreeSet<&ServiceName> = by_name.keys().collect();
    loop {
        let free: Vec<_> = left
            .iter()
            .copied()
            .filter(|name| by_name[*name].after.iter().all(|dependency| !left.contains(&dependency.service)))
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    match left.first() {
        None => Ok(()),
        Some(first) => Err(CyclicOrder { cycle: walk_cycle(first, by_name, &left) }.into()),
    }
}

fn walk_cycle(
    first: &ServiceName,
    by_name: &BTreeMap<ServiceName, &ServiceSpec>,
    left: &BTreeSet<&ServiceName>,
) -> Vec<ServiceName> {
    let mut path = vec![first.clone()];
    loop {
        let last = &path[path.len() - 1];
        let next = by_name[last].after.iter().map(|dependency| &dependency.service).find(|name| left.contains(name));
        let Some(next) = next else { return path };
        if let Some(start) = path.iter().position(|name| name == next) {
            let mut cycle = path.split_off(start);
            cycle.push(next.clone());
            return cycle;
        }
        path.push(next.clone());
    }
}
