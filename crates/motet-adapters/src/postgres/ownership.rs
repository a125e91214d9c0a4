//! Whether what is found on the server is ours to change: decided without a connection, because this is the line between
//! repairing our own half-made store and taking over somebody else's data.

/// What was found under the store's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The role, with its comment.
    pub(super) role: Option<Option<String>>,
    /// The database.
    pub(super) database: Option<Database>,
    /// Whether the password in the credentials file opens the role: then the store is ours, whatever the marks say.
    pub(super) holds_key: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    /// The role that owns it.
    pub(super) owner: String,
    pub(super) comment: Option<String>,
    /// Closed to connections, as a restore or a creation that was killed leaves it.
    pub(super) closed: bool,
}

/// Something that is not ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Foreign<'a> {
    Role(Option<&'a str>),
    Database(Option<&'a str>),
}

/// `role` is the name that role and database have, `mark` the comment that ours bear.
pub(super) fn check<'a>(found: &'a Found, role: &str, mark: &str, take_over: bool) -> Result<(), Foreign<'a>> {
    let may = |comment: Option<&str>| match comment {
        Some(comment) if comment == mark => true,
        // Nobody takes over what Motet did not make: an unmarked role is a person's.
        Some(_) => found.holds_key || take_over,
        None => found.holds_key,
    };
    if let Some(comment) = &found.role
        && !may(comment.as_deref())
    {
        return Err(Foreign::Role(comment.as_deref()));
    }
    match &found.database {
        // A database cannot be made and marked at once. One without a mark is ours if our role, checked above, owns it.
        Some(it) if it.comment.is_none() && it.owner == role => Ok(()),
        Some(it) if !may(it.comment.as_deref()) => Err(Foreign::Database(it.comment.as_deref())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "motet: store of `library` in the system `askdocs` run from here:/ours";
    const OTHER: &str = "motet: store of `library` in the system `askdocs` run from there:/theirs";

    fn found(role: Option<Option<&str>>, database: Option<(&str, Option<&str>)>) -> Found {
        let text = |text: &str| text.to_owned();
        Found {
            role: role.map(|comment| comment.map(text)),
            database: database.map(|(owner, comment)| Database {
                owner: text(owner),
                comment: comment.map(text),
                closed: false,
            }),
            holds_key: false,
        }
    }

    fn is_ours(found: &Found, take_over: bool) -> bool {
        check(found, "askdocs_library", MARK, take_over).is_ok()
    }

    #[test]
    fn whatever_a_killed_provision_leaves_is_ours() {
        assert!(is_ours(&found(None, None), false));
        assert!(is_ours(&found(Some(Some(MARK)), None), false));
        assert!(is_ours(&found(Some(Some(MARK)), Some(("askdocs_library", None))), false));
        assert!(is_ours(&found(Some(Some(MARK)), Some(("askdocs_library", Some(MARK)))), false));
    }

    #[test]
    fn another_installations_store_is_taken_over_only_when_asked() {
        let theirs = found(Some(Some(OTHER)), Some(("askdocs_library", Some(OTHER))));
        assert_eq!(check(&theirs, "askdocs_library", MARK, false), Err(Foreign::Role(Some(OTHER))));
        assert!(is_ours(&theirs, true));
        assert!(is_ours(&Found { holds_key: true, ..theirs }, false), "the state directory moved, with its password");
    }

    #[test]
    fn what_motet_did_not_make_is_never_taken_over() {
        assert!(!is_ours(&found(Some(None), None), true));
        let persons = found(None, Some(("ana", None)));
        assert_eq!(check(&persons, "askdocs_library", MARK, true), Err(Foreign::Database(None)));
    }
}
