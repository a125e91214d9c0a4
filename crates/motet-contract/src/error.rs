//! Why a schema cannot be used.

use motet_kernel::code::ErrorCode;
use std::path::PathBuf;

/// A schema's file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the schema {} cannot be read: {reason}", path.display())]
pub struct Unreadable {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A file that holds no JSON.
#[derive(Debug, thiserror::Error)]
#[error("{} is not JSON: {reason}", path.display())]
pub struct NotJson {
    /// Which file.
    pub path: PathBuf,
    /// Why, with line and column.
    pub reason: String,
}

/// JSON that is no JSON Schema.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not a JSON Schema: {reason}{}", at(pointer))]
pub struct NotASchema {
    /// Its file, or that it has none.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Where in the schema (RFC 6901); empty for the whole.
    pub pointer: String,
}

/// A reference that leads to nothing that may be read.
#[derive(Debug, thiserror::Error)]
#[error("{name} refers to something that cannot be followed: {reason}")]
pub struct BadReference {
    /// The file of the schema, or that it has none.
    pub name: String,
    /// What, and why not.
    pub reason: String,
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Its file holds no JSON.
    #[error(transparent)]
    NotJson(#[from] NotJson),
    /// It is no JSON Schema.
    #[error(transparent)]
    NotASchema(#[from] NotASchema),
    /// It refers to something that cannot be followed.
    #[error(transparent)]
    BadReference(#[from] BadReference),
}

impl LoadError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unreadable(_) => ErrorCode("MO-contract-101"),
            Self::NotJson(_) => ErrorCode("MO-contract-102"),
            Self::NotASchema(_) => ErrorCode("MO-contract-103"),
            Self::BadReference(_) => ErrorCode("MO-contract-104"),
        }
    }
}

fn at(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" (at `{pointer}`)") }
}
