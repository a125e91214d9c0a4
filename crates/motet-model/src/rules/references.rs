//! Names that refer to services: in contexts, `uses`, `after`, routes and fallbacks.

use super::{Subject, entries, items};
use crate::{
    code,
    finding::Finding,
    keys::accept::shorten,
    layers::{doors, written_paths},
    source::Span,
    spelling,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let known: BTreeSet<&str> = subject.services().map(|entry| &*entry.key).collect();
    let mut check = References { subject, known, findings };
    check.contexts();
    check.services();
    check.routes();
    check.fallbacks();
}

/// How many names are compared for suggestions.
const COMPARISONS_MAX: usize = 100_000;

struct References<'a, 'b> {
    subject: &'a Subject<'a>,
    known: BTreeSet<&'a str>,
    findings: &'b mut Vec<Finding>,
}

impl References<'_, '_> {
    fn contexts(&mut self) {
        let mut homes: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
        for context in entries(self.subject.tree.get("contexts")) {
            for (service, span) in items(context.value.get("services")) {
                self.exists(service, span);
                match homes.get(service) {
                    None => {
                        homes.insert(service, (&context.key, span));
                    }
                    Some((home, first)) if **home == *context.key => self.findings.push(
                        Finding::error(code::TWO_CONTEXTS, format!("`{}` stands in the context `{home}` twice", shorten(service)))
                            .at(span, "again")
                            .also(*first, "first")
                            .help("remove one of the two"),
                    ),
                    Some((home, first)) => self.findings.push(
                        Finding::error(
                            code::TWO_CONTEXTS,
                            format!("`{}` is in two contexts, `{home}` and `{}`", shorten(service), shorten(&context.key)),
                        )
                        .at(span, "and here")
                        .also(*first, "here")
                        .help("leave it in the context whose words it speaks; services of the other one call it when it is `published: true`"),
                    ),
                }
            }
        }
    }

    fn services(&mut self) {
        for service in self.subject.services() {
            for edge in entries(service.value.get("uses")) {
                self.callee(&service.key, &edge.key, edge.key_span);
            }
            for (name, span) in items(service.value.get("after")) {
                if name == &*service.key {
                    self.uses_itself(name, span);
                } else {
                    self.exists(name, span);
                }
            }
        }
    }

    fn routes(&mut self) {
        for route in entries(self.subject.tree.at(&["gateway", "routes"])) {
            let to = if route.value.text().is_some() { Some(&route.value) } else { route.value.get("to") };
            if let Some((name, span)) = to.and_then(|to| Some((to.text()?, to.span)))
                && self.exists(name, span)
            {
                self.serves(name, span, "a route leads here");
            }
        }
    }

    fn fallbacks(&mut self) {
        let tree = self.subject.tree;
        let policies = entries(tree.get("services")).filter_map(|service| service.value.get("policy"));
        let places = policies.chain(doors(tree).filter_map(|door| door.own(tree)));
        let all = places.flat_map(|place| [place].into_iter().chain(written_paths(place).map(|path| &path.value)));
        for to in all.filter_map(|place| place.at(&["fallback", "to"])) {
            if let Some(name) = to.text()
                && self.exists(name, to.span)
            {
                self.serves(name, to.span, "stands in here");
            }
        }
    }

    fn callee(&mut self, caller: &str, callee: &str, span: Span) {
        if caller == callee {
            self.uses_itself(callee, span);
        } else if self.exists(callee, span) {
            self.serves(callee, span, "called here");
        }
    }

    fn uses_itself(&mut self, name: &str, span: Span) {
        self.findings.push(
            Finding::error(code::SELF_USE, format!("`{}` uses itself", shorten(name)))
                .at(span, "this is the service itself")
                .help("remove it: a service needs no edge to itself; instances of one service don't call each other"),
        );
    }

    fn exists(&mut self, name: &str, span: Span) -> bool {
        if self.known.contains(name) {
            return true;
        }
        // A suggestion costs a comparison with every name: not for as many mistakes as nobody makes by hand.
        if self.known.len().saturating_mul(self.findings.len()) > COMPARISONS_MAX {
            self.findings
                .push(Finding::error(code::UNKNOWN_SERVICE, "there is no such service").at(span, "not defined"));
            return false;
        }
        let help = match spelling::nearest(name, self.known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.known.is_empty() => "no services are defined: add them under `services:`".to_owned(),
            None if self.known.len() > 12 => "define it under `services:`".to_owned(),
            None => {
                format!(
                    "there are {}; define it under `services:`",
                    spelling::all_of(self.known.iter().map(|name| shorten(name)))
                )
            }
        };
        self.findings.push(
            Finding::error(code::UNKNOWN_SERVICE, format!("there is no service `{}`", shorten(name)))
                .at(span, "not defined")
                .help(help),
        );
        false
    }

    /// A service that is called has to be there to answer.
    fn serves(&mut self, name: &str, span: Span, what: &str) {
        if !self.subject.system.services.get(name).is_some_and(|service| service.once) {
            return;
        }
        self.findings.push(
            Finding::error(code::CALLS_ONCE, format!("`{name}` runs to completion and cannot be called"))
                .at(span, what)
                .also(self.subject.place(&["services", name, "once"]), "runs to completion")
                .help(format!(
                    "to start after it has finished, write `after: [{name}]`; if it serves, remove its `once: true`"
                )),
        );
    }
}
