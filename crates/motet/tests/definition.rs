//! Commands that read the definition and start nothing.

use crate::scratch::{Scratch, shown};

const GOOD: &str = "
motet: 1
system: shop
services:
  cart:
    path: .
    process: { command: python3 service.py }
    uses: { stock: { timeout: 2s } }
  stock: { path: ., process: { command: python3 service.py } }
gateway: { routes: { /: cart } }
";

#[test]
fn check_prints_findings_with_their_place_and_its_exit_code_tells_errors_from_warnings() {
    let system = Scratch::new(GOOD);
    let output = system.motet(&["check"]);
    assert!(output.status.success(), "warnings alone are no failure: {}", shown(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("warning[MO-model-2"), "{}", shown(&output));
    assert_eq!(system.motet(&["check", "--strict"]).status.code(), Some(3));
    system.define(&GOOD.replace("\n  stock: {", "\n  stok: {"));
    let output = system.motet(&["check"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("motet.yaml:"), "{}", shown(&output));
    let findings: Vec<serde_json::Value> =
        serde_json::from_slice(&system.motet(&["check", "--json"]).stdout).expect("JSON");
    assert!(findings.iter().any(|finding| finding["severity"] == "error" && finding["line"].is_u64()));
}

#[test]
fn explain_knows_keys_edges_and_codes() {
    let system = Scratch::new(GOOD);
    assert!(system.done(&["explain", "services.*.uses.*.timeout"]).contains("30s"));
    let edge = system.done(&["explain", "edge", "cart->stock"]);
    let line = |text: &str, key: &str| {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(words).find(|line| line.starts_with(&format!("{key} "))).unwrap_or_default()
    };
    assert_eq!(line(&edge, "timeout"), "timeout 2s edge, motet.yaml:8");
    assert_eq!(line(&system.done(&["explain", "cart→stock"]), "retry.attempts"), "retry.attempts 3 default");
    assert_eq!(line(&system.done(&["explain", "route", "/"]), "timeout"), "timeout 30s default");
    assert!(system.done(&["explain", "edge", "motet->stock"]).contains("breaker.failures"));
    let json: serde_json::Value =
        serde_json::from_str(&system.done(&["--json", "explain", "edge", "cart->stock"])).expect("JSON");
    assert_eq!((&json["edge"], &json["policy"][0]["value"]), (&"cart→stock".into(), &"2s".into()));
    assert_eq!((&json["policy"][0]["from"]["line"], &json["policy"][0]["from"]["by"]), (&8.into(), &"edge".into()));
    let none = system.motet(&["explain", "edge", "stock->cart"]);
    assert_eq!(none.status.code(), Some(1), "{}", shown(&none));
    let none = system.motet(&["explain", "edge", "cart->stok"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("Did you mean `stock`?"), "{}", shown(&none));
    assert!(system.done(&["explain", "MO-model-101"]).contains("MO-model-101"));
    let unknown = system.motet(&["explain", "tiemout"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("timeout"), "{}", shown(&unknown));
}

#[test]
fn schema_and_completions_are_printed_whole() {
    let system = Scratch::new(GOOD);
    for document in ["motet", "service", "control-api"] {
        let text = system.done(&["schema", document]);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{document}");
    }
    assert!(system.done(&["completions", "bash"]).contains("_motet"));
}

#[test]
fn a_new_system_passes_its_own_check_and_runs() {
    let outside = Scratch::new(GOOD);
    outside.done(&["new", "system", "hello"]);
    let refused = outside.motet(&["new", "system", "Hello World"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("hello-world"), "{}", shown(&refused));
    let definition = std::fs::read_to_string(outside.path().join("hello/motet.yaml")).expect("written");
    std::fs::write(outside.path().join("hello/motet.yaml"), definition.replace("127.0.0.1:8080", "127.0.0.1:0"))
        .expect("written");
    let at = |arguments: &[&str]| outside.motet(&[&["--file", "hello/motet.yaml"], arguments].concat());
    assert!(at(&["check", "--strict"]).status.success(), "{}", shown(&at(&["check", "--strict"])));
    let up = at(&["up", "--detach", "--wait", "--wait-timeout", "60s"]);
    assert!(up.status.success(), "{}", shown(&up));
    let answer = at(&["call", "hello", "/?name=Ada"]);
    assert!(String::from_utf8_lossy(&answer.stdout).contains("Ada!"), "{}", shown(&answer));
    assert!(at(&["down"]).status.success());
}

#[test]
fn doctor_says_what_is_missing_and_what_to_do() {
    let system = Scratch::new(&GOOD.replace("python3 service.py }\n    uses", "no-such-program-here }\n    uses"));
    let output = system.motet(&["doctor"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("✘ no-such-program-here: not on PATH, and `cart` needs it")
    );
}

#[test]
fn without_a_definition_every_command_says_where_it_looked() {
    let system = Scratch::new(GOOD);
    std::fs::remove_file(system.path().join("motet.yaml")).expect("removed");
    std::fs::write(system.path().join("compose.yaml"), "services: {}\n").expect("written");
    let output = system.motet(&["up"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("There is no motet.yaml") && said.contains("Docker Compose"), "{said}");
}
