//! What an engine of events keeps itself, what Motet adds on top of it, and what nobody does.
//!
//! Events mean the same on every engine because the broker adds what one lacks. Where even that does not help, a person has to know before
//! something is lost and not afterwards. So each engine says it in a table beside its code, and every list that people see (`motet engines`,
//! `motet check`) is made from those tables: none of them can promise what the code does not.

use std::fmt;

/// What people expect of something that carries events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// A publisher hears yes after the event is on disk, and not before.
    Durable,
    /// Events of one key are delivered in order.
    Order,
    /// What was not taken comes again, after growing pauses.
    Redelivery,
    /// An event may be published for later.
    Delay,
    /// What is given up is kept with its reason.
    DeadLetters,
    /// What is published twice is stored once.
    Dedup,
    /// A subscription may begin again at a position.
    ReplayByPosition,
    /// A subscription may begin again at a time.
    ReplayByTime,
    /// Events go when they are old.
    RetentionByTime,
    /// The oldest events go when there are too many bytes.
    RetentionBySize,
    /// One topic is spread over several logs of the engine.
    Partitions,
    /// What other programs write to the engine is delivered too.
    OtherPublishers,
}

impl Capability {
    /// All of them, in the order in which people are shown them.
    pub const ALL: [Self; 12] = [
        Self::Durable,
        Self::Order,
        Self::Redelivery,
        Self::Delay,
        Self::DeadLetters,
        Self::Dedup,
        Self::ReplayByPosition,
        Self::ReplayByTime,
        Self::RetentionByTime,
        Self::RetentionBySize,
        Self::Partitions,
        Self::OtherPublishers,
    ];

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable before acknowledged",
            Self::Order => "order per key",
            Self::Redelivery => "redelivery with backoff",
            Self::Delay => "delay",
            Self::DeadLetters => "dead letters",
            Self::Dedup => "duplicates found",
            Self::ReplayByPosition => "replay by position",
            Self::ReplayByTime => "replay by time",
            Self::RetentionByTime => "retention by time",
            Self::RetentionBySize => "retention by size",
            Self::Partitions => "several partitions",
            Self::OtherPublishers => "events by other publishers",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who keeps a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The engine does.
    Engine,
    /// The engine does where its server is set up for that: [`Support::note`] says how.
    Depends,
    /// Motet does, durably, on top of the engine.
    Motet,
    /// Nobody does: [`Support::note`] says why, or from which version of the server on.
    Nobody,
}

impl By {
    /// For people: `engine`, `depends`, `motet`, `no`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Depends => "depends",
            Self::Motet => "motet",
            Self::Nobody => "no",
        }
    }
}

/// One line of an engine's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// What.
    pub capability: Capability,
    /// By whom.
    pub by: By,
    /// What one has to know about it: a sentence, or nothing (empty). Never empty where it depends, and where nobody keeps it.
    pub note: &'static str,
}

impl Support {
    /// The engine keeps it.
    pub const fn engine(capability: Capability) -> Self {
        Self { capability, by: By::Engine, note: "" }
    }

    /// Motet keeps it on top of the engine.
    pub const fn motet(capability: Capability) -> Self {
        Self { capability, by: By::Motet, note: "" }
    }

    /// The engine keeps it if its server is set up for that; `how` is a sentence.
    pub const fn depends(capability: Capability, how: &'static str) -> Self {
        Self { capability, by: By::Depends, note: how }
    }

    /// Nobody keeps it; `why` is a sentence.
    pub const fn not(capability: Capability, why: &'static str) -> Self {
        Self { capability, by: By::Nobody, note: why }
    }

    /// The same with a sentence that one has to know: a setting of the server that it depends on, a limit, a version.
    pub const fn noting(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// The line of a table that is about a capability.
pub fn find(table: &[Support], capability: Capability) -> Option<&Support> {
    table.iter().find(|support| support.capability == capability)
}

/// What is wrong with an engine's table: it has to have each capability once, and a sentence wherever nobody keeps one or it depends. Empty if nothing
/// is. For the test that each engine has.
pub fn faults(table: &[Support]) -> Vec<String> {
    let mut faults = Vec::new();
    for capability in Capability::ALL {
        let lines = table.iter().filter(|support| support.capability == capability).count();
        if lines != 1 {
            faults.push(format!("`{capability}` has {lines} lines instead of one"));
        }
    }
    let silent = |support: &&Support| matches!(support.by, By::Nobody | By::Depends) && support.note.is_empty();
    faults.extend(
        table.iter().filter(silent).map(|support| format!("`{}` does not say why, or how", support.capability)),
    );
    let unfinished = |support: &&Support| !support.note.is_empty() && !support.note.ends_with('.');
    faults.extend(
        table.iter().filter(unfinished).map(|support| format!("the note on `{}` is no sentence", support.capability)),
    );
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_each_capability_once_and_says_why_not() {
        assert_eq!(faults(crate::embedded::SUPPORT), Vec::<String>::new());
        let mut table = crate::embedded::SUPPORT.to_vec();
        let first = table.remove(0);
        assert_eq!(faults(&table), ["`durable before acknowledged` has 0 lines instead of one"]);
        table.push(Support { by: By::Nobody, note: "", ..first });
        assert_eq!(faults(&table), ["`durable before acknowledged` does not say why, or how"]);
        table.push(first.noting("half a thought"));
        assert_eq!(faults(&table).len(), 3);
    }
}
