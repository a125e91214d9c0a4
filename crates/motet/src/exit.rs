//! The exit codes of `motet`, the same for every command. `docs/cli.md` lists them for users.

use motet_api::error::CallError;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It failed, for a reason that was printed.
    Failed = 1,
    /// The command line cannot be understood. clap uses the same number.
    Usage = 2,
    /// The definition has errors.
    Definition = 3,
    /// The system does not run, and the command needs it to.
    NotRunning = 4,
    /// It did not become ready in the time given.
    TimedOut = 5,
    /// A service failed while the command waited for it.
    ServiceFailed = 6,
    /// Interrupted by the user (128 + SIGINT, as shells count).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that has a code of its own. Everything else ends with [`Exit::Failed`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) exit: Exit,
    /// What to print; a sentence that says what to do.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A name that does not exist was mistyped: the exit code says so, as where a command finds it out itself.
    pub(crate) fn mistyped(error: CallError) -> anyhow::Error {
        match error {
            CallError::Refused(problem) if matches!(problem.status, 400 | 404) => {
                Self::new(Exit::Usage, format!("{}.", capitalized(&problem.detail))).into()
            }
            other => other.into(),
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
