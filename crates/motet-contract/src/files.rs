//! What a reference of a schema may lead to: files below the root, so many of them, so large, and nothing else.
//!
//! A schema with an `$id` (`https://example.org/events/order.json`) refers to its neighbours by URLs below it. Those are taken for
//! the files beside it: the folder of the `$id` is the folder of the file.

use jsonschema::{Retrieve, Uri};
use serde_json::Value;
use std::{
    error::Error,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The largest file, in bytes.
pub(crate) const FILE_MAX: u64 = 1 << 20;
/// How many files one schema may refer to, one after the other.
const FILES_MAX: usize = 100;

/// Reads what a schema refers to.
pub(crate) struct Below {
    root: PathBuf,
    /// The folder of the `$id`, ending with a slash, and the folder that it stands for.
    neighbours: Option<(String, PathBuf)>,
    read: AtomicUsize,
}

impl Below {
    /// `root` is absolute and has no links in it.
    pub(crate) fn new(root: PathBuf, schema: &Value, dir: &Path) -> Self {
        let id = schema.get("$id").and_then(Value::as_str).filter(|id| id.contains("://"));
        let neighbours = id.and_then(|id| {
            let (folder, _) = id.split(['#', '?']).next()?.rsplit_once('/')?;
            Some((format!("{folder}/"), dir.to_owned()))
        });
        Self { root, neighbours, read: AtomicUsize::new(0) }
    }

    fn path(&self, uri: &str) -> Result<PathBuf, String> {
        let bare = uri.split(['#', '?']).next().unwrap_or_default();
        if let Some((folder, dir)) = &self.neighbours
            && let Some(rest) = bare.strip_prefix(folder.as_str())
        {
            return Ok(dir.join(decoded(rest)?));
        }
        match bare.strip_prefix("file://") {
            Some(path) => Ok(PathBuf::from(decoded(path)?)),
            None => Err(format!("`{uri}` is on another machine, and nothing is fetched from there")),
        }
    }

    fn load(&self, uri: &str) -> Result<Value, String> {
        if self.read.fetch_add(1, Ordering::Relaxed) >= FILES_MAX {
            return Err(format!("more than {FILES_MAX} files are referred to"));
        }
        let written = self.path(uri)?;
        let path = fs::canonicalize(&written).map_err(|error| format!("{}: {error}", written.display()))?;
        if !path.starts_with(&self.root) {
            return Err(format!("{} lies outside of {}", path.display(), self.root.display()));
        }
        let bytes = read(&path).map_err(|reason| format!("{}: {reason}", path.display()))?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{} is not JSON: {error}", path.display()))
    }
}

impl Retrieve for Below {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        self.load(uri.as_str()).map_err(Into::into)
    }
}

/// A regular file that is not too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_MAX { Err("it is larger than 1 MiB".to_owned()) } else { Ok(bytes) }
}

/// The URL of a file or folder, as the references of what stands there are resolved against it.
pub(crate) fn url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

fn decoded(path: &str) -> Result<String, String> {
    let bad = || format!("`{path}` is not a path");
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(bad);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_its_way_through_a_url() {
        let path = "/a b/ä%20/#?.json";
        assert_eq!(decoded(url(Path::new(path)).trim_start_matches("file://")).as_deref(), Ok(path));
        assert!(decoded("/%zz").is_err() && decoded("/%2").is_err() && decoded("/%ff").is_err());
    }
}
