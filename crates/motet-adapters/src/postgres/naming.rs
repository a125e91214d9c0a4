//! Names of roles and databases.
//!
//! Names of systems and services hold letters, digits and hyphens but no underscore, so `<system>_<service>` can be taken
//! apart in one way only: two different pairs never share a name. PostgreSQL cuts identifiers at 63 bytes, silently, which
//! would break that; longer ones are shortened here and end with a digest, after a double underscore that no short name has.

use motet_kernel::name::{ServiceName, SystemName};

/// PostgreSQL's limit is 63 bytes; the rest is for [`restoring`] and [`replaced`].
const LENGTH_MAX: usize = 52;
const PART_MAX: usize = 12;
const DIGEST: usize = 24;

/// The name of the role, and of the database, of a service.
pub(super) fn of(system: &SystemName, service: &ServiceName) -> String {
    let (system, service) = (system.as_str(), service.as_str());
    let whole = format!("{system}_{service}");
    if whole.len() <= LENGTH_MAX {
        return whole;
    }
    let digest = blake3::hash(whole.as_bytes()).to_hex();
    let short = |name: &str| name[..name.len().min(PART_MAX)].to_owned();
    format!("{}_{}__{}", short(system), short(service), &digest[..DIGEST])
}

/// The database that a restore fills before it takes the place of the real one.
pub(super) fn restoring(database: &str) -> String {
    format!("{database}__restoring")
}

/// The database whose place was taken, until it is dropped.
pub(super) fn replaced(database: &str) -> String {
    format!("{database}__replaced")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn name(system: &str, service: &str) -> String {
        of(&system.parse().expect("name"), &service.parse().expect("name"))
    }

    #[test]
    fn different_services_never_share_a_name_however_they_are_cut() {
        assert_eq!(name("askdocs", "library"), "askdocs_library");
        assert_ne!(name("a-b", "c"), name("a", "b-c"));
        let long = "x".repeat(60);
        let mut seen = BTreeSet::new();
        for system in ["a", "a-b", &long, &format!("{long}-1"), &"y".repeat(40)] {
            for service in ["b", "b-c", &long, &format!("{long}-2"), "c"] {
                let name = name(system, service);
                assert!(replaced(&name).len() <= 63 && restoring(&name).len() <= 63, "{name}");
                assert!(seen.insert(name), "{system} {service}");
            }
        }
    }
}
