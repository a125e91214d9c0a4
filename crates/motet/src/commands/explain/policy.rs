//! `motet explain edge a->b`, `explain route /`: the policy that is in force, and where each value comes from. Asked of the definition,
//! so nothing has to run.

use crate::{
    cli::Global,
    connect,
    exit::{Exit, Failure},
    roles::doors,
    terminal::{self, ink, table::Table},
};
use anyhow::Result;
use motet_kernel::{endpoint::EdgeName, name::ServiceName};
use motet_model::{
    Loaded,
    in_force::{InForce, Origin, Row, Subject},
    system::{Run, System},
};
use serde_json::{Value, json};

/// An edge, written `caller->callee` or `caller→callee`. The operator's own edge (`motet->callee`) is one too.
pub(super) fn edge(global: &Global, name: &str) -> Result<Exit> {
    let edge: EdgeName = name.parse().map_err(|error| Failure::new(Exit::Usage, format!("{error}.")))?;
    let loaded = connect::load(global)?;
    let declared = loaded.system.services.get(&edge.caller).map(|caller| caller.uses.contains_key(&edge.callee));
    let subject = match declared {
        None if edge.caller.as_str() == doors::OPERATOR => Subject::Service(edge.callee.clone()),
        _ => Subject::Edge { caller: edge.caller.clone(), callee: edge.callee.clone() },
    };
    let Some(in_force) = loaded.in_force(&subject) else {
        return Err(Failure::new(Exit::Failed, no_edge(&loaded.system, &edge)).into());
    };
    show(global, &loaded, "edge", &edge.to_string(), &in_force)
}

/// A route, by its path.
pub(super) fn route(global: &Global, prefix: &str) -> Result<Exit> {
    let loaded = connect::load(global)?;
    let Some(in_force) = loaded.in_force(&Subject::Route(prefix.to_owned())) else {
        let routes: Vec<&str> =
            loaded.system.gateway.iter().flat_map(|gateway| gateway.routes.keys()).map(String::as_str).collect();
        let known = if routes.is_empty() {
            "the gateway has none".to_owned()
        } else {
            format!("there are {}", routes.join(", "))
        };
        return Err(Failure::new(Exit::Failed, format!("There is no route `{prefix}`: {known}.")).into());
    };
    show(global, &loaded, "route", prefix, &in_force)
}

fn no_edge(system: &System, edge: &EdgeName) -> String {
    let nearest = |name: &ServiceName| {
        let scored = system.services.keys().map(|known| (strsim::jaro_winkler(name.as_str(), known.as_str()), known));
        let near = scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
        near.map_or_else(String::new, |(_, known)| format!(" Did you mean `{known}`?"))
    };
    match (system.services.get(&edge.caller), system.services.contains_key(&edge.callee)) {
        (None, _) => format!("There is no service `{}`.{}", edge.caller, nearest(&edge.caller)),
        (_, false) => format!("There is no service `{}`.{}", edge.callee, nearest(&edge.callee)),
        (Some(caller), true) => {
            let used: Vec<_> = caller.uses.keys().map(ToString::to_string).collect();
            let used = if used.is_empty() { "nobody".to_owned() } else { used.join(", ") };
            format!(
                "There is no edge {edge}: `{}` does not declare `{}` in `uses`; it uses {used}.",
                edge.caller, edge.callee
            )
        }
    }
}

fn show(global: &Global, loaded: &Loaded, kind: &str, name: &str, in_force: &InForce) -> Result<Exit> {
    let around = around(&loaded.system, &in_force.callee);
    if global.json {
        let paths: serde_json::Map<_, _> =
            in_force.paths.iter().map(|(prefix, rows)| (prefix.clone(), rows_json(rows))).collect();
        terminal::print_json(&json!({
            kind: name, "callee": in_force.callee.as_str(), "in_force": around.is_none(),
            "policy": rows_json(&in_force.rows), "paths": paths,
        }))?;
        return Ok(Exit::Done);
    }
    let title = if kind == "edge" { name.to_owned() } else { format!("{kind} {name} → {}", in_force.callee) };
    terminal::print(ink::strong().apply_to(title));
    if let Some(url) = around {
        terminal::print(format_args!(
            "  Nothing of this is in force: `{}` speaks TLS, and its callers call {url} themselves.",
            in_force.callee
        ));
    }
    table(&in_force.rows);
    for (prefix, rows) in &in_force.paths {
        let same = if rows.is_empty() { "  the same" } else { "" };
        terminal::print(format_args!("\n{}{same}", ink::strong().apply_to(prefix)));
        if !rows.is_empty() {
            table(rows);
        }
    }
    Ok(Exit::Done)
}

pub(super) fn table(rows: &[Row]) {
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for row in rows {
        let origin = match row.origin {
            Origin::Default => ink::quiet().apply_to(row.origin.to_string()).to_string(),
            Origin::Written { .. } => row.origin.to_string(),
        };
        table.row(vec![row.key.to_owned(), row.value.clone(), origin]);
    }
    table.print();
}

pub(super) fn rows_json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let from = match &row.origin {
            Origin::Default => json!({ "kind": "default" }),
            Origin::Written { by, file, line, column, profile } => json!({
                "kind": "written", "by": by, "file": file, "line": line, "column": column,
                "profile": profile.as_ref().map(|profile| profile.as_str()),
            }),
        };
        json!({ "key": row.key, "value": row.value, "from": from })
    };
    rows.iter().map(row).collect()
}

/// The URL of a callee that the data plane cannot stand before.
fn around(system: &System, callee: &ServiceName) -> Option<String> {
    match &system.services.get(callee)?.run {
        Run::External { .. } => doors::direct(system, callee),
        Run::Process { .. } | Run::Container { .. } => None,
    }
}
