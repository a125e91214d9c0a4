//! How files are reached: from the disk, or from memory for tests and for fuzzing.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    path::{Component, Path, PathBuf},
};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// Where a definition's files are. Paths are absolute and without `.` and `..`.
pub trait Files {
    /// What is there, if anything.
    fn kind(&self, path: &Path) -> Option<Kind>;

    /// The first `limit` bytes of a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// The names in a folder, sorted, for suggestions; empty when it cannot be read.
    fn names(&self, folder: &Path) -> Vec<String>;
}

/// The real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<Kind> {
        let metadata = fs::metadata(path).ok()?;
        Some(if metadata.is_dir() { Kind::Folder } else { Kind::File })
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let file = fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.flatten().take(1000).filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// Files that exist in memory only; their folders exist with them.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    everything_exists: bool,
}

impl Memory {
    /// Files by absolute path.
    pub fn new<P: Into<PathBuf>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (path.into(), bytes.into())).collect();
        Self { files, everything_exists: false }
    }

    /// Files out of one text, for fuzzing: a line `%%% path` begins each of them, and what stands before the first is `/motet.yaml`.
    pub fn bundle(bytes: &[u8]) -> Self {
        let mut files = BTreeMap::new();
        let mut path = PathBuf::from("/motet.yaml");
        let mut content = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_prefix(b"%%% ").map(|name| String::from_utf8_lossy(name).trim().to_owned()) {
                Some(name) if !name.contains('\0') => {
                    files.insert(
                        std::mem::replace(&mut path, clean(&Path::new("/").join(name))),
                        std::mem::take(&mut content),
                    );
                }
                _ => content.extend_from_slice(line),
            }
        }
        files.insert(path, content);
        Self { files, everything_exists: false }
    }

    /// Lets every other path exist as well, empty (an empty object where it is JSON): for tests that are not about missing files.
    pub fn where_everything_exists(mut self) -> Self {
        self.everything_exists = true;
        self
    }
}

impl Files for Memory {
    fn kind(&self, path: &Path) -> Option<Kind> {
        if self.files.contains_key(path) {
            return Some(Kind::File);
        }
        let is_folder = self.files.keys().any(|file| file.starts_with(path));
        match (is_folder, self.everything_exists) {
            (true, _) => Some(Kind::Folder),
            (false, true) => Some(if path.extension().is_some() { Kind::File } else { Kind::Folder }),
            (false, false) => None,
        }
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = match self.files.get(path) {
            Some(bytes) => bytes.as_slice(),
            None if self.everything_exists && path.extension().is_some_and(|kind| kind == "json") => b"{}",
            None if self.everything_exists => b"",
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(bytes[..bytes.len().min(limit)].to_vec())
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = self
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(folder).ok()?.components().next()?.as_os_str().to_str())
            .map(str::to_owned)
            .collect();
        names.dedup();
        names
    }
}

/// A path without `.` and `..`, resolved by text: links are not followed.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}
