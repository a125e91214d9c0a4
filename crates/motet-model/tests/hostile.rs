//! Input that nobody meant: the answer is a message, never a panic, and never a wait.

use super::support::{FULL, options};
use motet_model::{Style, load::check_in, source::files::Memory};
use proptest::prelude::*;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Reads and renders; gives the codes of what is wrong.
fn survive(bytes: &[u8]) -> Vec<&'static str> {
    let start = Instant::now();
    let problems = check_in(&Memory::bundle(bytes), &options(&["production"], &[("A", "1")]));
    let rendered = problems.render(Style::PLAIN);
    assert_eq!(rendered.is_empty(), problems.is_empty());
    assert!(problems.to_json().is_array());
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "took {:?}: {}",
        start.elapsed(),
        String::from_utf8_lossy(bytes)
    );
    problems.findings().iter().map(|finding| finding.code.0).collect()
}

#[test]
fn what_is_too_much_is_refused_before_it_is_built() {
    let large = format!("motet: 1\nabout: {}\n", "x".repeat(1 << 20));
    assert_eq!(survive(large.as_bytes()), ["MO-model-131"]);
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        let deep = format!("motet: {}1{}\n", open.repeat(10_000), close.repeat(10_000));
        assert!(!survive(deep.as_bytes()).is_empty());
    }
    let indented: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(survive(indented.as_bytes()).contains(&"MO-model-131"));
    // Each alias wraps the one before, so that the tree grows deep without deep text.
    let chain: String = (1..5000).map(|n| format!("x-{n}: &a{n} [*a{}]\n", n - 1)).collect();
    assert_eq!(survive(format!("x-0: &a0 [1]\n{chain}").as_bytes()), ["MO-model-131"]);
    assert_eq!(survive(b"motet: 1\nservices: &s { a: *s }\n").len(), 1);
}

#[test]
fn odd_encodings_are_read_or_refused_with_a_place() {
    let plain = "motet: 1\nsystem: s\nservices: {}\n";
    assert_eq!(survive(format!("\u{feff}{plain}").as_bytes()), ["MO-model-107"]);
    assert_eq!(survive(plain.replace('\n', "\r\n").as_bytes()), ["MO-model-107"]);
    assert_eq!(survive(b"motet: 1\nsystem: \xff\xfe\n"), ["MO-model-132"]);
    assert_eq!(survive(b"motet: 1\nsystem: \0\n").len(), 1);
    for nothing in ["", "\n", "# comment", "---", "~", "null"] {
        assert_eq!(survive(nothing.as_bytes()), ["MO-model-130"], "{nothing:?}");
    }
    for not_a_map in ["text", "[1, 2]", "12"] {
        assert_eq!(survive(not_a_map.as_bytes()), ["MO-model-104"], "{not_a_map:?}");
    }
}

#[test]
fn many_names_take_no_longer_than_their_number() {
    let mut text = "motet: 1\nsystem: s\nservices:\n".to_owned();
    for n in 0..9_000 {
        text.push_str(&format!(
            "  s{n}:\n    process: {{command: x}}\n    uses: {{s{}: {{}}, t{n}: {{}}}}\n",
            (n + 1) % 9_000
        ));
    }
    assert!(survive(text.as_bytes()).contains(&"MO-model-121"));
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut seeds: Vec<_> = fs::read_dir(folder)
        .expect("readable")
        .map(|entry| fs::read(entry.expect("readable").path()).expect("readable"))
        .collect();
    seeds.sort();
    seeds.push(FULL.as_bytes().to_vec());
    seeds
}

/// The bounded run of the fuzzer: the same seeds, mutated by a generator whose start is fixed.
#[test]
fn five_thousand_mutations_of_the_seeds_never_panic() {
    let seeds = seeds();
    assert!(seeds.len() > 10);
    let mut random = fastrand::Rng::with_seed(0x6d6f_7465_7401);
    for round in 0..5_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random.usize(1..6) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        survive(&bytes);
    }
}

const TOKENS: &[&str] = &[
    ": ",
    "\n",
    "\n  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "\"",
    "'",
    "|\n",
    "> \n",
    "? ",
    "# ",
    "\t",
    "${",
    "}",
    "${A:-",
    "$$",
    "---\n",
    "null",
    "~",
    "é",
    "\u{feff}",
    "\r\n",
    "0",
    "-1",
    "99999999999999999999",
    "1e999",
    "true",
    "services:",
    "uses:",
    "include: ",
    "profiles:",
    "%%% a.yaml\n",
    "%%% .env\n",
    "..",
    "/",
    "*",
    "(",
    "\\",
];

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(0..=bytes.len());
    let end = (at + random.usize(0..40)).min(bytes.len());
    match random.u8(0..7) {
        0 => drop(bytes.drain(at..end)),
        1 => drop(bytes.splice(at..at, TOKENS[random.usize(0..TOKENS.len())].bytes())),
        2 => drop(bytes.splice(at..end, TOKENS[random.usize(0..TOKENS.len())].bytes())),
        3 => {
            let piece = bytes[at..end].to_vec();
            let to = random.usize(0..=bytes.len());
            drop(bytes.splice(to..to, piece));
        }
        4 => {
            let other = &seeds[random.usize(0..seeds.len())];
            let from = random.usize(0..=other.len());
            let piece = other[from..(from + 60).min(other.len())].to_vec();
            drop(bytes.splice(at..end, piece));
        }
        5 if at < bytes.len() => bytes[at] = random.u8(..),
        _ if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
        _ => bytes.push(random.u8(..)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survive(&bytes);
    }

    #[test]
    fn any_text_in_any_value_is_answered(text in "\\PC{0,60}", key in "(about|path|build|port|contract|restart|scale|env|ready|uses|watch|after|store|include)") {
        let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        survive(format!("motet: 1\nsystem: s\nservices:\n  a:\n    {key}: {text}\n  {quoted}:\n    {key}: {quoted}\n    process: {{ command: {quoted} }}\n").as_bytes());
    }
}
