//! How errors and findings look: on the terminal with the excerpt, as JSON when asked for.

use super::{ink, note, print_json};
use crate::exit::{Exit, Failure};
use motet_model::Problems;

/// A problem was printed already; nothing is left to say.
const SAID: &str = "";

/// Prints the problems of a definition; returns the failure to end with.
pub(crate) fn problems(problems: &Problems, json: bool) -> anyhow::Error {
    if json {
        let _ = print_json(&problems.to_json());
    } else {
        note(problems.render(style(console::colors_enabled_stderr())).trim_end());
    }
    Failure::new(Exit::Definition, SAID).into()
}

/// How findings are drawn on this terminal.
pub(crate) fn style(colours: bool) -> motet_model::Style {
    let width = usize::from(console::Term::stderr().size().1).min(120);
    motet_model::Style { colours, width }
}

/// Prints why a command failed: what, then each cause.
pub(crate) fn error(error: &anyhow::Error, json: bool) {
    let message = format!("{error:#}");
    if message.is_empty() {
        return;
    }
    if json {
        let _ = print_json(&serde_json::json!({ "error": message }));
        return;
    }
    let mut chain = error.chain().map(ToString::to_string);
    let first = chain.next().unwrap_or_default();
    note(format_args!("{} {first}", ink::bad().for_stderr().apply_to("error:")));
    let mut said = first;
    for cause in chain {
        // A wrapper that repeats its cause would say everything twice.
        if !said.contains(&cause) {
            note(format_args!("  {} {cause}", ink::quiet().for_stderr().apply_to("because:")));
        }
        said = cause;
    }
}
