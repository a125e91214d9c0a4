//! `motet new system NAME`: a small system that runs at once, with two services that need nothing but Python's standard library.

use crate::{
    cli::{Global, New, NewCommand},
    exit::{Exit, Failure},
    terminal,
};
use anyhow::{Context as _, Result};
use motet_kernel::name::SystemName;
use std::{fs, path::Path};

const FILES: [(&str, &str); 6] = [
    ("motet.yaml", include_str!("../../templates/system/motet.yaml")),
    ("services/hello/hello.py", include_str!("../../templates/system/services/hello/hello.py")),
    ("services/hello/openapi.yaml", include_str!("../../templates/system/services/hello/openapi.yaml")),
    ("services/words/words.py", include_str!("../../templates/system/services/words/words.py")),
    ("services/words/openapi.yaml", include_str!("../../templates/system/services/words/openapi.yaml")),
    (".gitignore", ".motet/\n"),
];

pub(crate) fn run(_global: &Global, arguments: &New) -> Result<Exit> {
    let NewCommand::System { name } = &arguments.command;
    let name: SystemName = name.parse().map_err(|error: motet_kernel::name::InvalidName| {
        let hint = error.suggestion.as_ref().map(|near| format!(" How about `{near}`?")).unwrap_or_default();
        Failure::new(Exit::Usage, format!("{error}.{hint}"))
    })?;
    let dir = Path::new(name.as_str());
    if dir.exists() {
        return Err(Failure::new(Exit::Failed, format!("There is already something called {name} here.")).into());
    }
    for (path, content) in FILES {
        let file = dir.join(path);
        fs::create_dir_all(file.parent().context("files are in a folder")?)?;
        fs::write(&file, content.replace("SYSTEM", name.as_str()))
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    terminal::note(format_args!(
        "{name} has two services that call each other. Start it:\n\n  cd {name}\n  motet up\n"
    ));
    Ok(Exit::Done)
}
