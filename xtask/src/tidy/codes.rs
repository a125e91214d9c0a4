//! Each error code has a page, and each page a code.
//!
//! A code without a page sends the reader of an error into a wall; a page without a code explains what cannot happen.
//! So the two lists are compared: codes that the sources name, pages that `docs/errors/` holds.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::finding::Finding;
use crate::repo::{Repo, SourceFile};

const PAGES: &str = "docs/errors/";
const SHORTEST_PAGE_LINES: usize = 5;

#[expect(clippy::expect_used, reason = "a literal pattern, compiled by every run of the tests")]
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bMO-[a-z]+-[0-9]{3}\b").expect("a valid pattern"));

/// Compares codes and pages.
pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let named = named(repo);
    for (code, places) in &named {
        let page = format!("{PAGES}{code}.md");
        let (path, line, _) = &places[0];
        if repo.file(&page).is_none() {
            findings.push(Finding::error(
                path,
                *line,
                format!("{code} has no page."),
                format!("write {page}: `# {code}: <title>`, what it means, why it happens, what to do."),
            ));
        }
    }
    for file in repo.files.iter().filter(|file| file.path.starts_with(PAGES) && file.path.ends_with(".md")) {
        findings.extend(page(file, &named));
    }
    findings
}

type Places = Vec<(String, usize, bool)>;

/// Codes in shipped Rust sources: path, line, and whether the line is code and not a comment.
fn named(repo: &Repo) -> BTreeMap<String, Places> {
    let mut named: BTreeMap<String, Places> = BTreeMap::new();
    let sources = repo.files.iter().filter(|file| file.path.starts_with("crates/") && file.is_crate_source());
    for file in sources.filter(|file| !file.is_test()) {
        let end = file.first_test_line();
        for (number, line) in file.lines().take_while(|(number, _)| *number < end) {
            for code in CODE.find_iter(line) {
                let is_code = !line.trim_start().starts_with("//");
                named.entry(code.as_str().to_owned()).or_default().push((file.path.clone(), number, is_code));
            }
        }
    }
    named
}

fn page(file: &SourceFile, named: &BTreeMap<String, Places>) -> Vec<Finding> {
    let stem = file.path.trim_start_matches(PAGES).trim_end_matches(".md");
    if matches!(stem, "README" | "index") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let used = named.get(stem).is_some_and(|places| places.iter().any(|(_, _, is_code)| *is_code));
    if !used {
        findings.push(Finding::error(
            &file.path,
            1,
            format!("No source names {stem}."),
            "remove the page, or name the code as a whole string (`\"MO-…\"`) where the error is made.",
        ));
    }
    let title = file.text.lines().next().unwrap_or_default();
    if title.strip_prefix("# ").and_then(|rest| rest.strip_prefix(stem)).is_none_or(|rest| rest.trim().len() < 3) {
        findings.push(Finding::error(
            &file.path,
            1,
            "The page does not begin with its code and a title.",
            format!("begin it with `# {stem}: <what went wrong, in a few words>`."),
        ));
    }
    if file.text.lines().filter(|line| !line.trim().is_empty()).count() < SHORTEST_PAGE_LINES {
        findings.push(Finding::error(
            &file.path,
            1,
            "The page says almost nothing.",
            "say what it means, why it happens, and what to do, with an example.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# MO-model-101: unknown key\n\nWhat it means.\n\nWhy it happens.\n\nWhat to do.\n\nAn example.\n";

    fn whats(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repo::of(files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_code_with_its_page_is_fine() {
        let source = ("crates/motet-model/src/error.rs", "const X: &str = \"MO-model-101\";\n");
        assert!(whats(&[source, ("docs/errors/MO-model-101.md", PAGE)]).is_empty());
    }

    #[test]
    fn a_code_without_a_page_is_found_where_it_is_named() {
        let found = check(&Repo::of(&[("crates/motet-model/src/error.rs", "\n\"MO-model-101\"\n")]));
        assert_eq!((found[0].path.as_str(), found[0].line), ("crates/motet-model/src/error.rs", 2));
    }

    #[test]
    fn a_page_whose_code_stands_only_in_comments_or_tests_is_found() {
        let comment = ("crates/motet-model/src/error.rs", "// see MO-model-101\n");
        let test = ("crates/motet-model/src/other.rs", "#[cfg(test)]\nmod tests {\n\"MO-model-101\"\n}\n");
        assert_eq!(whats(&[comment, test, ("docs/errors/MO-model-101.md", PAGE)]), ["No source names MO-model-101."]);
    }

    #[test]
    fn a_page_has_a_title_and_a_body() {
        let source = ("crates/motet-model/src/error.rs", "\"MO-model-101\"\n");
        assert_eq!(whats(&[source, ("docs/errors/MO-model-101.md", "# something\n")]).len(), 2);
    }
}
