//! Where the text of a definition comes from and how it becomes a tree with positions.
//!
//! The problem solved here: a person who made five mistakes wants to hear of five, each with its place. A deserializer
//! stops at the first and forgets places as soon as a value is copied. So the text becomes a tree whose nodes know
//! their place ([`tree`]), includes, profiles and variables are worked into that tree ([`include`], [`overlay`],
//! [`variables`]), and everything after reads the tree. The YAML parser's name is known in [`yaml`] and [`complaint`] only.

mod complaint;
pub(crate) mod dotenv;
pub mod files;
pub(crate) mod find;
pub(crate) mod include;
pub(crate) mod overlay;
pub(crate) mod tree;
pub(crate) mod variables;
pub(crate) mod yaml;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A stretch of text in one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Index into [`Sources`].
    pub(crate) file: usize,
    /// First byte.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
}

/// One file that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Absolute path.
    pub path: PathBuf,
    /// What it is called in messages: relative to the definition's folder where it is inside.
    pub name: String,
    /// Its text; empty when it could not be read as text.
    pub text: Arc<str>,
}

impl SourceFile {
    /// The folder it lies in: relative paths written in it start there.
    pub(crate) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// The files that were read, in the order of reading.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<SourceFile>);

impl Sources {
    pub(crate) fn add(&mut self, path: PathBuf, name: String, text: Arc<str>) -> usize {
        self.0.push(SourceFile { path, name, text });
        self.0.len() - 1
    }

    pub(crate) fn get(&self, file: usize) -> Option<&SourceFile> {
        self.0.get(file)
    }

    /// The files, in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.0.iter()
    }

    /// The folder from which relative paths written at a place start.
    pub(crate) fn dir_of(&self, span: Span) -> &Path {
        self.get(span.file).map_or(Path::new("/"), SourceFile::dir)
    }

    /// What was written at a place.
    pub(crate) fn text_at(&self, span: Span) -> &str {
        self.get(span.file).and_then(|file| file.text.get(span.start..span.end)).unwrap_or("")
    }

    /// Line and column of a byte, both counted from 1; the column counts characters.
    pub(crate) fn line_column(&self, span: Span) -> (usize, usize) {
        let text = self.get(span.file).map_or("", |file| &*file.text);
        let before = text.get(..span.start.min(text.len())).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}
