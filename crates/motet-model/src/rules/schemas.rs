//! Schemas of topics: files that are there, JSON that is a JSON Schema, references that can be followed.
//!
//! What a schema says is held against payloads elsewhere. Here its author hears, with the place in the definition, whether it can be.

use super::Subject;
use crate::{
    code,
    finding::Finding,
    source::{
        Span,
        files::{Kind, clean},
    },
    spelling,
    system::events::Schema,
};
use motet_kernel::topic::TopicName;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The largest file of a schema, in bytes.
const FILE_MAX: usize = 1 << 20;
/// How many files one schema may refer to, one after the other.
const FILES_MAX: usize = 100;

/// Returns the files of schemas, and those that they refer to.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for (name, topic) in &subject.system.topics {
        let Some(schema) = &topic.schema else { continue };
        let before = findings.len();
        let place = subject.tree.at(&["topics", name.as_str(), "schema"]).map(|node| node.span);
        let key = subject.place(&["topics", name.as_str(), "schema"]);
        match schema {
            Schema::File(file) => {
                let place = place.unwrap_or(key);
                let mut reading = Reading { subject, place, findings, seen: BTreeSet::from([file.clone()]) };
                if let Some(value) = read(subject, name, file, place, reading.findings) {
                    reading.document(&value, file);
                }
                files.extend(reading.seen);
            }
            Schema::Inline { schema, dir } => {
                let mut reading = Reading { subject, place: key, findings, seen: BTreeSet::new() };
                reading.document(schema, &dir.join("motet.yaml"));
                files.extend(reading.seen);
            }
        }
        if findings.len() == before {
            usable(subject, name, schema, place.unwrap_or(key), findings);
        }
    }
    files
}

/// What only shows when the schema is put to use: an `$id` that leads elsewhere, an anchor that is not there.
fn usable(subject: &Subject<'_>, topic: &TopicName, schema: &Schema, place: Span, findings: &mut Vec<Finding>) {
    let Some(judge) = subject.judge else { return };
    let Err(why) = judge.schema(schema, &subject.system.dir) else { return };
    findings.push(
        Finding::error(code::INVALID_SCHEMA, format!("nothing can be held against the schema of `{topic}`: {why}"))
            .at(place, "cannot be used")
            .help("correct the schema; what it refers to has to be in the system's folder"),
    );
}

