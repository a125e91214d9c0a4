//! `motet explain`, and the pages of codes.

use motet_model::{Explanation, code, explain};
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn a_key_is_found_by_its_path_by_its_end_and_by_its_name() {
    let path = |query: &str| match explain(query) {
        Ok(Explanation::Key(page)) => page.path,
        other => panic!("{query}: {other:?}"),
    };
    assert_eq!(path("services.*.uses.*.timeout"), "services.*.uses.*.timeout");
    assert_eq!(path("services.embedder.uses.index.timeout"), "services.*.uses.*.timeout");
    assert_eq!(path("profiles.production.services.web.scale"), "services.*.scale");
    assert_eq!(path("uses.timeout"), "services.*.uses.*.timeout");
    assert_eq!(path("strip_prefix"), "gateway.routes.*.strip_prefix");
    assert_eq!(path("services.embedder"), "services");
}

#[test]
fn a_name_that_several_keys_have_lists_them() {
    let Ok(Explanation::Candidates(pages)) = explain("timeout") else { panic!("several keys are called timeout") };
    let paths: Vec<_> = pages.iter().map(|page| page.path.as_str()).collect();
    assert!(paths.contains(&"services.*.uses.*.timeout") && paths.contains(&"services.*.ready.timeout"), "{paths:?}");
}

#[test]
fn what_is_unknown_comes_with_what_was_meant() {
    assert_eq!(explain("timeuot").expect_err("unknown").near.as_deref(), Some("timeout"));
    assert_eq!(explain("MO-model-99").expect_err("unknown").near.map(|near| near.starts_with("MO-model-")), Some(true));
    assert!(matches!(explain("mo-model-103"), Ok(Explanation::Code { .. })));
}

#[test]
fn a_page_shows_type_default_reason_and_example() {
    insta::assert_snapshot!(explain("services.*.uses.*.retry").expect("known").to_string());
}

#[test]
fn the_keys_of_a_policy_share_a_page_that_says_where_else_they_stand() {
    let Ok(Explanation::Key(page)) = explain("breaker.window") else { panic!("one page") };
    assert_eq!(page.path, "services.*.uses.*.breaker.window");
    assert_eq!(page.also.len(), 5, "{:?}", page.also);
    assert!(page.also.contains(&"gateway.routes.*.paths.*.breaker.window".to_owned()), "{:?}", page.also);
}

#[test]
fn the_page_on_policies_names_every_key_with_its_default() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policies.md");
    let text = fs::read_to_string(book).expect("a page");
    let pages = motet_model::explain::keys();
    let of_edges = pages.iter().filter_map(|page| Some((page.path.strip_prefix("services.*.uses.*.")?, page)));
    let mut seen = 0;
    for (path, page) in of_edges.filter(|(path, _)| !path.starts_with("paths") && *path != "wait") {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{path}` |")));
        let row = row.unwrap_or_else(|| panic!("no row of `{path}`"));
        let default = page.default.unwrap_or_default();
        let is_value = default.starts_with('[') || default.split(' ').count() == 1;
        assert!(!is_value || row.contains(&format!("| {default} |")) || default.is_empty(), "{path}: {default}\n{row}");
        seen += 1;
    }
    assert!(seen > 35, "only {seen} keys");
}

#[test]
fn every_code_has_one_meaning_and_one_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let codes: BTreeSet<_> = code::ALL.iter().map(|(code, _)| code.0).collect();
    assert_eq!(codes.len(), code::ALL.len(), "a code is used twice");
    for (code, title) in code::ALL {
        let page =
            fs::read_to_string(folder.join(format!("{code}.md"))).unwrap_or_else(|error| panic!("{code}: {error}"));
        assert!(
            page.starts_with(&format!("# {code}: {title}\n")),
            "{code}: the page begins with another title than {title:?}"
        );
    }
    let pages = fs::read_dir(&folder).expect("readable").map(|entry| entry.expect("readable").file_name());
    for page in pages.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("MO-model-")) {
        assert!(codes.contains(page.trim_end_matches(".md")), "{page} is the page of no code");
    }
}

#[test]
fn the_pages_on_events_and_jobs_name_every_key_with_its_default() {
    let seen = named("events.md", &["topics.*.", "services.*.subscribes.*.", "services.*.outbox."]);
    assert!(seen > 30, "only {seen} keys");
    let seen = named("jobs.md", &["services.*.jobs."]);
    assert!(seen > 10, "only {seen} keys");
}

fn named(page: &str, places: &[&str]) -> usize {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = fs::read_to_string(book).expect("a page");
    let pages = motet_model::explain::keys();
    let mut seen = 0;
    for place in places {
        for page in &pages {
            let Some(path) = page.path.strip_prefix(*place) else { continue };
            // Filters and columns have a passage of their own; `allow` is the same everywhere.
            if path.contains("filter.") || path.contains("columns.") || path.starts_with("allow") {
                continue;
            }
            let row = text.lines().filter(|line| line.starts_with(&format!("| `{path}` |")));
            let default = page.default.unwrap_or_default();
            let is_value = default.starts_with('[') || !default.contains([' ', '`']);
            let fits = |row: &str| !is_value || default.is_empty() || row.contains(&format!("| {default} |"));
            let rows: Vec<_> = row.collect();
            assert!(rows.iter().any(|row| fits(row)), "{place}{path}: {default}\n{rows:#?}");
            seen += 1;
        }
    }
    seen
}
