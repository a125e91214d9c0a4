//! Ports that two want, and scales that contradict themselves.

use super::Subject;
use crate::{code, finding::Finding, source::Span, system::Run};
use std::collections::BTreeMap;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut taken: BTreeMap<u16, (String, Span)> = BTreeMap::new();
    if let Some(gateway) = &subject.system.gateway
        && gateway.listen.port() != 0
    {
        taken.insert(gateway.listen.port(), ("the gateway".to_owned(), subject.place(&["gateway", "listen"])));
    }
    // In the order of writing, so that the second place is the one that is told about.
    for entry in subject.services() {
        let name = &*entry.key;
        let Some(service) = subject.system.services.get(name) else { continue };
        if service.scale.min > service.scale.max {
            findings.push(
                Finding::error(
                    code::OUT_OF_RANGE,
                    format!(
                        "at least {} instances and at most {}: that cannot be",
                        service.scale.min, service.scale.max
                    ),
                )
                .at(subject.place(&["services", name, "scale", "min"]), "more than `max`")
                .also(subject.place(&["services", name, "scale", "max"]), "less than `min`")
                .help("`min` is how many are started, `max` how many there may be"),
            );
        }
        let Some(port) = service.port.filter(|_| !matches!(service.run, Run::External { .. })) else { continue };
        let place = subject.place(&["services", name, "port"]);
        if service.scale.min > 1 {
            findings.push(
                Finding::error(
                    code::DUPLICATE_PORT,
                    format!("{} instances of `{name}` cannot share port {port}", service.scale.min),
                )
                .at(place, "every instance would want it")
                .also(subject.place(&["services", name, "scale"]), "several instances")
                .help("remove `port`: each instance gets a free one in `$PORT`, and callers find them by the edge"),
            );
        }
        match taken.get(&port) {
            Some((other, first)) => findings.push(
                Finding::error(code::DUPLICATE_PORT, format!("`{name}` wants port {port}, which {other} has"))
                    .at(place, "wanted again")
                    .also(*first, "wanted first")
                    .help("remove `port`: a service gets a free one in `$PORT`, and callers find it by the edge"),
            ),
            None => {
                taken.insert(port, (format!("`{name}`"), place));
            }
        }
    }
}
