//! Programs that engines run: found on `PATH` before they are started, so that a missing one is an error that names the
//! package to install and not the operating system's "no such file".

use crate::error::ToolMissing;
use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A program and the Debian package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The name of the executable file.
    pub program: &'static str,
    /// The Debian and Ubuntu package that has it.
    pub package: &'static str,
}

impl Tool {
    /// The first executable file of that name in the directories of `path` (the value of `PATH`).
    pub fn find(self, path: Option<&OsStr>) -> Result<PathBuf, ToolMissing> {
        path.into_iter()
            .flat_map(std::env::split_paths)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(self.program))
            .find(|candidate| is_executable(candidate))
            .ok_or(ToolMissing { tool: self })
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_an_error_that_names_its_package() {
        let directory = tempfile::tempdir().expect("directory");
        let tool = Tool { program: "pg_dump", package: "postgresql-client" };
        let error = tool.find(Some(directory.path().as_os_str())).expect_err("nothing there");
        assert!(error.to_string().contains("pg_dump"), "{error}");
        std::fs::write(directory.path().join("pg_dump"), "not executable").expect("write");
        assert!(
            tool.find(Some(directory.path().as_os_str())).is_err(),
            "a file without the right to run is not a program"
        );
        assert!(tool.find(None).is_err());
    }
}
