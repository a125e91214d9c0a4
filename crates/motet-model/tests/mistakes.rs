//! What a newcomer sees who makes a mistake: one folder per mistake, one snapshot each.

use insta::Settings;
use motet_model::{LoadOptions, Style, check};
use std::{fs, path::PathBuf};

#[test]
fn every_mistake_gets_a_message_that_names_the_place_and_the_way_out() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut folders: Vec<_> = fs::read_dir(&root)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() >= 30, "only {} mistakes", folders.len());
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(&root);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for folder in folders {
        let problems = check(&LoadOptions { file: folder.clone(), ..LoadOptions::default() });
        let rendered = problems.render(Style::PLAIN).replace(&root.display().to_string(), "…");
        let name = folder.file_name().and_then(|name| name.to_str()).expect("utf-8");
        assert!(problems.errors() > 0, "{name}: nothing is wrong\n{rendered}");
        for finding in problems.findings() {
            assert!(finding.help.is_some(), "{name}: no way out: {}", finding.message);
        }
        settings.bind(|| insta::assert_snapshot!(name, rendered));
    }
}
