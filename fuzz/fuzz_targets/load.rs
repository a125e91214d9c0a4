//! Reads whatever comes as a definition with its files and renders what is wrong with it: a panic is a bug, whatever the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet_model::{LoadOptions, Style, load::check_in, source::files::Memory};

fuzz_target!(|bytes: &[u8]| {
    let options = LoadOptions {
        file: "/motet.yaml".into(),
        profiles: vec!["production".into()],
        env: [("A".to_owned(), "1".to_owned())].into(),
        judge: None,
    };
    let problems = check_in(&Memory::bundle(bytes), &options);
    let _ = problems.render(Style::PLAIN);
    let _ = problems.to_json();
});
