//! Lints: found where they should be, nowhere else, and silenced with a reason.

use super::support::codes;

/// A system of three services in which nothing is to be said; a test changes one thing.
fn system(change: impl Fn(String) -> String) -> String {
    change(
        r#"
motet: 1
system: shop
contexts:
  sales: { services: [web, api] }
  stock: { services: [store] }
services:
  web:
    process: { command: ./web }
    contract: web.yaml
    uses:
      api: { timeout: 20s }
  api:
    process: { command: ./api }
    contract: api.yaml
    uses:
      store: { timeout: 10s }
  store:
    process: { command: ./store }
    contract: store.yaml
    published: true
gateway:
  routes:
    /: web
"#
        .to_owned(),
    )
}

fn with(from: &str, to: &str) -> String {
    system(|text| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn a_clean_system_has_no_findings() {
    assert_eq!(codes(&system(|text| text)), [""; 0]);
}

#[test]
fn a_store_that_two_services_know_is_found_whatever_its_user_and_options() {
    let text = system(|text| {
        text.replace("contract: web.yaml", "contract: web.yaml\n    env: { DB: \"postgres://web:a@db:5432/shop\" }")
            .replace(
                "contract: api.yaml",
                "contract: api.yaml\n    env: { DATABASE: \"postgresql://api@db:5432/shop?sslmode=off\" }",
            )
    });
    assert_eq!(codes(&text), ["MO-model-201"]);
    let file = system(|text| {
        text.replace("contract: web.yaml", "contract: web.yaml\n    env: { DB: \"sqlite:../shared.db\" }")
            .replace("contract: api.yaml", "contract: api.yaml\n    env: { DB: \"../../services/shared.db\" }")
    });
    assert_eq!(codes(&file), ["MO-model-201"]);
    let apart = file.replace("../../services/shared.db", "own.db");
    assert_eq!(codes(&apart), [""; 0]);
}

#[test]
fn a_circle_of_calls_is_found_also_when_starting_is_possible() {
    let text = with("contract: store.yaml", "contract: store.yaml\n    uses: { api: { wait: none, timeout: 1s } }");
    let text = text.replace(
        "  sales: { services: [web, api] }\n  stock: { services: [store] }",
        "  all: { services: [web, api, store] }",
    );
    assert_eq!(codes(&text), ["MO-model-202"]);
}

#[test]
fn a_service_that_is_called_needs_a_contract_and_one_that_is_not_does_not() {
    assert_eq!(codes(&with("    contract: api.yaml\n", "")), ["MO-model-203"]);
    assert_eq!(codes(&with("    contract: web.yaml\n", "")), [""; 0]);
}

#[test]
fn a_repetition_of_a_method_that_may_do_something_twice_is_found_on_edges_and_routes() {
    let edge = with("{ timeout: 20s }", "{ timeout: 20s, retry: { methods: [GET, POST] } }");
    assert_eq!(codes(&edge), ["MO-model-204"]);
    assert_eq!(codes(&edge.replace("methods:", "attempts: 1, methods:")), [""; 0]);
    let route = with("/: web", "/: { to: web, retry: { methods: [PATCH] } }");
    assert_eq!(codes(&route), ["MO-model-204"]);
}

#[test]
fn a_repetition_that_a_service_asks_for_is_found_there_and_one_on_a_path_is_a_decision() {
    let policy = with("published: true", "published: true\n    policy: { retry: { methods: [GET, POST] } }");
    assert_eq!(codes(&policy), ["MO-model-204"]);
    assert_eq!(codes(&policy.replace("methods:", "attempts: 1, methods:")), [""; 0]);
    let path = with(
        "published: true",
        "published: true\n    policy: { paths: { /shop.Stock/Get: { retry: { methods: [POST] } } } }",
    );
    assert_eq!(codes(&path), [""; 0]);
}

#[test]
fn a_timeout_that_an_edge_has_from_its_callee_or_on_a_path_only_is_compared_too() {
    let policy = with("published: true", "published: true\n    policy: { timeout: 25s }");
    assert_eq!(codes(&policy), [""; 0], "the edge says less");
    assert_eq!(codes(&policy.replace("store: { timeout: 10s }", "store: {}")), ["MO-model-205"]);
    let path = with("store: { timeout: 10s }", "store: { timeout: 10s, paths: { /slow: { timeout: 25s } } }");
    assert_eq!(codes(&path), ["MO-model-205"]);
    assert_eq!(
        codes(&path.replace("api: { timeout: 20s }", "api: { timeout: 20s, paths: { /slow: { timeout: 28s } } }")),
        [""; 0],
        "somebody waits as long, on a path"
    );
}

#[test]
fn a_service_that_only_stands_in_is_reached_and_called() {
    let spare = "  spare: { process: { command: ./spare }, contract: spare.yaml }\ngateway:";
    let text = with("gateway:", spare);
    assert_eq!(codes(&text), ["MO-model-206"]);
    let used = text.replace("store: { timeout: 10s }", "store: { timeout: 10s, fallback: { to: spare } }");
    assert_eq!(codes(&used), [""; 0]);
    assert_eq!(codes(&used.replace(", contract: spare.yaml", "")), ["MO-model-203"]);
    let on_a_path =
        text.replace("store: { timeout: 10s }", "store: { timeout: 10s, paths: { /x: { fallback: { to: spare } } } }");
    assert_eq!(codes(&on_a_path), [""; 0]);
    let kept = used.replace("stock: { services: [store] }", "stock: { services: [store, spare] }");
    assert_eq!(codes(&kept), ["MO-model-207"]);
}

#[test]
fn repetitions_of_a_path_multiply_too() {
    let text = system(|text| {
        text.replace("timeout: 20s", "timeout: 20s, paths: { /x: { retry: { attempts: 6 } } }")
            .replace("timeout: 10s", "timeout: 10s, paths: { /y: { retry: { attempts: 6 } } }")
    });
    assert_eq!(codes(&text), ["MO-model-209"]);
}

#[test]
fn a_policy_that_nothing_follows_is_found() {
    let far = with("process: { command: ./store }", "external: { url: \"https://store\" }\n    policy: { rate: 5/s }");
    assert_eq!(codes(&far), ["MO-model-211", "MO-model-211"], "the edge's timeout, and the service's policy");
    let near = far.replace("https:", "http:");
    assert_eq!(codes(&near), [""; 0]);
    let by = with("store: { timeout: 10s }", "store: { timeout: 10s, rate: { requests: 5, by: client } }");
    assert_eq!(codes(&by), ["MO-model-211"]);
    let once = with("gateway:", "  load: { process: { command: ./load }, once: true, policy: {} }\ngateway:");
    assert_eq!(codes(&once), ["MO-model-211"]);
}

#[test]
fn a_timeout_longer_than_that_of_the_most_patient_caller_is_found() {
    assert_eq!(codes(&with("store: { timeout: 10s }", "store: { timeout: 25s }")), ["MO-model-205"]);
    assert_eq!(codes(&with("/: web", "/: { to: web, timeout: 5s }")), ["MO-model-205"]);
    let patient = with("store: { timeout: 10s }", "store: { timeout: 25s }")
        .replace("/: web", "/: web\n    /api: { to: api, timeout: 30s }");
    assert_eq!(codes(&patient), [""; 0]);
}

#[test]
fn a_service_that_nobody_reaches_is_found() {
    assert_eq!(codes(&with("    /: web", "    /api: api")), ["MO-model-206"]);
    assert_eq!(codes(&with("    /: web", "    /api: api").replace("contract: web.yaml", "port: 9000")), [""; 0]);
}

#[test]
fn a_reach_into_what_another_context_keeps_for_itself_is_found() {
    assert_eq!(codes(&with("    published: true\n", "")), ["MO-model-207"]);
}

#[test]
fn a_gateway_that_others_reach_is_found() {
    assert_eq!(codes(&with("gateway:", "gateway:\n  listen: 0.0.0.0:8080")), ["MO-model-208"]);
    assert_eq!(codes(&with("gateway:", "gateway:\n  listen: \"[::1]:8080\"")), [""; 0]);
    let open = "gateway:\n  listen: 0.0.0.0:8080\n";
    let (tls, keys) = ("  tls: { certificate: c.pem, key: k.pem }\n", "  keys: { ci: { secret: 0123456789abcdef } }\n");
    let with_all = |parts: &[&str]| codes(&with("gateway:\n", &parts.concat()));
    assert_eq!(with_all(&[open, tls]), ["MO-model-208"], "everybody is let in");
    assert_eq!(with_all(&[open, keys]), ["MO-model-208"], "nothing is encrypted");
    assert_eq!(with_all(&[open, tls, keys]), [""; 0]);
}

#[test]
fn repetitions_that_multiply_are_found() {
    let text = system(|text| {
        text.replace("timeout: 20s", "timeout: 20s, retry: { attempts: 6 }")
            .replace("timeout: 10s", "timeout: 10s, retry: { attempts: 6 }")
    });
    assert_eq!(codes(&text), ["MO-model-209"]);
}

#[test]
fn keys_that_do_nothing_or_undo_what_motet_does_are_found() {
    let external = with("process: { command: ./store }", "external: { url: \"http://store:1\" }\n    scale: 3");
    assert_eq!(codes(&external), ["MO-model-211"]);
    assert_eq!(codes(&with("contract: web.yaml", "env: { API_URL: x, PORT: 1 }")), ["MO-model-212", "MO-model-212"]);
    let around = system(|text| {
        text.replace("contract: web.yaml", "env: { STORE: \"http://localhost:9000/x\" }")
            .replace("contract: store.yaml", "contract: store.yaml\n    port: 9000")
    });
    assert_eq!(codes(&around), ["MO-model-213"]);
}

#[test]
fn an_exception_silences_its_lint_and_is_itself_found_when_it_silences_nothing() {
    let allow = "allow: [{ lint: MO-model-203, because: it is old }]";
    let silenced = with("contract: api.yaml", allow);
    assert_eq!(codes(&silenced), [""; 0]);
    let unused = with("contract: api.yaml", &format!("contract: api.yaml\n    {allow}"));
    assert_eq!(codes(&unused), ["MO-model-210"]);
    let gateway =
        with("gateway:", "gateway:\n  listen: 0.0.0.0:80\n  allow: [{ lint: MO-model-208, because: it is the door }]");
    assert_eq!(codes(&gateway), [""; 0]);
}
