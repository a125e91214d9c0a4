//! The mark that objects of Motet bear on a server that others use too: whose they are, in words that a person can read.

use motet_kernel::name::{ServiceName, SystemName};
use std::path::Path;

const MARK: &str = "motet: ";

/// What is written beside the objects of a service about their owner.
pub(crate) fn mark(system: &SystemName, service: &ServiceName, installation: &str) -> String {
    format!("{MARK}store of `{service}` in the system `{system}` run from {installation}")
}

/// Whom a mark names, in words for a message.
pub(crate) fn owner(mark: Option<&str>) -> String {
    match mark.and_then(|mark| mark.strip_prefix(MARK)) {
        Some(owner) => format!("another Motet (the {owner})"),
        None => "somebody else (it bears no mark of Motet)".to_owned(),
    }
}

/// This copy of the system: the machine and the state directory. Stays the same when the state directory is emptied.
pub(crate) fn installation(state: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty()).unwrap_or("this machine");
    format!("{host}:{}", state.display())
}
