//! Profiles, includes and variables.

use super::support::{FULL, load_with};
use motet_model::system::{Run, Scale};
use std::path::{Path, PathBuf};

#[test]
fn a_profile_merges_maps_replaces_values_and_removes_with_null() {
    let system = load_with(&[("/motet.yaml", FULL)], &["production"], &[]).unwrap_or_else(|p| panic!("{p}")).system;
    let embedder = &system.services["embedder"];
    assert_eq!(embedder.scale, Scale { min: 4, max: 4 });
    assert!(matches!(&embedder.run, Run::Container { image, .. } if image == "askdocs/embedder"), "{:?}", embedder.run);
    assert_eq!(embedder.build, None);
    let web = &system.services["web"];
    assert_eq!((web.env["KEY"].as_str(), web.env["PRICE"].as_str()), ("prod", "$5"));
    assert_eq!(system.gateway.as_ref().map(|gateway| gateway.routes.len()), Some(4));
    assert_eq!(system.profiles.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["production"]);
}

#[test]
fn later_profiles_lie_over_earlier_ones() {
    let text = "motet: 1\nsystem: s\nservices:\n  a: { process: { command: ./a } }\nprofiles:\n  one: { services: { a: { scale: 2, port: 1 } } }\n  two: { services: { a: { port: null, scale: 3 } } }\n";
    let system = load_with(&[("/motet.yaml", text)], &["one", "two"], &[]).unwrap_or_else(|p| panic!("{p}")).system;
    assert_eq!((system.services["a"].scale.min, system.services["a"].port), (3, None));
}

#[test]
fn a_variable_that_only_another_profile_uses_need_not_be_set() {
    let text = "motet: 1\nsystem: s\nservices: { a: { process: { command: ./a } } }\nprofiles:\n  production: { services: { a: { env: { K: \"${NOT_SET}\" }, port: \"${NO_PORT}\" } } }\n";
    assert!(load_with(&[("/motet.yaml", text)], &[], &[]).is_ok());
    let problems = load_with(&[("/motet.yaml", text)], &["production"], &[]).expect_err("not set");
    assert_eq!(problems.findings().iter().filter(|finding| finding.code.0 == "MO-model-126").count(), 2, "{problems}");
}

#[test]
fn an_included_file_is_laid_under_what_stands_beside_it_and_its_paths_start_at_itself() {
    let main = "motet: 1\nsystem: s\nservices:\n  api:\n    include: parts/api/service.yaml\n    scale: 3\n";
    let part = "about: the API\nprocess: { command: ./api }\ncontract: openapi.yaml\nscale: 1\nenv: { A: \"${A}\" }\n";
    let files = [("/motet.yaml", main), ("/parts/api/service.yaml", part), ("/.env", "A=from file\n")];
    let loaded = load_with(&files, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let api = &loaded.system.services["api"];
    assert_eq!((api.scale.min, api.about.as_deref()), (3, Some("the API")));
    assert_eq!(api.path, Path::new("/parts/api"));
    assert_eq!(api.contract.as_deref(), Some(Path::new("/parts/api/openapi.yaml")));
    assert_eq!(api.env["A"], "from file");
    assert_eq!(loaded.files, ["/motet.yaml", "/.env", "/parts/api/service.yaml"].map(PathBuf::from));

    let loaded = load_with(&files, &[], &[("A", "from outside")]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.system.services["api"].env["A"], "from outside");
}

#[test]
fn the_value_of_a_variable_is_never_repeated_in_a_message() {
    let secret = "postgres-hunter2";
    let text = "motet: 1\nsystem: \"${S}\"\nservices:\n  a:\n    path: \"${S}/x\"\n    process: { command: ./a }\n    contract: \"${S}\"\n    after: [\"${S}\"]\n    port: ${S}\n    restart: ${S}\n    ready: { log: \"(${S}\", interval: \"${S}\" }\n    watch: [\"[${S}\"]\n    published: ${S}\ngateway:\n  listen: ${S}\n  routes: { /: \"${S}\" }\nengines: { stores: { postgres: { url: \"${S}\" } } }\n";
    let files = motet_model::source::files::Memory::new([("/motet.yaml", text)]);
    let problems = motet_model::load::check_in(&files, &super::support::options(&[], &[("S", secret)]));
    assert!(problems.errors() >= 10, "{problems}");
    let seen = format!("{}{}", problems.render(motet_model::Style::PLAIN), problems.to_json());
    assert!(!seen.contains("hunter2"), "{seen}");
}
