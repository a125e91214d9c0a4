//! Takes in the files that services name with `include`. Keys beside `include` lie over the file's.

use super::{
    Sources, Span,
    files::{Files, clean},
    overlay::overlay,
    tree::{Entry, Map, Node, Scalar, Value},
    yaml,
};
use crate::{
    code,
    finding::Finding,
    keys::{
        Shape,
        accept::{self, Part, shorten},
        service::SERVICE,
    },
    spelling,
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many files may be read for one definition.
const FILES_MAX: usize = 1000;
/// How many files may include each other in a chain.
const CHAIN_MAX: usize = 8;

/// Reads files into sources and trees, each file once.
pub(crate) struct Reader<'a> {
    pub(crate) files: &'a dyn Files,
    /// The definition's folder: names in messages are relative to it.
    pub(crate) dir: PathBuf,
    pub(crate) sources: Sources,
    pub(crate) findings: Vec<Finding>,
    read: HashMap<PathBuf, Option<Arc<Node>>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(files: &'a dyn Files, dir: PathBuf) -> Self {
        Self { files, dir, sources: Sources::default(), findings: Vec::new(), read: HashMap::new() }
    }

    /// Reads a file's text. What is wrong with it is told at `asked`, or without a place.
    pub(crate) fn text(&mut self, path: &Path, asked: Option<Span>) -> Option<usize> {
        let name = path.strip_prefix(&self.dir).unwrap_or(path).display().to_string();
        let at = |finding: Finding| match asked {
            Some(span) => finding.at(span, "asked for here"),
            None => finding,
        };
        let bytes = match self.files.read(path, yaml::BYTES_MAX + 1) {
            Ok(bytes) => bytes,
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let code = if missing { code::MISSING_PATH } else { code::NO_DEFINITION };
                let why = if missing { "does not exist".to_owned() } else { format!("cannot be read: {error}") };
                let help = match self.neighbour(path).filter(|_| missing) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if missing => "paths start at the folder of the file that they are written in".to_owned(),
                    None => "look at the file's rights".to_owned(),
                };
                self.findings.push(at(Finding::error(code, format!("`{name}` {why}")).help(help)));
                return None;
            }
        };
        if bytes.len() > yaml::BYTES_MAX {
            let finding = Finding::error(code::TOO_LARGE, format!("`{name}` is larger than 1 MiB"));
            self.findings.push(at(finding.help(
                "a definition is small: is this the right file? Parts of it can be moved into files with `include`",
            )));
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(self.sources.add(path.to_owned(), name, text.into())),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let mut text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                text.truncate(text.floor_char_boundary(valid + 3));
                let file = self.sources.add(path.to_owned(), name.clone(), text.into());
                self.findings.push(
                    Finding::error(code::NOT_TEXT, format!("`{name}` is not UTF-8 text"))
                        .at(Span { file, start: valid, end: valid + 1 }, "this byte is not UTF-8")
                        .help("save the file as UTF-8 (without BOM, if your editor asks)"),
                );
                None
            }
        }
    }

    /// A file beside a missing one that is spelled like it.
    fn neighbour(&self, path: &Path) -> Option<String> {
        let folder = path.parent()?;
        let names = self.files.names(folder);
        let near = spelling::nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
        let near = folder.join(near);
        Some(near.strip_prefix(&self.dir).unwrap_or(&near).display().to_string())
    }

    /// Reads a file's tree, once.
    fn tree(&mut self, path: &Path, asked: Span) -> Option<Arc<Node>> {
        if let Some(read) = self.read.get(path) {
            return read.clone();
        }
        if self.read.len() >= FILES_MAX {
            self.findings.push(
                Finding::error(code::TOO_LARGE, format!("more than {FILES_MAX} files are included"))
                    .at(asked, "the limit is passed here")
                    .help("split the system"),
            );
            return None;
        }
        let tree = self.text(path, Some(asked)).and_then(|file| {
            let before = self.findings.len();
            let tree = yaml::read(&self.sources, file, &mut self.findings);
            if tree.is_none() && self.findings.len() == before {
                let name = self.sources.get(file).map_or("the file", |file| file.name.as_str());
                self.findings.push(
                    Finding::error(code::EMPTY_DEFINITION, format!("`{name}` is empty"))
                        .at(asked, "included here")
                        .help("write the keys of the service into it, or remove the `include`"),
                );
            }
            tree
        });
        if let Some(tree) = &tree {
            accept::accept(tree, &Shape::Fields(&SERVICE), Part::Fragment, &self.sources, &mut self.findings);
        }
        let tree = tree.filter(|tree| tree.as_map().is_some()).map(Arc::new);
        self.read.insert(path.to_owned(), tree.clone());
        tree
    }

    /// Takes in what the services of a definition or of a profile include.
    pub(crate) fn include_services(&mut self, definition: &mut Node) {
        let Some(services) = definition.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut)
        else {
            return;
        };
        for entry in services.iter_mut() {
            if entry.value.get("include").is_some() {
                entry.value = self.included(&entry.value, &mut Vec::new());
            }
        }
    }

    /// A service with everything that it includes.
    fn included(&mut self, service: &Node, chain: &mut Vec<PathBuf>) -> Node {
        let Some((asked, text)) = service.get("include").and_then(|node| Some((node.span, node.text()?))) else {
            return service.clone();
        };
        let path = clean(&self.sources.dir_of(asked).join(text));
        if chain.contains(&path) || chain.len() >= CHAIN_MAX {
            self.findings.push(
                Finding::error(
                    code::INCLUDE_CYCLE,
                    format!("`{}` is included again by what it includes", shorten(text)),
                )
                .at(asked, "included here")
                .help("a service's file holds its keys itself: remove this `include`"),
            );
            return unread(service);
        }
        let Some(tree) = self.tree(&path, asked) else { return unread(service) };
        chain.push(path);
        let under = self.included(&tree, chain);
        overlay(&under, service, Some(Shape::Fields(&SERVICE)))
    }
}

/// A service whose file could not be read, with what would be missed in it: that the file is missing has been told, and the
/// system is not going to be run.
fn unread(service: &Node) -> Node {
    let mut service = service.clone();
    let span = service.span;
    let scalar = |text: &str| Node {
        span,
        value: Value::Scalar(Scalar { text: text.to_owned(), plain: false, from_variable: false }),
    };
    let Some(map) = service.as_map_mut() else { return service };
    if SERVICE.one_of.iter().all(|key| map.entry(key).is_none()) {
        let mut command = Map::default();
        command.insert(Entry { key: "command".into(), key_span: span, value: scalar("true") });
        let process = Node { span, value: Value::Map(command) };
        map.insert(Entry { key: "process".into(), key_span: span, value: process });
    }
    if map.entry("path").is_none() {
        map.insert(Entry { key: "path".into(), key_span: span, value: scalar(".") });
    }
    service
}

/// An empty map at a place, for what is not there.
pub(crate) fn empty(span: Span) -> Node {
    Node { span, value: Value::Map(Map::default()) }
}
