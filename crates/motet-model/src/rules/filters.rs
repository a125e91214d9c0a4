//! Expressions in filters of subscriptions: whether they can be read at all.
//!
//! An expression that cannot be read would let the system start, or not, on the day that it is deployed. Whoever writes it is told where.

use super::{Subject, entries};
use crate::{
    code,
    finding::Finding,
    judge::Judge,
    keys::accept::shorten,
    source::tree::{Node, Value},
};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(judge) = subject.judge else { return };
    for service in subject.services() {
        for subscription in entries(service.value.get("subscribes")) {
            if let Some(filter) = subscription.value.get("filter") {
                expressions(filter, judge, findings);
            }
        }
    }
}

/// All of them, also those that stand under `all`, `any` and `not`. The tree is as deep as the reader of YAML lets it be.
fn expressions(node: &Node, judge: &dyn Judge, findings: &mut Vec<Finding>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| expressions(item, judge, findings)),
        Value::Map(map) => {
            for entry in map.iter() {
                match (&*entry.key, entry.value.text()) {
                    ("sql", Some(text)) => expression(text, &entry.value, judge, findings),
                    ("all" | "any" | "not", _) => expressions(&entry.value, judge, findings),
                    _ => {}
                }
            }
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

fn expression(text: &str, node: &Node, judge: &dyn Judge, findings: &mut Vec<Finding>) {
    let Err(why) = judge.expression(text) else { return };
    findings.push(
        Finding::error(code::INVALID_FILTER, format!("`{}` cannot be read: {why}", shorten(text)))
            .at(node.span, "not an expression")
            .help("write it in the CloudEvents SQL language, as in `sql: \"type LIKE 'order.%' AND EXISTS tenant\"`"),
    );
}
