//! What the data plane is to hold open for a definition: an address per edge, one for the operator's calls to each service, and the gateway.

use crate::roles::{events, gateway, jobs, policies, translate};
use anyhow::{Context as _, Result};
use motet_kernel::{endpoint::EdgeName, name::ServiceName};
use motet_model::system::{
    Route, Run, System,
    policy::{PathPolicy, Policy},
};
use motet_proxy::spec::{Callee, EdgeSpec, GatewaySpec, RouteSpec};
use motet_registry::Registry;
use std::collections::BTreeMap;

/// The caller that `motet call` is, on an edge to each service.
pub(crate) const OPERATOR: &str = "motet";

/// The edges that the data plane holds, and the addresses of those that it cannot stand before.
pub(super) fn edges(system: &System, registry: &Registry) -> Result<(Vec<EdgeSpec>, BTreeMap<EdgeName, String>)> {
    let (mut specs, mut around) = (Vec::new(), BTreeMap::new());
    let mut add = |name: EdgeName, policy: &Policy, paths: &[PathPolicy]| match direct(system, &name.callee) {
        Some(url) => drop(around.insert(name, url)),
        None => specs.push(edge(system, registry, name, policy, paths)),
    };
    for caller in system.services.values() {
        for (callee, edge) in &caller.uses {
            let name = EdgeName { caller: caller.name.clone(), callee: callee.clone() };
            add(name, &edge.policy, &edge.paths);
        }
    }
    let operator: ServiceName = OPERATOR.parse().context("the operator's name is one")?;
    for service in system.services.values().filter(|service| !service.once && service.name != operator) {
        let name = EdgeName { caller: operator.clone(), callee: service.name.clone() };
        add(name, &service.policy, &service.paths);
    }
    let for_jobs = jobs::Declared::of(system);
    for service in system.services.values() {
        let Some(longest) = events::longest_delivery(service, &for_jobs) else { continue };
        let name = delivery(&service.name)?;
        match direct(system, &service.name) {
            Some(url) => drop(around.insert(name, url)),
            None => {
                let mut spec = edge(system, registry, name, &service.policy, &[]);
                // Whether and when an event is sent again, the broker decides; each subscription sends its own deadline along.
                spec.policy.timeout = longest;
                spec.policy.retry.attempts = 1;
                specs.push(spec);
            }
        }
    }
    Ok((specs, around))
}

/// The edge that events come to a service by.
fn delivery(service: &ServiceName) -> Result<EdgeName> {
    let caller = events::CALLER.parse().context("the caller of deliveries is a name")?;
    Ok(EdgeName { caller, callee: service.clone() })
}

/// Of all addresses, those that events are delivered to.
pub(super) fn deliveries(addresses: &BTreeMap<EdgeName, String>) -> BTreeMap<ServiceName, String> {
    let pushed = addresses.iter().filter(|(edge, _)| edge.caller.as_str() == events::CALLER);
    pushed.map(|(edge, address)| (edge.callee.clone(), address.clone())).collect()
}

/// The public door, if there is one.
pub(super) fn gateway(system: &System, registry: &Registry) -> Result<Option<GatewaySpec>> {
    let Some(gateway) = &system.gateway else { return Ok(None) };
    let grace = gateway.limits.body_grace;
    let routes = gateway.routes.iter();
    let routes = routes.map(|(prefix, at)| gateway::guard(at, grace, route(system, registry, prefix, at)));
    gateway::gateway(gateway, routes.collect::<Result<_>>()?).map(Some)
}

fn edge(system: &System, registry: &Registry, name: EdgeName, policy: &Policy, paths: &[PathPolicy]) -> EdgeSpec {
    let endpoints = registry.watch(&name.callee);
    EdgeSpec {
        policy: policies::policy(policy),
        paths: policies::paths(paths),
        fallbacks: fallbacks(system, registry, policy, paths),
        protocol: policies::protocol(system, &name.callee),
        ..EdgeSpec::new(name, endpoints)
    }
}

fn route(system: &System, registry: &Registry, prefix: &str, route: &Route) -> RouteSpec {
    // The definition names paths as the service sees them, the data plane as they come in.
    let cut_off = if route.strip_prefix { prefix.trim_end_matches('/') } else { "" };
    let mut paths = policies::paths(&route.paths);
    paths.iter_mut().for_each(|path| path.prefix.insert_str(0, cut_off));
    RouteSpec {
        strip_prefix: route.strip_prefix,
        policy: policies::policy(&route.policy),
        paths,
        fallbacks: fallbacks(system, registry, &route.policy, &route.paths),
        protocol: policies::protocol(system, &route.to),
        ..RouteSpec::new(prefix, route.to.clone(), registry.watch(&route.to))
    }
}

fn fallbacks(
    system: &System,
    registry: &Registry,
    policy: &Policy,
    paths: &[PathPolicy],
) -> BTreeMap<ServiceName, Callee> {
    let callee =
        |name: &ServiceName| Callee { protocol: policies::protocol(system, name), endpoints: registry.watch(name) };
    policies::fallbacks(policy, paths).into_iter().map(|name| (name.clone(), callee(name))).collect()
}

/// The address of a callee that the data plane cannot stand before: one that speaks TLS, or has a path of its own.
pub(crate) fn direct(system: &System, callee: &ServiceName) -> Option<String> {
    match &system.services.get(callee)?.run {
        Run::External { url } if translate::external_authority(url).is_none() => Some(url.clone()),
        _ => None,
    }
}
