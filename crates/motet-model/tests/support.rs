//! Loads definitions out of texts.

use motet_model::{
    LoadOptions, Loaded, Problems,
    load::{check_in, load_from},
    source::files::Memory,
};
use std::collections::BTreeMap;

/// Options for a definition in memory.
pub(crate) fn options(profiles: &[&str], env: &[(&str, &str)]) -> LoadOptions {
    LoadOptions {
        file: "/motet.yaml".into(),
        profiles: profiles.iter().map(|name| (*name).to_owned()).collect(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
        ..LoadOptions::default()
    }
}

/// Loads `/motet.yaml`; folders and other files exist.
pub(crate) fn load(text: &str) -> Result<Loaded, Problems> {
    load_with(&[("/motet.yaml", text)], &[], &[])
}

/// Loads several files with profiles and an environment.
pub(crate) fn load_with(files: &[(&str, &str)], profiles: &[&str], env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let files = Memory::new(files.iter().map(|(path, text)| (*path, *text))).where_everything_exists();
    load_from(&files, &options(profiles, env))
}

/// The codes of everything that is wrong, errors and lints, in the order of places.
pub(crate) fn codes(text: &str) -> Vec<&'static str> {
    let files = Memory::new([("/motet.yaml", text)]).where_everything_exists();
    check_in(&files, &options(&[], &[])).findings().iter().map(|finding| finding.code.0).collect()
}

/// A definition that uses every part of the language.
pub(crate) const FULL: &str = include_str!("full.yaml");