fn read(
    subject: &Subject<'_>,
    topic: &TopicName,
    file: &Path,
    place: Span,
    findings: &mut Vec<Finding>,
) -> Option<Value> {
    let shown = show(subject, file);
    let missing = |message: String, label: &str, help: String| {
        Finding::error(code::MISSING_PATH, message).at(place, label).help(help)
    };
    match subject.files.kind(file) {
        Some(Kind::File) => {}
        Some(Kind::Folder) => {
            let message = format!("`{shown}` is a folder, and a schema is a file");
            findings.push(missing(message, "not a file", "name the file".to_owned()));
            return None;
        }
        None => {
            let folder = file.parent().unwrap_or(Path::new("/"));
            let names = subject.files.names(folder);
            let written = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let help = match spelling::nearest(written, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{}`?", show(subject, &folder.join(near))),
                None => {
                    format!("write the JSON Schema of `{topic}` there, or remove the key: then every payload is taken")
                }
            };
            findings.push(missing(format!("the schema `{shown}` does not exist"), "does not exist", help));
            return None;
        }
    }
    match parse(subject, file) {
        Ok(value) => Some(value),
        Err(why) => {
            let finding = Finding::error(code::INVALID_SCHEMA, format!("`{shown}` cannot be read as JSON: {why}"));
            let help = match file.extension().and_then(|extension| extension.to_str()) {
                Some("yaml" | "yml") => {
                    "a schema is a JSON file; convert it, or write it into the definition, where it may be YAML"
                }
                _ => "correct the file: a JSON Schema is a JSON document",
            };
            findings.push(finding.at(place, "not JSON").help(help));
            None
        }
    }
}

fn parse(subject: &Subject<'_>, file: &Path) -> Result<Value, String> {
    let bytes = subject.files.read(file, FILE_MAX + 1).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    })?;
    if bytes.len() > FILE_MAX {
        return Err("it is larger than 1 MiB".to_owned());
    }
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// One schema and all that it refers to.
struct Reading<'a, 'b> {
    subject: &'a Subject<'a>,
    place: Span,
    findings: &'b mut Vec<Finding>,
    seen: BTreeSet<PathBuf>,
}

impl Reading<'_, '_> {
    fn document(&mut self, schema: &Value, file: &Path) {
        if let Some(why) = broken(schema) {
            let shown = self.name(file);
            self.error(
                format!("{shown} is not a JSON Schema: {why}"),
                "not a schema",
                "correct the schema; `$schema` says by which draft it is read, 2020-12 when it is missing",
            );
            return;
        }
        // With an `$id`, references start there and not at the file: they are followed when the schema is put to use.
        if schema.get("$id").is_some() {
            return;
        }
        let mut references = BTreeSet::new();
        collect(schema, 0, &mut references);
        for reference in references {
            self.reference(reference, file);
        }
    }

    fn reference(&mut self, reference: &str, file: &Path) {
        let target = reference.split('#').next().unwrap_or_default();
        if target.is_empty() || target.starts_with("urn:") || target.contains("json-schema.org/") {
            return;
        }
        if target.contains("://") {
            self.error(
                format!("{} refers to `{target}`, and nothing is fetched from elsewhere", self.name(file)),
                "refers to another machine",
                "keep a copy in the system's folder and refer to that: a publish must not wait for somebody's web server",
            );
            return;
        }
        let path = clean(&file.parent().unwrap_or(Path::new("/")).join(target));
        if !path.starts_with(&self.subject.system.dir) {
            self.error(
                format!("{} refers to `{target}`, which lies outside of the system's folder", self.name(file)),
                "reaches outside",
                "keep schemas that belong together in one folder: only what is in the system's folder goes where the system goes",
            );
        } else if self.seen.len() < FILES_MAX && self.seen.insert(path.clone()) {
            match parse(self.subject, &path) {
                Ok(value) => self.document(&value, &path),
                Err(why) => self.error(
                    format!("{} refers to `{target}`, which cannot be read: {why}", self.name(file)),
                    "refers to something that is not there",
                    "references start at the folder of the schema that they stand in",
                ),
            }
        }
    }

    fn name(&self, file: &Path) -> String {
        if self.seen.is_empty() { "the schema".to_owned() } else { format!("`{}`", show(self.subject, file)) }
    }

    fn error(&mut self, message: String, label: &str, help: &str) {
        self.findings.push(Finding::error(code::INVALID_SCHEMA, message).at(self.place, label).help(help));
    }
}

/// Why a document is no JSON Schema.
fn broken(schema: &Value) -> Option<String> {
    if !schema.is_object() && !schema.is_boolean() {
        return Some("it has to be an object".to_owned());
    }
    let error = jsonschema::meta::validate(schema).err()?;
    let at = error.instance_path().to_string();
    let at = if at.is_empty() { String::new() } else { format!(" at `{}`", crate::keys::accept::shorten(&at)) };
    let why = error.to_string().replace(" under any of the schemas listed in the 'anyOf' keyword", "");
    Some(format!("{}{at}", crate::keys::accept::shorten(&why)))
}

/// The references of a schema. What stands under `const`, `enum`, `default` and `examples` is data.
fn collect<'a>(schema: &'a Value, depth: usize, references: &mut BTreeSet<&'a str>) {
    const DEPTH_MAX: usize = 128;
    if depth > DEPTH_MAX {
        return;
    }
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("$ref" | "$dynamicRef", Value::String(reference)) => {
                        references.insert(reference);
                    }
                    ("const" | "enum" | "default" | "examples" | "example", _) => {}
                    _ => collect(value, depth + 1, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth + 1, references)),
        _ => {}
    }
}

fn show(subject: &Subject<'_>, path: &Path) -> String {
    let relative = path.strip_prefix(&subject.system.dir).unwrap_or(path);
    crate::keys::accept::shorten(&relative.display().to_string())
}
