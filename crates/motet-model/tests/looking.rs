//! Where the definition is looked for, and how findings are told to programs.

use super::support::options;
use motet_model::{
    LoadOptions, Problems,
    load::{check_in, load_from},
    source::files::Memory,
};
use std::path::Path;

const MINIMAL: &str = "motet: 1\nsystem: s\nservices: {}\n";

fn load(files: &[(&str, &str)], file: &str) -> Result<std::path::PathBuf, Problems> {
    let files = Memory::new(files.iter().copied());
    load_from(&files, &LoadOptions { file: file.into(), ..options(&[], &[]) }).map(|loaded| loaded.system.file)
}

#[test]
fn the_definition_of_a_folder_is_in_it_or_in_the_nearest_one_above() {
    let files = [("/a/motet.yaml", MINIMAL), ("/a/b/c/code.py", ""), ("/a/x/motet.yml", MINIMAL)];
    assert_eq!(load(&files, "/a/b/c").expect("found").as_path(), Path::new("/a/motet.yaml"));
    assert_eq!(load(&files, "/a/x").expect("found").as_path(), Path::new("/a/x/motet.yml"));
    assert_eq!(load(&files, "/a/b/../motet.yaml").expect("found").as_path(), Path::new("/a/motet.yaml"));
}

#[test]
fn a_missing_definition_says_what_is_there_instead() {
    let help = |files: &[(&str, &str)], file| {
        let problems = load(files, file).expect_err("missing");
        assert_eq!(problems.findings()[0].code.0, "MO-model-102");
        problems.findings()[0].help.clone().expect("a way out")
    };
    assert!(help(&[("/a/compose.yaml", ""), ("/a/b/code.py", "")], "/a/b").contains("/a/compose.yaml"));
    assert!(help(&[("/a/motet.yaml", MINIMAL)], "/a/motte.yaml").contains("did you mean `/a/motet.yaml`?"));
    assert!(help(&[("/a/code.py", "")], "/a").contains("motet new system"));
}

#[test]
fn programs_get_code_severity_message_place_and_help() {
    let files = Memory::new([("/motet.yaml", "motet: 1\nsystem: s\nservices:\n  é: { pört: 1 }\n")]);
    let problems = check_in(&files, &options(&[], &[]));
    insta::assert_json_snapshot!(problems.to_json());
    assert_eq!(problems.to_string().lines().count(), problems.findings().len());
}

#[test]
fn strict_makes_errors_of_warnings() {
    let text = "motet: 1\nsystem: s\nservices:\n  a: { path: /, process: { command: ./a } }\n";
    let problems = check_in(&Memory::new([("/motet.yaml", text)]), &options(&[], &[]));
    assert_eq!((problems.errors(), problems.warnings()), (0, 1), "{problems}");
    let strict = problems.strict();
    assert_eq!((strict.errors(), strict.warnings()), (1, 0));
    assert!(strict.render(motet_model::Style::PLAIN).contains("error[MO-model-206]"));
}
