//! One hash over everything that a build reads: the paths and contents of its inputs, in a fixed order.

use crate::spec::Build;
use globset::{Glob, GlobSet, GlobSetBuilder};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Never inputs, even where nobody has told git to ignore them: what tools make.
const NEVER: [&str; 7] = [".git", "target", "node_modules", ".venv", "__pycache__", ".motet", ".pytest_cache"];

/// The hash of a build's inputs.
pub(super) fn hash(dir: &Path, build: &Build) -> io::Result<String> {
    let mut paths = find(dir, build)?;
    paths.sort();
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{:?}", build.command).as_bytes());
    let mut buffer = vec![0; 64 << 10];
    for path in paths {
        let mut file = match File::open(dir.join(&path)) {
            Ok(file) => file,
            // Gone since it was found: the next build sees that.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        };
        let path = path.as_os_str().as_encoded_bytes();
        // Lengths in front, so that no name can look like the end of another file.
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
        let mut content = blake3::Hasher::new();
        loop {
            let length = file.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            content.update(&buffer[..length]);
        }
        hasher.update(content.finalize().as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn find(dir: &Path, build: &Build) -> io::Result<Vec<PathBuf>> {
    let inputs = (!build.inputs.is_empty()).then(|| globs(&build.inputs)).transpose()?;
    let outputs: Vec<PathBuf> = build.outputs.iter().map(|output| dir.join(output)).collect();
    let walk = ignore::WalkBuilder::new(dir)
        // Named inputs count even when git ignores them.
        .standard_filters(inputs.is_none())
        .hidden(false)
        .require_git(false)
        .filter_entry(move |entry| {
            let is_tools = entry.depth() > 0 && entry.file_name().to_str().is_some_and(|name| NEVER.contains(&name));
            !is_tools && !outputs.iter().any(|output| output == entry.path())
        })
        .build();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(io::Error::other)?;
        let Ok(path) = entry.path().strip_prefix(dir) else { continue };
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        if is_file && inputs.as_ref().is_none_or(|inputs| inputs.is_match(path)) {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

fn globs(patterns: &[String]) -> io::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(io::Error::other)?);
    }
    set.build().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Command;
    use std::fs;

    #[test]
    fn the_hash_changes_with_content_names_and_command_and_with_nothing_that_tools_make() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("inside")).expect("made");
            fs::write(path, text).expect("written");
        };
        let mut build = Build::new(Command::Shell("make".to_owned()));
        build.outputs.push("out".to_owned());
        write("src/a.c", "a");
        write(".gitignore", "*.tmp\n");
        let first = hash(dir.path(), &build).expect("hashed");
        for made in ["target/x", "node_modules/y/z", "out", "b.tmp", ".git/HEAD"] {
            write(made, "made");
        }
        assert_eq!(hash(dir.path(), &build).expect("hashed"), first);
        write("src/b.c", "");
        let second = hash(dir.path(), &build).expect("hashed");
        assert_ne!(second, first, "a new empty file");
        write("src/a.c", "A");
        let third = hash(dir.path(), &build).expect("hashed");
        assert_ne!(third, second, "other content");
        build.inputs.push("src/b*".to_owned());
        let named = hash(dir.path(), &build).expect("hashed");
        write("src/a.c", "B");
        assert_eq!(hash(dir.path(), &build).expect("hashed"), named, "not an input");
        build.command = Command::Shell("make all".to_owned());
        assert_ne!(hash(dir.path(), &build).expect("hashed"), named, "another command");
    }
}
