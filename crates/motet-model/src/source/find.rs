//! Finds the definition: in the given folder or in one above, as git and cargo find theirs.

use super::files::{Files, Kind};
use crate::{code, finding::Finding};
use std::path::{Path, PathBuf};

const NAMES: [&str; 2] = ["motet.yaml", "motet.yml"];
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The definition that a folder belongs to.
pub(crate) fn find(files: &dyn Files, start: &Path) -> Result<PathBuf, Box<Finding>> {
    let mut compose = None;
    for folder in start.ancestors() {
        if let Some(file) = NAMES.iter().map(|name| folder.join(name)).find(|file| is_file(files, file)) {
            return Ok(file);
        }
        compose = compose.or_else(|| COMPOSE.iter().map(|name| folder.join(name)).find(|file| is_file(files, file)));
    }
    let finding = Finding::error(
        code::NO_DEFINITION,
        format!("there is no motet.yaml in {} or in a folder above it", start.display()),
    );
    Err(Box::new(finding.help(match compose {
        Some(file) => format!(
            "there is a {}, and Motet reads its own file: `motet new system` writes one; a Compose service becomes `container: {{ image: … }}` or `process: {{ command: … }}`",
            file.display()
        ),
        None => "go to the system's folder, name the file with `--file`, or write one with `motet new system`".to_owned(),
    })))
}

/// The file that was named, or the definition of the folder that was named.
pub(crate) fn named(files: &dyn Files, path: &Path) -> Result<PathBuf, Box<Finding>> {
    match files.kind(path) {
        Some(Kind::File) => Ok(path.to_owned()),
        Some(Kind::Folder) => match NAMES.iter().map(|name| path.join(name)).find(|file| is_file(files, file)) {
            Some(file) => Ok(file),
            None => find(files, path),
        },
        None => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let names = files.names(folder);
            let written = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let near = crate::spelling::nearest(written, names.iter().map(String::as_str));
            let help = match near {
                Some(near) => format!("did you mean `{}`?", folder.join(near).display()),
                None => {
                    "look at the path, or leave it out: motet.yaml is looked for in this folder and above".to_owned()
                }
            };
            Err(Box::new(Finding::error(code::NO_DEFINITION, format!("{} does not exist", path.display())).help(help)))
        }
    }
}

fn is_file(files: &dyn Files, path: &Path) -> bool {
    files.kind(path) == Some(Kind::File)
}
