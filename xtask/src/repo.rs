//! The repository as a value: its text files and its crates, read once, so that a check is a function over data.
//!
//! Files are found by walking the tree with `.gitignore` in force and not by asking git: a check must see a file that
//! was just written and not yet added, and must work in an unpacked archive. Build outputs and downloaded packages
//! are left out by the same rules that keep them out of a commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Larger text files are data, not something a person wrote: they are not read.
const LARGEST_TEXT_BYTES: u64 = 2 * 1024 * 1024;

/// Names of files, and endings, that are text a person or a tool wrote.
const TEXT: &[&str] = &[
    ".rs",
    ".toml",
    ".lock",
    ".md",
    ".yaml",
    ".yml",
    ".json",
    ".py",
    ".ts",
    ".tsx",
    ".js",
    ".mjs",
    ".css",
    ".html",
    ".sh",
    ".sql",
    ".txt",
    ".cfg",
    ".ini",
    ".ci/run",
    ".gitignore",
    "Dockerfile",
];

/// A text file.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// The whole content.
    pub text: String,
}

impl SourceFile {
    /// Lines with their numbers, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The number of the line where the file's own tests begin (`#[cfg(test)]` at the margin, then a module), or one
    /// past the last line.
    pub fn first_test_line(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let opens_module = |line: &&str| line.starts_with("mod ") || line.starts_with("pub mod ");
        (0..lines.len())
            .find(|&at| lines[at].trim_end() == "#[cfg(test)]" && lines.get(at + 1).is_some_and(opens_module))
            .map_or(lines.len() + 1, |at| at + 1)
    }

    /// True for a Rust file that is compiled into a crate: `crates/*/src/…` and `xtask/src/…`.
    pub fn is_crate_source(&self) -> bool {
        let inside = |path: &str| path.starts_with("src/") && path.ends_with(".rs");
        let of_crate = self.path.strip_prefix("crates/").and_then(|rest| rest.split_once('/'));
        of_crate.is_some_and(|(_, rest)| inside(rest)) || self.path.strip_prefix("xtask/").is_some_and(inside)
    }

    /// True when the file is in a folder of tests, or is one by its name.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        self.path.split('/').any(|part| matches!(part, "tests" | "test" | "benches" | "snapshots"))
            || matches!(name, "tests.rs" | "conftest.py")
            || name.starts_with("test_")
            || name.contains(".test.")
            || name.contains(".spec.")
    }
}

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencyKind {
    /// In what is shipped.
    Normal,
    /// In build scripts.
    Build,
    /// In tests only.
    Dev,
}

/// A line in a crate's list of dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// When it is needed.
    pub kind: DependencyKind,
}

/// A crate of the workspace.
#[derive(Debug, Clone)]
pub struct Crate {
    /// The package's name.
    pub name: String,
    /// Its `Cargo.toml`, relative to the root.
    pub manifest: String,
    /// What it says it needs, of the workspace and of others.
    pub dependencies: Vec<Dependency>,
}

/// Everything that checks look at.
#[derive(Debug, Clone, Default)]
pub struct Repo {
    /// Text files, sorted by path.
    pub files: Vec<SourceFile>,
    /// Crates of the workspace.
    pub crates: Vec<Crate>,
    /// Paths of all files, text or not, relative to the root, sorted.
    pub paths: Vec<String>,
}

impl Repo {
    /// Reads the repository at `root`.
    ///
    /// # Errors
    /// When the tree cannot be walked, a text file cannot be read, or `cargo metadata` fails.
    pub fn read(root: &Path) -> Result<Self> {
        let mut repo = Self { crates: crates(root)?, ..Self::default() };
        let walk = ignore::WalkBuilder::new(root)
            .hidden(false)
            .require_git(false)
            .git_global(false)
            .sort_by_file_path(Ord::cmp)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        for entry in walk {
            let entry = entry.context("walking the repository")?;
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let path = relative(root, entry.path());
            if TEXT.iter().any(|ending| path.ends_with(ending)) && entry.metadata()?.len() <= LARGEST_TEXT_BYTES {
                // A file that is being written or was just removed by an editor is not worth a failure.
                let Ok(bytes) = fs::read(entry.path()) else { continue };
                let text = String::from_utf8_lossy(&bytes).into_owned();
                repo.files.push(SourceFile { path: path.clone(), text });
            }
            repo.paths.push(path);
        }
        Ok(repo)
    }

    /// A repository made of these files, for the checks' own tests.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files: Vec<SourceFile> =
            files.iter().map(|&(path, text)| SourceFile { path: path.to_owned(), text: text.to_owned() }).collect();
        Self { paths: files.iter().map(|file| file.path.clone()).collect(), files, crates: Vec::new() }
    }

    /// The text file at a path.
    pub fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// True when a file or a folder of this name exists.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self
                .paths
                .iter()
                .any(|known| known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

/// The folder that holds the workspace.
///
/// # Errors
/// When this crate was built in a place that no longer is a workspace.
pub fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    match here.parent() {
        Some(root) if root.join("Cargo.lock").exists() => Ok(root.to_owned()),
        _ => bail!("the workspace of {} is gone; run `cargo xtask` from a checkout", here.display()),
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Asks cargo, so that target-specific and renamed dependencies are seen as cargo sees them.
fn crates(root: &Path) -> Result<Vec<Crate>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root)
        .output()
        .context("starting cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    Ok(packages
        .iter()
        .map(|package| Crate {
            name: text(&package["name"]),
            manifest: relative(root, Path::new(&text(&package["manifest_path"]))),
            dependencies: package["dependencies"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|dependency| Dependency {
                    name: text(&dependency["name"]),
                    kind: match dependency["kind"].as_str() {
                        Some("dev") => DependencyKind::Dev,
                        Some("build") => DependencyKind::Build,
                        _ => DependencyKind::Normal,
                    },
                })
                .collect(),
        })
        .collect())
}
