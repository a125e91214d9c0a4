//! The commands that documents tell people to type.
//!
//! A fenced block tagged `console` holds what a person would see: lines that begin with `$ ` are typed, the others are
//! the answer. Collected here, so that they can be listed and run: a command in a document that does not work is a
//! broken promise to whoever reads it first.

use crate::repo::{Repo, SourceFile};

/// A command and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The document.
    pub path: String,
    /// The line of its `$ `, counted from 1.
    pub line: usize,
    /// What is typed, continuation lines joined.
    pub text: String,
}

/// All commands of all documents, in order.
pub fn collect(repo: &Repo) -> Vec<Command> {
    let documents = repo.files.iter().filter(|file| file.path.ends_with(".md") && !file.path.contains("/corpus/"));
    documents.flat_map(commands).collect()
}

fn commands(file: &SourceFile) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    let mut inside = false;
    let mut continues = false;
    for (number, line) in file.lines() {
        let line = line.trim_start();
        if let Some(tag) = line.strip_prefix("```") {
            inside = tag.trim() == "console";
            continues = false;
            continue;
        }
        let Some(typed) = line.strip_prefix("$ ").or(continues.then_some(line)).filter(|_| inside) else { continue };
        let (text, more) = match typed.trim_end().strip_suffix('\\') {
            Some(text) => (text.trim_end(), true),
            None => (typed.trim_end(), false),
        };
        match found.last_mut().filter(|_| continues) {
            Some(command) => command.text = format!("{} {text}", command.text),
            None => found.push(Command { path: file.path.clone(), line: number, text: text.to_owned() }),
        }
        continues = more;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        collect(&Repo::of(&[("README.md", text)])).into_iter().map(|command| (command.line, command.text)).collect()
    }

    #[test]
    fn typed_lines_of_console_blocks_are_collected_without_their_answers() {
        let found = texts("```console\n$ motet ps\nNAME  STATE\n```\n```sh\n$ not this\n```\n$ nor this\n");
        assert_eq!(found, [(2, "motet ps".to_owned())]);
    }

    #[test]
    fn a_command_over_several_lines_is_one() {
        let found = texts("```console\n$ curl -s \\\n    localhost\nanswer\n$ motet ps\n```\n");
        assert_eq!(found, [(2, "curl -s localhost".to_owned()), (5, "motet ps".to_owned())]);
    }
}
