//! The file of a backup: the statements that make the content again, between a first line that says what it is and a last one with a digest
//! of all between them, so that a file that was cut off or changed is known before anything is done with it.
//!
//! Views, triggers and routines name the user who made them. In a backup they name nobody, and so belong to whoever restores it: a backup of
//! one store fills another.

use blake3::Hasher;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

/// The first line.
pub(super) const HEAD: &[u8] = b"-- motet backup 1 mysql\n";
/// What the last line begins with.
const TAIL: &str = "-- motet whole ";
/// How long the last line is: the beginning, a digest, the end of the line.
const TAIL_LENGTH: u64 = TAIL.len() as u64 + 64 + 1;
/// How much of a line is looked at: far more than a line that begins an object has.
const LINE_MAX: usize = 1 << 20;

/// The last line of a file.
pub(super) fn tail(hasher: &Hasher) -> String {
    format!("{TAIL}{}\n", hasher.finalize().to_hex())
}

/// Whether a file is whole: why not.
pub(super) fn check(file: &mut File) -> io::Result<Result<(), &'static str>> {
    let mut head = Vec::with_capacity(HEAD.len());
    file.by_ref().take(HEAD.len() as u64).read_to_end(&mut head)?;
    if head != HEAD {
        return Ok(Err("it does not begin like a backup of a MySQL store"));
    }
    let length = file.metadata()?.len();
    let Some(body) = length.checked_sub(HEAD.len() as u64 + TAIL_LENGTH) else {
        return Ok(Err("it was cut off"));
    };
    let mut hasher = Hasher::new();
    io::copy(&mut file.by_ref().take(body), &mut hasher)?;
    let mut end = String::new();
    match file.read_to_string(&mut end) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Err("it was cut off")),
        Err(error) => return Err(error),
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(match end {
        end if !end.starts_with(TAIL) => Err("it was cut off"),
        end if end != tail(&hasher) => Err("it was changed since it was written"),
        _ => Ok(()),
    })
}

/// Takes the names of users out of a stream of statements. Data is on lines that begin otherwise, and passes as it is.
#[derive(Debug)]
pub(super) struct Nameless {
    held: Vec<u8>,
    /// Whether the rest of a line passes unseen.
    passing: bool,
}

impl Nameless {
    pub(super) fn new() -> Self {
        Self { held: Vec::new(), passing: false }
    }

    /// What of the stream can go on, in `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if self.passing {
                out.extend_from_slice(piece);
                self.passing = !ends;
                continue;
            }
            self.held.extend_from_slice(piece);
            if ends {
                out.extend(without_definer(&self.held));
                self.held.clear();
            } else if !may_name(&self.held) || self.held.len() > LINE_MAX {
                out.append(&mut self.held);
                self.passing = true;
            }
        }
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend(without_definer(&self.held));
        self.held.clear();
    }
}

/// How lines begin that may name a definer.
const NAMING: [&[u8]; 2] = [b"/*!", b"CREATE DEFINER="];

/// Whether a line of which this is known may be one that names a definer.
fn may_name(line: &[u8]) -> bool {
    NAMING.iter().any(|begin| line.starts_with(begin) || begin.starts_with(line))
}

/// A line without its `` DEFINER=`user`@`host` ``.
fn without_definer(line: &[u8]) -> Vec<u8> {
    const WORD: &[u8] = b"DEFINER=`";
    let at = line.windows(WORD.len()).position(|window| window == WORD).filter(|_| may_name(line));
    let end = at.and_then(|at| {
        let user = quoted(&line[at + WORD.len() - 1..])?;
        let host = at + WORD.len() - 1 + user;
        let quoted = line[host..].strip_prefix(b"@").and_then(quoted)?;
        Some(host + 1 + quoted)
    });
    match (at, end) {
        (Some(at), Some(end)) => {
            let rest = line[end..].strip_prefix(b" ").unwrap_or(&line[end..]);
            [&line[..at], rest].concat()
        }
        _ => line.to_owned(),
    }
}

/// How long the name in backticks is that this begins with.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    text.first().filter(|first| **first == b'`')?;
    loop {
        at += text.get(at..)?.iter().position(|byte| *byte == b'`')? + 1;
        match text.get(at) {
            Some(b'`') => at += 1,
            _ => return Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn through(text: &str, piece: usize) -> String {
        let (mut nameless, mut out) = (Nameless::new(), Vec::new());
        text.as_bytes().chunks(piece).for_each(|piece| nameless.push(piece, &mut out));
        nameless.finish(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn who_made_an_object_is_left_out_and_data_stays_as_it_is() {
        let dump = "CREATE DEFINER=`a_b`@`%` PROCEDURE `p`()\nINSERT INTO `t` VALUES ('/*!50017 DEFINER=`a`@`%` x');\n\
                    /*!50013 DEFINER=`od``d`@`10.0.0.1` SQL SECURITY DEFINER */\n/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER `x` */;;\n\
                    DEFINER=`plain`@`text`\n/*!no end DEFINER=`a";
        let wanted = "CREATE PROCEDURE `p`()\nINSERT INTO `t` VALUES ('/*!50017 DEFINER=`a`@`%` x');\n\
                      /*!50013 SQL SECURITY DEFINER */\n/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER `x` */;;\n\
                      DEFINER=`plain`@`text`\n/*!no end DEFINER=`a";
        for piece in [1, 2, 7, 64, 4096] {
            assert_eq!(through(dump, piece), wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_file_that_was_cut_off_or_changed_is_known() {
        let body = b"CREATE TABLE t (n INT);\n";
        let whole = [HEAD, body, tail(Hasher::new().update(body)).as_bytes()].concat();
        let say = |content: &[u8]| {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(content).expect("written");
            file.seek(SeekFrom::Start(0)).expect("at its begin");
            check(&mut file).expect("readable")
        };
        assert_eq!(say(&whole), Ok(()));
        for length in 0..whole.len() {
            assert!(say(&whole[..length]).is_err(), "{length} bytes of it");
        }
        let mut changed = whole;
        changed[HEAD.len() + 3] ^= 1;
        assert_eq!(say(&changed), Err("it was changed since it was written"));
    }
}
