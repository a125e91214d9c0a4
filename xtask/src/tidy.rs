//! The rules that the repository keeps about itself, each a function from the [`Repo`] to its findings.
//!
//! `cargo xtask tidy` prints them; `xtask/tests` runs the same list, so that breaking a rule breaks `cargo test`. All
//! findings of all rules come in one run. A rule names the place and the way out: a rule whose message needs a
//! colleague to explain it is not finished.

use crate::finding::Finding;
use crate::repo::Repo;

pub mod codes;
pub mod fences;
pub mod files;
pub mod layers;
pub mod links;
pub mod words;

/// A rule: a name for the summary, and the check.
pub type Rule = (&'static str, fn(&Repo) -> Vec<Finding>);

/// All rules, in the order in which they are run.
pub const RULES: &[Rule] = &[
    ("layers: a crate imports only from layers below its own", layers::check),
    ("fences: third-party crates stay in their rooms", fences::check),
    ("files: each says what it is for and can be held in the head", files::check),
    ("codes: each error code has a page, each page a code", codes::check),
    ("words: nothing unfinished, skipped or private", words::check),
    ("links: what a document points at exists", links::check),
];

/// Runs every rule; findings in the order of rules, then of places.
pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut all = Vec::new();
    for (_, rule) in RULES {
        let mut findings = rule(repo);
        findings.sort();
        all.extend(findings);
    }
    all
}
