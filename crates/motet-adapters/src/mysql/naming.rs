//! Names of users and databases, and how names and texts are written in SQL.
//!
//! Names of systems and services hold letters, digits and hyphens but no underscore, so `<system>_<service>` can be taken
//! apart in one way only: two different pairs never share a name. MySQL's users have 32 characters at most; longer names are shortened
//! here and end with a digest, after a double underscore that no short name has.

use motet_kernel::name::{ServiceName, SystemName};

const LENGTH_MAX: usize = 32;
const PART_MAX: usize = 5;
const DIGEST: usize = 19;

/// The name of the user, and of the database, of a service.
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

/// An identifier in quotes, whatever the server's `sql_mode` is.
pub(super) fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text in quotes. Sessions have a `sql_mode` in which the backslash escapes.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A database in a `GRANT`, where an underscore would stand for any character.
pub(super) fn granted(database: &str) -> String {
    name(&database.replace('_', "\\_").replace('%', "\\%"))
}

/// A user who may come from anywhere, as the server writes it.
pub(super) fn user(user: &str) -> String {
    format!("{}@`%`", name(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn of_names(system: &str, service: &str) -> String {
        of(&system.parse().expect("name"), &service.parse().expect("name"))
    }

    #[test]
    fn different_services_never_share_a_name_however_they_are_cut() {
        assert_eq!(of_names("askdocs", "library"), "askdocs_library");
        assert_ne!(of_names("a-b", "c"), of_names("a", "b-c"));
        let long = "x".repeat(60);
        let mut seen = BTreeSet::new();
        for system in ["a", "a-b", &long, &format!("{long}-1"), &"y".repeat(40)] {
            for service in ["b", "b-c", &long, &format!("{long}-2"), "c"] {
                let name = of_names(system, service);
                assert!(name.len() <= LENGTH_MAX, "{name}");
                assert!(seen.insert(name), "{system} {service}");
            }
        }
    }

    #[test]
    fn what_is_quoted_cannot_leave_its_quotes() {
        assert_eq!(name("a`b"), "`a``b`");
        assert_eq!(text("it's \\"), "'it''s \\\\'");
        assert_eq!(granted("a_b"), "`a\\_b`");
    }
}
