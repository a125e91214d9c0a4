//! The JSON Schema: kept in the repository, and of the same opinion as Motet.

use super::support::FULL;
use serde_json::Value;
use std::{env, fs, path::PathBuf};

fn kept(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schema").join(name)
}

fn assert_kept(name: &str, schema: &str) {
    if env::var_os("MOTET_UPDATE").is_some() {
        fs::create_dir_all(kept("")).expect("writable");
        fs::write(kept(name), schema).expect("writable");
    }
    let text = fs::read_to_string(kept(name)).unwrap_or_default();
    assert!(text == schema, "schema/{name} is not what the table of keys says: run the tests with MOTET_UPDATE=1");
}

#[test]
fn the_kept_schemas_are_those_of_the_table() {
    assert_kept("motet.schema.json", &motet_model::schema());
    assert_kept("service.schema.json", &motet_model::service_schema());
}

fn validator(schema: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).expect("the schema can be compiled")
}

fn json(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).expect("yaml")
}

#[test]
fn what_motet_accepts_the_schema_accepts() {
    let validator = validator(&motet_model::schema());
    let errors: Vec<_> =
        validator.iter_errors(&json(FULL)).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let part = json("process: { command: ./api }\nscale: \"${SCALE:-2}\"\nuses: { index: }\n");
    assert!(super::schema::validator(&motet_model::service_schema()).is_valid(&part));
}

#[test]
fn mistakes_in_keys_and_types_are_seen_by_the_schema_too() {
    let validator = validator(&motet_model::schema());
    let mistakes = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    for name in [
        "07-misspelled-keys",
        "08-misspelled-service-keys",
        "10-two-ways-to-run",
        "11-process-without-map",
        "13-uses-as-list",
        "15-bare-timeout",
        "16-invalid-names",
        "17-env-as-list",
        "26-bad-routes",
        "33-unknown-profile-of-file",
        "36-later-version",
        "37-no-version-no-name",
        "38-numbers-out-of-range",
        "39-yes-and-signals",
        "41-two-probes",
        "42-bad-urls",
        "44-allow-without-reason",
        "45-key-of-another-level",
        "52-policy-values",
        "53-policy-misspelled",
        "56-fallbacks-that-cannot-stand-in",
        "58-headers-of-an-answer",
    ] {
        let text = fs::read_to_string(mistakes.join(name).join("motet.yaml")).expect(name);
        assert!(!validator.is_valid(&json(&text)), "{name} is valid for the schema");
    }
}
