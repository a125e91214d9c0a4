//! The terminal: colours, tables, the live view, and how errors look. Output to a pipe has no colours and no moving parts.

pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod report;
pub(crate) mod table;

use crate::cli::Color;
use console::{Style, Term};
use std::{fmt::Display, io::Write as _};

/// Decides once for the whole process whether colours are used. `NO_COLOR` and `CLICOLOR_FORCE` are honoured by the library below.
pub(crate) fn set_up(color: Color, json: bool) {
    let forced = match color {
        Color::Auto if json => Some(false),
        Color::Auto => None,
        Color::Always => Some(true),
        Color::Never => Some(false),
    };
    if let Some(on) = forced {
        console::set_colors_enabled(on);
        console::set_colors_enabled_stderr(on);
    }
}

/// Prints a line on standard output. A reader that is gone (`motet ps | head -1`) is not an error.
pub(crate) fn print(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line on standard error: what is not the command's result.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a value as JSON on standard output.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    print(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Whether a person looks at standard output now.
pub(crate) fn is_watched() -> bool {
    Term::stdout().features().is_attended()
}

/// The colours, by meaning.
pub(crate) mod ink {
    use super::Style;

    pub(crate) fn good() -> Style {
        Style::new().green()
    }
    pub(crate) fn busy() -> Style {
        Style::new().cyan()
    }
    pub(crate) fn warn() -> Style {
        Style::new().yellow()
    }
    pub(crate) fn bad() -> Style {
        Style::new().red().bold()
    }
    pub(crate) fn quiet() -> Style {
        Style::new().dim()
    }
    pub(crate) fn strong() -> Style {
        Style::new().bold()
    }
}
