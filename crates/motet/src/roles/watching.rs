//! `--watch`: a changed file rebuilds and replaces the services that it belongs to, and a changed definition is applied.
//!
//! The watcher only wakes; which services are meant is asked of the paths, and whether a build is needed is asked of the content by the supervisor.

use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use motet_kernel::{
    name::ServiceName,
    task::{Kind, TaskGroup},
};
use motet_model::system::System;
use notify::{RecursiveMode, Watcher as _};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::mpsc;

/// Editors write a file in several steps, and a branch switch writes many: what comes within this time is one change.
const QUIET: Duration = Duration::from_millis(150);
/// Changes that come faster than they are looked at; more are not lost, because a full queue means that a look is due anyway.
const QUEUE: usize = 1024;

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Files of the definition.
    pub(crate) definition: bool,
    /// Services with changed files.
    pub(crate) services: BTreeSet<ServiceName>,
}

/// Which paths belong to what.
struct Interest {
    definition: BTreeSet<PathBuf>,
    services: Vec<(ServiceName, PathBuf, GlobSet, Gitignore)>,
}

/// Watches the files of a definition until the group ends or the result is dropped. Each item is one burst of changes.
pub(crate) fn start(system: &System, files: &[PathBuf], group: &TaskGroup) -> notify::Result<mpsc::Receiver<Changed>> {
    let (woken, mut wake) = mpsc::channel::<PathBuf>(QUEUE);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        for path in event.into_iter().filter(|event| !event.kind.is_access()).flat_map(|event| event.paths) {
            let _ = woken.try_send(path);
        }
    })?;
    let interest = Interest::new(system, files);
    for dir in interest.places() {
        watcher.watch(&dir, RecursiveMode::Recursive)?;
    }
    let (changes, seen) = mpsc::channel(1);
    group.spawn_dropping(Kind::Periodic, "file watch", async move {
        let _watcher = watcher;
        while let Some(first) = wake.recv().await {
            let mut changed = Changed::default();
            interest.note(&first, &mut changed);
            while let Ok(Some(path)) = tokio::time::timeout(QUIET, wake.recv()).await {
                interest.note(&path, &mut changed);
            }
            if changed != Changed::default() && changes.send(changed).await.is_err() {
                return;
            }
        }
    });
    Ok(seen)
}

impl Interest {
    fn new(system: &System, files: &[PathBuf]) -> Self {
        let services = system.services.values().map(|service| {
            let inputs = service.build.as_ref().map(|build| build.inputs.as_slice()).unwrap_or_default();
            let globs = inputs.iter().chain(&service.watch).filter_map(|text| Glob::new(text).ok());
            let set = globs.fold(GlobSetBuilder::new(), |mut set, glob| {
                set.add(glob);
                set
            });
            let mut ignored = GitignoreBuilder::new(&service.path);
            ignored.add(service.path.join(".gitignore"));
            ignored.add(system.dir.join(".gitignore"));
            let set = set.build().unwrap_or_default();
            (service.name.clone(), service.path.clone(), set, ignored.build().unwrap_or_else(|_| Gitignore::empty()))
        });
        Self { definition: files.iter().cloned().collect(), services: services.collect() }
    }

    /// The folders to watch: none inside another.
    fn places(&self) -> Vec<PathBuf> {
        let definition = self.definition.iter().filter_map(|file| file.parent()).map(Path::to_path_buf);
        let all: BTreeSet<PathBuf> = self.services.iter().map(|(_, path, ..)| path.clone()).chain(definition).collect();
        all.iter().filter(|dir| !all.iter().any(|other| other != *dir && dir.starts_with(other))).cloned().collect()
    }

    fn note(&self, path: &Path, changed: &mut Changed) {
        changed.definition |= self.definition.contains(path);
        if path.components().any(|part| is_made_by_tools(part.as_os_str())) {
            return;
        }
        for (name, dir, globs, ignored) in &self.services {
            let Ok(inside) = path.strip_prefix(dir) else { continue };
            let wanted = globs.is_empty() || globs.is_match(inside);
            if wanted && !ignored.matched_path_or_any_parents(path, path.is_dir()).is_ignore() {
                changed.services.insert(name.clone());
            }
        }
    }
}

fn is_made_by_tools(part: &std::ffi::OsStr) -> bool {
    [".git", ".motet", "target", "node_modules", ".venv", "__pycache__"].iter().any(|name| part == *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_wakes_the_services_whose_globs_it_matches_and_files_made_by_tools_wake_nobody() {
        let glob = |text: &str| GlobSetBuilder::new().add(Glob::new(text).expect("glob")).build().expect("set");
        let interest = Interest {
            definition: BTreeSet::from(["/s/motet.yaml".into()]),
            services: vec![
                ("a".parse().expect("name"), "/s/a".into(), glob("src/**"), Gitignore::empty()),
                ("b".parse().expect("name"), "/s".into(), GlobSet::empty(), Gitignore::empty()),
            ],
        };
        let woken = |path: &str| {
            let mut changed = Changed::default();
            interest.note(Path::new(path), &mut changed);
            (changed.definition, changed.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        };
        assert_eq!(woken("/s/a/src/main.rs"), (false, "a,b".to_owned()));
        assert_eq!(woken("/s/a/README.md"), (false, "b".to_owned()));
        assert_eq!(woken("/s/motet.yaml"), (true, "b".to_owned()));
        assert_eq!(woken("/s/a/target/debug/x"), (false, String::new()));
    }
}
