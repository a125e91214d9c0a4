//! A source file says at its top what it is for, and is short enough to be held in the head.
//!
//! Lines of a file's own tests do not count: long tests are a list, long code is a knot.

use crate::finding::Finding;
use crate::repo::{Repo, SourceFile};

/// From here on a file is worth a look: what is the second thing that it does?
pub const COMFORTABLE_LINES: usize = 500;
/// Beyond this nobody reads it whole.
pub const MOST_LINES: usize = 700;

/// The module doc has to begin within the first lines, after attributes at most.
const DOC_WITHIN_LINES: usize = 10;

/// Checks module docs, `mod.rs`, names that say nothing, and lengths.
pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.files.iter().filter(|file| file.is_crate_source()) {
        findings.extend(doc(file));
        findings.extend(name(file));
    }
    for file in repo.files.iter().filter(|file| is_code(file) && !file.is_test()) {
        findings.extend(length(file));
    }
    findings
}

fn is_code(file: &SourceFile) -> bool {
    let ends = [".rs", ".py", ".ts", ".tsx"].iter().any(|ending| file.path.ends_with(ending));
    let generated = file.path.split('/').any(|part| part == "generated") || file.path.ends_with(".d.ts");
    ends && !generated
}

fn doc(file: &SourceFile) -> Option<Finding> {
    let first = file.lines().take(DOC_WITHIN_LINES).find(|(_, line)| line.starts_with("//!"));
    let says_something = first.is_some_and(|(_, line)| line.trim_start_matches("//!").trim().len() >= 10);
    (!says_something).then(|| {
        Finding::error(
            &file.path,
            1,
            "The file does not say what it is for.",
            "begin it with a `//!` sentence: what it is for, and what problem its design solves.",
        )
    })
}

fn name(file: &SourceFile) -> Option<Finding> {
    let stem = file.path.rsplit('/').next()?.trim_end_matches(".rs");
    let way_out = match stem {
        "mod" => "use `module.rs` beside `module/`, so that an editor's tabs tell files apart.",
        "utils" | "util" | "helpers" | "helper" | "common" | "manager" | "misc" => {
            "name it after the noun or the verb that it holds; if there are two, make two files."
        }
        _ => return None,
    };
    Some(Finding::error(&file.path, 1, format!("A file called {stem}.rs says nothing about its content."), way_out))
}

fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.first_test_line() - 1;
    let what = format!(
        "The file has {lines} lines without its tests (comfortable: 300, a question: {COMFORTABLE_LINES}, the end: {MOST_LINES})."
    );
    let way_out = "find the second thing that it does and give that a file of its own.";
    if lines > MOST_LINES {
        return Some(Finding::error(&file.path, 1, what, way_out));
    }
    (lines > COMFORTABLE_LINES).then(|| Finding::warning(&file.path, 1, what, way_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn severities(path: &str, text: &str) -> Vec<Severity> {
        check(&Repo::of(&[(path, text)])).into_iter().map(|finding| finding.severity).collect()
    }

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(severities("crates/a/src/lib.rs", "fn x() {}\n"), [Severity::Error]);
        assert_eq!(severities("crates/a/src/lib.rs", "//! Short.\n"), [Severity::Error]);
        assert!(severities("crates/a/src/lib.rs", "//! Says what it is for.\n").is_empty());
        assert!(severities("examples/a/src/lib.rs", "fn x() {}\n").is_empty(), "examples follow their own habits");
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        assert_eq!(severities("crates/a/src/b/mod.rs", "//! Says what it is for.\n").len(), 1);
        assert_eq!(severities("crates/a/src/utils.rs", "//! Says what it is for.\n").len(), 1);
    }

    #[test]
    fn a_long_file_is_a_question_and_a_longer_one_an_error() {
        let file = |lines: usize| format!("//! Says what it is for.\n{}", "x\n".repeat(lines - 1));
        assert!(severities("crates/a/src/x.rs", &file(500)).is_empty());
        assert_eq!(severities("crates/a/src/x.rs", &file(501)), [Severity::Warning]);
        assert_eq!(severities("crates/a/src/x.rs", &file(701)), [Severity::Error]);
        assert_eq!(severities("examples/a/x.py", &"x\n".repeat(701)), [Severity::Error]);
    }

    #[test]
    fn tests_do_not_count_as_length() {
        let tests = format!("//! Says what it is for.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(900));
        assert!(severities("crates/a/src/x.rs", &tests).is_empty());
        assert!(severities("examples/a/tests/test_x.py", &"x\n".repeat(900)).is_empty());
    }
}
