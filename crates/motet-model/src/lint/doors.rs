//! Lints about who reaches what: services that nobody reaches, a gateway that everybody reaches.

use super::{Lint, calls::stand_ins};
use crate::{
    code,
    finding::Finding,
    rules::Subject,
    system::{Run, gateway::Access},
};
use std::collections::BTreeSet;

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    unreached(subject, lints);
    open_gateway(subject, lints);
}

fn unreached(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let system = subject.system;
    let routes = || system.gateway.iter().flat_map(|gateway| gateway.routes.values());
    let edges = || system.services.values().flat_map(|service| service.uses.values());
    let instead = edges().flat_map(|edge| stand_ins(&edge.policy, &edge.paths));
    let instead = instead.chain(routes().flat_map(|route| stand_ins(&route.policy, &route.paths)));
    let callees = system.services.values().flat_map(|service| service.uses.keys());
    let reached: BTreeSet<_> = routes().map(|route| &route.to).chain(callees).chain(instead).collect();
    for (name, service) in &system.services {
        // A fixed port is reached from outside without a route.
        let by_itself = service.once || service.port.is_some() || matches!(service.run, Run::External { .. });
        let by_events = !service.subscribes.is_empty();
        if by_itself || by_events || reached.contains(name) {
            continue;
        }
        let finding = Finding::warning(code::UNREACHED, format!("nobody reaches `{name}`: no service uses it, and no route leads to it"))
            .at(subject.place(&["services", name.as_str()]), "started for nobody")
            .help(format!(
                "add it to `uses` of its caller, or a route: `gateway: {{ routes: {{ /: {name} }} }}`; a service that works by itself says so: `allow: [{{ lint: {}, because: … }}]`",
                code::UNREACHED
            ));
        lints.push(Lint::of_services(finding, [name.as_str()]));
    }
}

fn open_gateway(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let Some(gateway) = &subject.system.gateway else { return };
    if gateway.listen.ip().is_loopback() {
        return;
    }
    let mut missing = Vec::new();
    if gateway.tls.is_none() {
        missing.push(
            "nothing is encrypted: write `tls: { certificate: …, key: … }`, unless something before it does that",
        );
    }
    let knows_nobody = gateway.keys.is_empty() && gateway.issuers.is_empty();
    if knows_nobody && gateway.routes.values().any(|route| route.access == Access::Default) {
        missing.push("everybody is let in: write `keys` or `jwt`, or `access: open` at routes that are for everybody");
    }
    if missing.is_empty() {
        return;
    }
    let span =
        subject.tree.at(&["gateway", "listen"]).map_or_else(|| subject.place(&["gateway", "listen"]), |node| node.span);
    let finding = Finding::warning(code::OPEN_GATEWAY, format!("others on the network reach the gateway at {}", gateway.listen))
        .at(span, "not a loopback address")
        .help(format!(
            "{}; for development, listen on `127.0.0.1:{}`; where it is meant, say so under `gateway`: `allow: [{{ lint: {}, because: … }}]`",
            missing.join("; "),
            gateway.listen.port(),
            code::OPEN_GATEWAY
        ));
    lints.push(Lint::of_gateway(finding));
}
