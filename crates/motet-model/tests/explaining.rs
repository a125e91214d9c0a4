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
