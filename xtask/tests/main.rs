//! The repository keeps its own rules: the same checks that `cargo xtask tidy` prints.

use xtask::finding::Severity;
use xtask::repo::{self, Repo};
use xtask::{commands, tidy};

fn this_repository() -> Repo {
    repo::root().and_then(|root| Repo::read(&root)).expect("the tests run in a checkout that cargo understands")
}

#[test]
fn the_repository_is_tidy() {
    let findings = tidy::check(&this_repository());
    let errors: Vec<String> =
        findings.iter().filter(|finding| finding.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{} places are not tidy:\n\n{}\n", errors.len(), errors.join("\n\n"));
}

#[test]
fn every_crate_of_the_layer_table_that_exists_was_seen() {
    let repo = this_repository();
    assert!(repo.crates.iter().any(|member| member.name == "motet-kernel"), "cargo metadata was understood");
    assert!(repo.crates.iter().any(|member| !member.dependencies.is_empty()), "dependencies were understood");
}

#[test]
fn the_readme_has_commands_to_type() {
    let repo = this_repository();
    let from_readme = commands::collect(&repo).iter().filter(|command| command.path == "README.md").count();
    assert!(repo.file("README.md").is_none() || from_readme >= 2, "README.md names {from_readme} commands");
}
