//! Whether what is found on the server is ours to change: decided without a connection, because this is the line between
//! repairing our own half-made store and taking over somebody else's data.

/// What was found under the store's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) user: bool,
    pub(super) database: bool,
    /// What stands about it in Motet's own table.
    pub(super) mark: Option<String>,
    /// Whether the password in the credentials file opens it: then the store is ours, whatever the mark says.
    pub(super) holds_key: bool,
}

/// Something that is not ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign<'a> {
    /// `user` or `database`.
    pub(super) what: &'static str,
    pub(super) mark: Option<&'a str>,
}

/// `mark` is what stands about ours.
pub(super) fn check<'a>(found: &'a Found, mark: &str, take_over: bool) -> Result<(), Foreign<'a>> {
    let ours = match found.mark.as_deref() {
        // The mark of what is gone protects nothing.
        _ if !found.user && !found.database => true,
        Some(it) if it == mark => true,
        Some(_) => found.holds_key || take_over,
        // Nobody takes over what Motet did not make: what bears no mark is a person's.
        None => found.holds_key,
    };
    if ours {
        return Ok(());
    }
    Err(Foreign { what: if found.user { "user" } else { "database" }, mark: found.mark.as_deref() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "motet: store of `library` in the system `askdocs` run from here:/ours";
    const OTHER: &str = "motet: store of `library` in the system `askdocs` run from there:/theirs";

    fn found(user: bool, database: bool, mark: Option<&str>) -> Found {
        Found { user, database, mark: mark.map(str::to_owned), holds_key: false }
    }

    #[test]
    fn whatever_a_killed_provision_leaves_is_ours() {
        for (user, database) in [(false, false), (true, false), (false, true), (true, true)] {
            assert_eq!(check(&found(user, database, Some(MARK)), MARK, false), Ok(()));
        }
        assert_eq!(check(&found(false, false, None), MARK, false), Ok(()));
        assert_eq!(check(&found(false, false, Some(OTHER)), MARK, false), Ok(()));
    }

    #[test]
    fn another_installations_store_is_taken_over_only_when_asked() {
        let theirs = found(true, true, Some(OTHER));
        assert_eq!(check(&theirs, MARK, false), Err(Foreign { what: "user", mark: Some(OTHER) }));
        assert_eq!(check(&theirs, MARK, true), Ok(()));
        assert_eq!(check(&Found { holds_key: true, ..theirs }, MARK, false), Ok(()), "the state directory moved");
    }

    #[test]
    fn what_motet_did_not_make_is_never_taken_over() {
        assert_eq!(check(&found(true, false, None), MARK, true), Err(Foreign { what: "user", mark: None }));
        assert_eq!(check(&found(false, true, None), MARK, true), Err(Foreign { what: "database", mark: None }));
    }
}
