//! The book's page on events: its definition and its handler run as they stand there, and so does every command on it.

use crate::scratch::{Scratch, shown, until};
use std::{fs, path::Path, process::Command};

/// The blocks of a language on a page of the book.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// What stands behind `$` in the console blocks, with lines that go on joined.
pub(crate) fn commands(page: &str) -> Vec<String> {
    let joined = blocks(page, "console").concat().replace("\\\n", "");
    joined.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

#[test]
fn every_command_on_the_page_on_events_works() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let page = fs::read_to_string(page).expect("the page");
    let definition = blocks(&page, "yaml")[0].replace("gateway:\n", "gateway:\n  listen: 127.0.0.1:0\n");
    let system = Scratch::new("motet: 1\nsystem: empty\nservices: {}\n");
    let path = system.path();
    for service in ["shop", "mail"] {
        fs::create_dir_all(path.join("services").join(service)).expect("a folder");
    }
    fs::copy(path.join("service.py"), path.join("services/shop/shop.py")).expect("a shop");
    let (mailer, handler) = (path.join("services/mail/mail.py"), blocks(&page, "python")[0]);
    // The page speaks of dead letters: so there have to be some.
    fs::write(&mailer, handler.replace("204", "422")).expect("a mailer that takes nothing");
    fs::create_dir_all(path.join("events")).expect("a folder");
    fs::write(path.join("events/order.placed.schema.json"), r#"{ "type": "object", "required": ["orderId"] }"#)
        .expect("a schema");
    system.define(&definition);
    system.up();
    let (_, environment) = crate::scratch::get(&system.gateway(), "/env").expect("the shop's environment");
    let environment: serde_json::Value = serde_json::from_str(&environment).expect("JSON");
    let url = environment["MOTET_URL"].as_str().expect("an address for events").to_owned();
    let binary = Path::new(env!("CARGO_BIN_EXE_motet")).parent().expect("a folder");
    let search = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    for order in 1..=3 {
        system.done(&["publish", "order.placed", &format!(r#"{{ "orderId": "o-{order}", "total": 1 }}"#)]);
    }
    until("nobody took them", || system.done(&["dead-letters", "list"]).matches("permanent").count() == 3);
    fs::write(&mailer, handler).expect("a mailer");
    system.done(&["restart", "mail"]);
    until("the mailer is back", || system.service("mail")["ready"] == 1);
    let commands = commands(&page);
    assert!(commands.len() > 5, "{commands:?}");
    for command in &commands {
        // Waiting for events that do not come is right, and would take as long as the page says.
        let command = command.replace("wait=30s", "wait=10ms");
        // Looking on ends when somebody ends it.
        let command = if command.starts_with("motet tail") { format!("timeout 2 {command} || true") } else { command };
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(path).env("PATH", &search);
        let output = shell.env("MOTET_URL", &url).env("NO_COLOR", "1").output().expect("a shell");
        assert!(output.status.success(), "{command}: {}", shown(&output));
    }
    until("the mailer has heard of the orders", || {
        let logs = system.done(&["logs", "mail"]);
        logs.contains("mail for o-1 because of 7f3a")
    });
}
