//! Nothing unfinished, nothing skipped, nothing private.
//!
//! A note to finish something later is read by nobody; a skipped test is a test that does not exist; a path into
//! somebody's home and a private registry's name work for one person only. This file names what it forbids, so it is
//! the one file that is not searched.

use std::sync::LazyLock;

use regex::Regex;

use crate::finding::Finding;
use crate::repo::{Repo, SourceFile};

/// Word boundaries and classes are ASCII: a document full of `…` would else be searched by the slowest of regex's engines.
struct Ban {
    pattern: &'static str,
    endings: &'static [&'static str],
    in_tests: bool,
    what: &'static str,
    way_out: &'static str,
}

const CODE: &[&str] = &[".rs", ".py", ".ts", ".tsx", ".js", ".mjs", ".sh", ".sql", ".ci/run"];

/// Every file: each name ends with nothing.
const EVERY: &[&str] = &[""];

const BANS: &[Ban] = &[
    Ban {
        pattern: r"(?-u:\b)(?:TODO|FIXME|XXX|HACK)(?-u:\b)",
        endings: CODE,
        in_tests: true,
        what: "An unfinished place.",
        way_out: "finish it, or take the note out and write it where work is planned.",
    },
    Ban {
        pattern: r"(?m)^\s*#\[ignore",
        endings: &[".rs"],
        in_tests: true,
        what: "An ignored test.",
        way_out: "make it run (the test command installs real servers), or remove it.",
    },
    Ban {
        pattern: r"(?-u:\b)(?:it|test|describe|suite)\.(?:skip|only|todo)\(",
        endings: &[".ts", ".tsx", ".js", ".mjs"],
        in_tests: true,
        what: "A skipped or exclusive test.",
        way_out: "make it run, or remove it.",
    },
    Ban {
        pattern: r"(?-u:\b)pytest\.(?:mark\.(?:skip|skipif|xfail)|skip|importorskip|xfail)(?-u:\b)|@unittest\.skip",
        endings: &[".py"],
        in_tests: true,
        what: "A skipped test.",
        way_out: "make it run (the test command installs what it needs), or remove it.",
    },
    Ban {
        pattern: r#"(?m)(?:^|[ \t"'`(=:])/(?:home|Users|root|work|tmp|farm)/[A-Za-z0-9_.-]+"#,
        endings: EVERY,
        in_tests: false,
        what: "A path that exists on one machine only.",
        way_out: "use a path relative to the repository; in tests a temporary folder; in documents `~` or `…`.",
    },
    Ban {
        pattern: r"(?i-u:\b(?:claude|copilot|(?:agent|assistant|coding) session|sub-?agent)\b)",
        endings: EVERY,
        in_tests: true,
        what: "A word about how the text was made.",
        way_out: "say what the code does and why; who typed it is git's business.",
    },
    Ban {
        pattern: r"--(?:extra-)?index-url|--find-links|--registry[ =]http",
        endings: EVERY,
        in_tests: true,
        what: "A package registry of its own.",
        way_out: "use the package managers' defaults; a mirror belongs into the user's own configuration.",
    },
    Ban {
        pattern: r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
        endings: EVERY,
        in_tests: true,
        what: "A private key.",
        way_out: "take it out of the repository and make it anew where it is used; generate keys in tests.",
    },
];

/// Lock files name where packages come from: these places and no other.
const LOCKS: &[(&str, &str, &[&str])] = &[
    ("Cargo.lock", "source = \"", &["registry+https://github.com/rust-lang/crates.io-index"]),
    ("package-lock.json", "\"resolved\": \"", &["https://registry.npmjs.org/"]),
    ("uv.lock", "registry = \"", &["https://pypi.org/simple"]),
];

/// Places where a banned word is right: beginning of the path, the word in the line, and why.
const EXEMPT: &[(&str, &str, &str)] = &[("xtask/src/tidy/words.rs", "", "this file names what it forbids")];

#[expect(clippy::expect_used, reason = "literal patterns, compiled by every run of the tests")]
static PATTERNS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| BANS.iter().map(|ban| Regex::new(ban.pattern).expect("a valid pattern")).collect());

/// Searches every text file.
pub fn check(repo: &Repo) -> Vec<Finding> {
    repo.files.iter().flat_map(|file| [words(file), lock(file)]).flatten().collect()
}

fn words(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.path.ends_with(".lock") || file.path.ends_with("package-lock.json") {
        return findings;
    }
    for (ban, pattern) in BANS.iter().zip(PATTERNS.iter()) {
        if !ban.endings.iter().any(|ending| file.path.ends_with(ending)) || file.is_test() && !ban.in_tests {
            continue;
        }
        let end = if ban.in_tests { usize::MAX } else { file.first_test_line() };
        for found in pattern.find_iter(&file.text) {
            // The match may begin with the end of the line before.
            let at = found.start() + (found.as_str().len() - found.as_str().trim_start().len());
            let number = file.text[..at].matches('\n').count() + 1;
            let line = file.text.lines().nth(number - 1).unwrap_or_default();
            let exempt = EXEMPT.iter().any(|(path, word, _)| file.path.starts_with(path) && line.contains(word));
            if number < end && !exempt {
                let what = format!("{} (`{}`)", ban.what, found.as_str().trim());
                findings.push(Finding::error(&file.path, number, what, ban.way_out));
            }
        }
    }
    findings
}

fn lock(file: &SourceFile) -> Vec<Finding> {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let Some((_, key, places)) = LOCKS.iter().find(|(lock, ..)| *lock == name) else { return Vec::new() };
    let foreign = |line: &str| {
        let source = line.split_once(key)?.1;
        let source = source.split('"').next().unwrap_or(source);
        (!places.iter().any(|place| source.starts_with(place))).then(|| source.to_owned())
    };
    file.lines()
        .filter_map(|(number, line)| Some((number, foreign(line)?)))
        .map(|(number, source)| {
            Finding::error(
                &file.path,
                number,
                format!("The lock file takes a package from {source}."),
                "resolve it against the public registry, so that everybody gets the same.",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<usize> {
        check(&Repo::of(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unfinished_and_skipped_places_are_found_with_their_lines() {
        assert_eq!(places("crates/a/src/x.rs", "fine\n// TODO later\n"), [2]);
        assert_eq!(places("crates/a/src/x.rs", "fine\n    #[ignore = \"slow\"]\n"), [2]);
        assert_eq!(places("web/x.test.ts", "it.skip('x', () => {})\n"), [1]);
        assert_eq!(places("a/test_x.py", "@pytest.mark.skip\n"), [1]);
    }

    #[test]
    fn an_iterator_may_skip() {
        assert!(places("crates/a/src/x.rs", "let rest = words.skip(1);\n").is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(places("docs/x.md", "see `/home/ada/motet`\n"), [1]);
        assert!(places("crates/a/tests/x.rs", "\"/home/ada\"\n").is_empty(), "tests may invent somebody's home");
        assert!(places("docs/x.md", "see `/homes/ada`, /api/tmp/x and docs/tmp/x\n").is_empty());
    }

    #[test]
    fn a_lock_file_names_the_public_registry_only() {
        let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert!(places("Cargo.lock", good).is_empty());
        assert_eq!(places("Cargo.lock", "source = \"registry+https://mirror.example/index\"\n"), [1]);
        assert_eq!(places("web/package-lock.json", "  \"resolved\": \"https://mirror.example/x.tgz\",\n"), [1]);
    }
}
