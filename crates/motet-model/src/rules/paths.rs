//! Folders and files that the definition names have to exist.

use super::Subject;
use crate::{
    code,
    finding::Finding,
    source::files::Kind,
    spelling,
    system::{Command, Run, Service},
};
use std::path::Path;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (name, service) in &subject.system.services {
        let written = subject.tree.at(&["services", name.as_str(), "path"]).is_some();
        // What is pulled or runs elsewhere needs no folder.
        // And of a service that says nothing about how it runs, that is what is told.
        let says_nothing = Run::Process { command: Command::Argv(Vec::new()) };
        let is_process = matches!(service.run, Run::Process { .. }) && service.run != says_nothing;
        let needs_folder = written || service.build.is_some() || is_process;
        if needs_folder && !folder(subject, service, written, findings) {
            continue;
        }
        if let Some(contract) = &service.contract {
            file(subject, service, contract, findings);
        }
    }
}

fn folder(subject: &Subject<'_>, service: &Service, written: bool, findings: &mut Vec<Finding>) -> bool {
    let shown = show(subject, &service.path);
    let place = match subject.tree.at(&["services", service.name.as_str(), "path"]) {
        Some(node) => node.span,
        None => subject.place(&["services", service.name.as_str()]),
    };
    match subject.files.kind(&service.path) {
        Some(Kind::Folder) => return true,
        Some(Kind::File) => findings.push(
            Finding::error(code::MISSING_PATH, format!("`{shown}` is a file, and the path of a service is a folder"))
                .at(place, "not a folder")
                .help("write the folder that the file is in"),
        ),
        None if written => findings.push(
            Finding::error(code::MISSING_PATH, format!("the folder `{shown}` does not exist"))
                .at(place, "does not exist")
                .help(near(subject, &service.path).unwrap_or_else(|| {
                    "paths start at the folder of the file that they are written in; `path: .` is that folder itself".to_owned()
                })),
        ),
        None => findings.push(
            Finding::error(code::MISSING_PATH, format!("`{}` has no folder: `{shown}` does not exist", service.name))
                .at(place, format!("looked for in `{shown}`"))
                .help(format!(
                    "make the folder, or say where the service lives: `path: {}` (`path: .` is the folder of this file)",
                    near_name(subject, &service.path).unwrap_or_else(|| "…".to_owned())
                )),
        ),
    }
    false
}

fn file(subject: &Subject<'_>, service: &Service, path: &Path, findings: &mut Vec<Finding>) {
    let Some(node) = subject.tree.at(&["services", service.name.as_str(), "contract"]) else { return };
    let shown = show(subject, path);
    let (message, label) = match subject.files.kind(path) {
        Some(Kind::File) => return,
        Some(Kind::Folder) => (format!("`{shown}` is a folder, and a contract is a file"), "not a file"),
        None => (format!("the contract `{shown}` does not exist"), "does not exist"),
    };
    findings.push(
        Finding::error(code::MISSING_PATH, message).at(node.span, label).help(near(subject, path).unwrap_or_else(
            || format!("it is looked for in the service's folder, `{}`", show(subject, &service.path)),
        )),
    );
}

fn near(subject: &Subject<'_>, path: &Path) -> Option<String> {
    near_name(subject, path).map(|near| format!("did you mean `{near}`?"))
}

/// The existing path that was probably meant, relative to the definition: where the written one leaves what exists, the
/// name that is spelled like it.
fn near_name(subject: &Subject<'_>, path: &Path) -> Option<String> {
    let exists = path.ancestors().skip(1).find(|folder| subject.files.kind(folder) == Some(Kind::Folder))?;
    let mut rest = path.strip_prefix(exists).ok()?.components();
    let names = subject.files.names(exists);
    let near = spelling::nearest(rest.next()?.as_os_str().to_str()?, names.iter().map(String::as_str))?;
    let meant = exists.join(near).join(rest.as_path());
    subject.files.kind(&meant).map(|_| show(subject, &meant))
}

fn show(subject: &Subject<'_>, path: &Path) -> String {
    let relative = path.strip_prefix(&subject.system.dir).unwrap_or(path).display().to_string();
    if relative.is_empty() { ".".to_owned() } else { crate::keys::accept::shorten(&relative) }
}
