//! A schema that is ready to be used, and how a payload is held against it.

use crate::{
    error::{BadReference, LoadError, NotASchema, NotJson, Unreadable},
    files::{self, Below},
    violation::{Refused, VIOLATIONS_MAX, Violation, shorten},
};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;
use std::{fmt, fs, path::Path};

/// How far a regular expression with look-around may go back before the text counts as not matching.
const BACKTRACKS_MAX: usize = 100_000;

/// A compiled schema. Cheap to use from many threads; make it once.
pub struct Contract {
    validator: Validator,
    name: String,
}

impl Contract {
    /// Loads the schema of a file. `root` is the folder that it and all that it refers to lie in.
    ///
    /// The draft is the one that `$schema` names (4, 6, 7, 2019-09, 2020-12), 2020-12 without it. Formats are checked.
    ///
    /// # Errors
    /// When the file cannot be read, is no JSON Schema, or refers to something that cannot be followed.
    pub fn load(file: &Path, root: &Path) -> Result<Self, LoadError> {
        let unreadable = |reason: String| Unreadable { path: file.to_owned(), reason };
        let path = fs::canonicalize(file).map_err(|error| unreadable(error.to_string()))?;
        let root = fs::canonicalize(root).map_err(|error| unreadable(error.to_string()))?;
        if !path.starts_with(&root) {
            return Err(unreadable(format!("it lies outside of {}", root.display())).into());
        }
        let bytes = files::read(&path).map_err(unreadable)?;
        let schema: Value = serde_json::from_slice(&bytes)
            .map_err(|error| NotJson { path: file.to_owned(), reason: error.to_string() })?;
        let dir = path.parent().unwrap_or(&root).to_owned();
        Self::compile(&schema, &file.display().to_string(), &files::url(&path), Below::new(root, &schema, &dir))
    }

    /// Compiles a schema that stands in no file of its own. References to files start at `dir`.
    ///
    /// # Errors
    /// As [`Contract::load`].
    pub fn inline(schema: &Value, dir: &Path, root: &Path) -> Result<Self, LoadError> {
        // A schema without references needs no folder.
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let base = files::url(&dir.join("schema.json"));
        Self::compile(schema, "the schema", &base, Below::new(root, schema, &dir))
    }

    fn compile(schema: &Value, name: &str, base: &str, below: Below) -> Result<Self, LoadError> {
        let broken = |reason: String, pointer: String| NotASchema { name: name.to_owned(), reason, pointer };
        if !schema.is_object() && !schema.is_boolean() {
            return Err(broken("it has to be an object".to_owned(), String::new()).into());
        }
        let draft = Draft::default().detect(schema);
        if draft == Draft::Unknown {
            let named = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
            return Err(broken(shorten(format!("`{named}` is no draft that is known")), "/$schema".to_owned()).into());
        }
        jsonschema::options()
            .with_draft(draft)
            .with_base_uri(base)
            .with_retriever(below)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX))
            .build(schema)
            .map(|validator| Self { validator, name: name.to_owned() })
            .map_err(|error| match error.kind() {
                ValidationErrorKind::Referencing(reference) => {
                    BadReference { name: name.to_owned(), reason: shorten(with_causes(reference)) }.into()
                }
                _ => broken(shorten(error.to_string()), error.instance_path().to_string()).into(),
            })
    }

    /// Holds a payload against the schema.
    ///
    /// # Errors
    /// When it is not JSON or does not fit. The errors hold no values of the payload.
    pub fn validate(&self, payload: &[u8]) -> Result<(), Refused> {
        let value: Value = serde_json::from_slice(payload).map_err(|error| Refused {
            is_json: false,
            violations: vec![Violation {
                pointer: String::new(),
                message: shorten(error.to_string()),
                rule: String::new(),
            }],
            more: false,
        })?;
        self.validate_value(&value)
    }

    /// Holds JSON that was read already against the schema.
    ///
    /// # Errors
    /// As [`Contract::validate`].
    pub fn validate_value(&self, value: &Value) -> Result<(), Refused> {
        // The usual case is asked first, because it collects nothing.
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let mut errors = self.validator.iter_errors(value);
        let violations: Vec<_> = errors.by_ref().take(VIOLATIONS_MAX).map(|error| violation(&error)).collect();
        let more = errors.next().is_some();
        Err(Refused { is_json: true, violations, more })
    }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    Violation {
        pointer: shorten(error.instance_path().to_string()),
        message: shorten(error.masked_with("this").to_string()),
        rule: shorten(error.schema_path().to_string()),
    }
}

/// An error with what lies behind it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contract").field(&self.name).finish()
    }
}
