//! A fallback has to be somebody else who can answer, or an answer that can be sent.

use super::Subject;
use crate::{
    code,
    finding::Finding,
    keys::accept::shorten,
    layers::{Door, Layers},
    source::Span,
    system::{
        Run,
        policy::{Fallback, Policy},
    },
};

pub(super) fn check(
    subject: &Subject<'_>,
    door: Door<'_>,
    layers: &Layers<'_>,
    policy: &Policy,
    findings: &mut Vec<Finding>,
) {
    if let Some(Fallback::Answer(answer)) = &policy.fallback
        && let Some(origin) = layers.origin(&["fallback", "answer", "status"])
        && matches!(answer.status, 204 | 205 | 304)
        && !answer.body.is_empty()
    {
        findings.push(
            cannot(format!("an answer with the status {} has no content, and this one has", answer.status))
                .at(origin.span, "without content by definition")
                .help("write `status: 200`, or remove the content"),
        );
    }
    let Some(Fallback::Service(name)) = &policy.fallback else { return };
    let Some(origin) = layers.origin(&["fallback", "to"]) else { return };
    findings.extend(stand_in(subject, door, name.as_str(), origin.span));
}

/// What is wrong with a service that is to answer in place of another. That it exists and serves is looked at with all other references.
fn stand_in(subject: &Subject<'_>, door: Door<'_>, name: &str, span: Span) -> Option<Finding> {
    let shown = shorten(name);
    if name == door.callee() {
        return Some(
            cannot(format!("`{shown}` cannot stand in for itself"))
                .at(span, "the service that has just failed")
                .help("name another service, or write a fixed answer: `fallback: { answer: { json: … } }`"),
        );
    }
    if let Door::Edge { caller, callee } = door
        && caller == name
    {
        return Some(
            cannot(format!("`{shown}` calls `{}` and cannot stand in for it: it would call itself", shorten(callee)))
                .at(span, "the caller itself")
                .also(subject.place(&["services", caller, "uses", callee]), "on this edge")
                .help("name another service, or take the fallback away from this edge: `fallback: none`"),
        );
    }
    match &subject.system.services.get(name)?.run {
        Run::External { url } if url.starts_with("https://") => Some(
            cannot(format!("`{shown}` is called by URL and not over an edge, because it speaks TLS"))
                .at(span, "out of the data plane's reach")
                .help("name a service that speaks plain HTTP, or write a fixed answer"),
        ),
        _ => None,
    }
}

fn cannot(message: String) -> Finding {
    Finding::error(code::INVALID_FALLBACK, message)
}
