//! `motet check`: everything that is wrong or doubtful in the definition, in one go.

use crate::{
    cli::{Check, Global},
    connect,
    exit::Exit,
    terminal::{self, ink, report},
};
use anyhow::Result;

pub(crate) fn run(global: &Global, arguments: &Check) -> Result<Exit> {
    let options = connect::load_options(global)?;
    let findings = motet_model::check(&options);
    let (errors, warnings) = (findings.errors(), findings.warnings());
    if global.json {
        terminal::print_json(&findings.to_json())?;
    } else {
        let text = findings.render(report::style(console::colors_enabled()));
        if !text.trim().is_empty() {
            terminal::print(text.trim_end());
        } else {
            terminal::print(ink::good().apply_to("No errors, no warnings."));
        }
    }
    let failed = errors > 0 || (arguments.strict && warnings > 0);
    Ok(if failed { Exit::Definition } else { Exit::Done })
}
