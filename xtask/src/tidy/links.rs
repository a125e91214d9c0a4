//! What a document points at exists: relative links, their anchors, and paths that the maps name in code quotes.
//!
//! Links to other hosts are not followed: a check that needs the network fails for reasons of its own.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::finding::Finding;
use crate::repo::{Repo, SourceFile};

/// Documents whose code-quoted paths are promises about the tree.
const MAPS: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Folders at whose name a code-quoted path is recognised.
const ROOTS: &[&str] = &["crates/", "xtask/", "docs/", "examples/", "console/", "bench/", "fuzz/", ".ci/"];

#[expect(clippy::expect_used, reason = "a literal pattern, compiled by every run of the tests")]
static LINK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)"#).expect("a valid pattern"));

#[expect(clippy::expect_used, reason = "a literal pattern, compiled by every run of the tests")]
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([^`]+)`").expect("a valid pattern"));

/// Checks every Markdown document.
pub fn check(repo: &Repo) -> Vec<Finding> {
    // A corpus is somebody's input, kept as it is.
    let documents = repo.files.iter().filter(|file| file.path.ends_with(".md") && !file.path.contains("/corpus/"));
    documents.flat_map(|file| document(repo, file)).collect()
}

fn document(repo: &Repo, file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in prose(file) {
        let without_code = QUOTED.replace_all(line, "``");
        for link in LINK.captures_iter(&without_code) {
            findings.extend(broken(repo, file, number, &link[1]));
        }
        if MAPS.contains(&file.path.as_str()) {
            findings.extend(QUOTED.captures_iter(line).filter_map(|quoted| lost(repo, file, number, &quoted[1])));
        }
    }
    findings
}

/// Lines outside fenced blocks.
fn prose(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    file.lines().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        fenced ^= fence;
        !fence && !fenced
    })
}

fn broken(repo: &Repo, file: &SourceFile, number: usize, target: &str) -> Option<Finding> {
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:") || target.starts_with('/');
    if is_elsewhere {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path)? };
    if !repo.has(&path) {
        return Some(Finding::error(
            &file.path,
            number,
            format!("The link to {target} leads nowhere: {path} does not exist."),
            "correct the path (it is relative to the document), or write what it promises.",
        ));
    }
    let document = repo.file(&path).filter(|_| !anchor.is_empty() && path.ends_with(".md"))?;
    let anchors = anchors(document);
    (!anchors.contains(anchor)).then(|| {
        let known = anchors.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Finding::error(&file.path, number, format!("{path} has no heading #{anchor}."), format!("use one of: {known}."))
    })
}

/// A path relative to a document, as a path relative to the root; `None` when it leaves the repository.
fn resolve(document: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that GitHub and mdBook make of headings.
fn anchors(file: &SourceFile) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in prose(file).filter_map(|(_, line)| line.strip_prefix('#')) {
        let slug: String = heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|letter| match letter {
                ' ' => Some('-'),
                letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
                _ => None,
            })
            .collect();
        let taken = (1..).map(|n| format!("{slug}-{n}")).find(|name| !anchors.contains(name));
        let name = if anchors.contains(&slug) { taken.unwrap_or(slug) } else { slug };
        anchors.insert(name);
    }
    anchors
}

fn lost(repo: &Repo, file: &SourceFile, number: usize, quoted: &str) -> Option<Finding> {
    let is_path = ROOTS.iter().any(|root| quoted.starts_with(root))
        && !quoted.contains(['<', '*', '…', ' ', '{', '$'])
        && !quoted.contains("target/");
    (is_path && !repo.has(quoted)).then(|| {
        Finding::error(
            &file.path,
            number,
            format!("`{quoted}` does not exist."),
            "correct the map: people find things by it.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repo::of(files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_link_to_a_missing_file_is_found() {
        let found = check(&Repo::of(&[("docs/a.md", "fine\n[b](b.md)\n")]));
        assert_eq!((found[0].path.as_str(), found[0].line), ("docs/a.md", 2));
    }

    #[test]
    fn links_to_files_folders_headings_and_other_hosts_are_fine() {
        let a =
            "# One\n[b](../docs/b.md#two-words) [folder](.) [up](../README.md) [x](https://x.example) [one](#one)\n";
        assert!(whats(&[("docs/a.md", a), ("docs/b.md", "# Two *words*\n"), ("README.md", "x\n")]).is_empty());
    }

    #[test]
    fn a_link_to_a_missing_heading_is_found() {
        assert_eq!(whats(&[("docs/a.md", "# One\n[b](#two)\n")]), ["docs/a.md has no heading #two."]);
    }

    #[test]
    fn code_is_not_searched_for_links() {
        assert!(whats(&[("docs/a.md", "```\n[b](b.md)\n```\n`[b](b.md)`\n")]).is_empty());
    }

    #[test]
    fn a_path_on_a_map_exists() {
        assert_eq!(
            whats(&[("ARCHITECTURE.md", "`crates/gone/src/lib.rs`\n")]),
            ["`crates/gone/src/lib.rs` does not exist."]
        );
        assert!(whats(&[("ARCHITECTURE.md", "`crates/<name>/src`\n"), ("docs/a.md", "`crates/gone`\n")]).is_empty());
    }
}
