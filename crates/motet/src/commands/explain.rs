//! `motet explain`: what a key of the definition means, which policy is in force on an edge or a route, what
//! holds for a topic, what an error code is about.

mod policy;
mod topic;

use crate::{
    cli::{Explain, Global},
    exit::{Exit, Failure},
    terminal::{self, ink, table::Table},
};
use anyhow::Result;
use motet_model::{Explanation, explain::KeyPage};
use serde_json::json;

include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

pub(crate) fn run(global: &Global, arguments: &Explain) -> Result<Exit> {
    match arguments.subject.as_slice() {
        [kind, name] if kind == "edge" => policy::edge(global, name),
        [kind, prefix] if kind == "route" => policy::route(global, prefix),
        [kind, name] if kind == "topic" => topic::topic(global, name),
        [subject] if subject.starts_with("MO-") => code(global, subject),
        [subject] if subject.contains('→') || subject.contains("->") => policy::edge(global, subject),
        [subject] => key(global, subject),
        _ => Err(Failure::new(
            Exit::Usage,
            "Explain what? A key (`uses.timeout`), a code (`MO-model-101`), `edge caller->callee`, `route /path`, or `topic document.indexed`.",
        )
        .into()),
    }
}

fn code(global: &Global, code: &str) -> Result<Exit> {
    let page = ERROR_PAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(code));
    let Some((name, text)) = page else {
        return Err(Failure::new(Exit::Failed, format!("There is no error code {code}.")).into());
    };
    if global.json {
        terminal::print_json(&json!({ "code": name, "page": text }))?;
    } else {
        terminal::print(text.trim_end());
    }
    Ok(Exit::Done)
}

fn key(global: &Global, key: &str) -> Result<Exit> {
    let pages = match motet_model::explain(key) {
        Ok(Explanation::Key(page)) => vec![page],
        Ok(Explanation::Candidates(pages)) => pages,
        Ok(Explanation::Code { code, .. }) => return self::code(global, code.0),
        Err(unknown) => return Err(Failure::new(Exit::Failed, format!("{unknown}")).into()),
    };
    if global.json {
        let all: Vec<_> = pages.iter().map(page_json).collect();
        terminal::print_json(&all)?;
    } else if let [page] = pages.as_slice() {
        print_page(page);
    } else {
        terminal::print(format_args!("`{key}` stands in several places; `motet explain PATH` tells more of one:\n"));
        let mut table = Table::new(&["PATH", "WHAT IT SAYS"]);
        pages.iter().for_each(|page| table.row(vec![page.path.clone(), page.about.to_owned()]));
        table.print();
    }
    Ok(Exit::Done)
}

fn print_page(page: &KeyPage) {
    terminal::print(ink::strong().apply_to(&page.path));
    terminal::print(format_args!("  {}\n", page.about));
    terminal::print(format_args!("  {}  {}", ink::quiet().apply_to("type   "), page.kind));
    let default = page.default.unwrap_or("none: it has to be written");
    terminal::print(format_args!("  {}  {default}", ink::quiet().apply_to("default")));
    terminal::print(format_args!("  {}  {}", ink::quiet().apply_to("why    "), page.reason));
    terminal::print(format_args!("\n  {}", ink::quiet().apply_to("example")));
    page.example.trim_end().lines().for_each(|line| terminal::print(format_args!("    {line}")));
    if !page.keys.is_empty() {
        terminal::print(format_args!("\n  {}", ink::quiet().apply_to("keys")));
        let width = page.keys.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        page.keys.iter().for_each(|(name, about)| terminal::print(format_args!("    {name:<width$}  {about}")));
    }
    if !page.also.is_empty() {
        terminal::print(format_args!("\n  {}", ink::quiet().apply_to("stands also at")));
        page.also.iter().for_each(|path| terminal::print(format_args!("    {path}")));
    }
}

fn page_json(page: &KeyPage) -> serde_json::Value {
    let keys: serde_json::Map<_, _> =
        page.keys.iter().map(|(name, about)| ((*name).to_owned(), json!(about))).collect();
    json!({
        "path": page.path, "about": page.about, "type": page.kind, "default": page.default,
        "reason": page.reason, "example": page.example, "keys": keys, "also": page.also,
    })
}
