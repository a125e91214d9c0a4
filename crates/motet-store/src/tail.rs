//! Torn or damaged? The newest journal, looked at before the engine opens it.
//!
//! A crash may leave the last batch half-written: nobody was told that it was there, so it is cut off. Damage in the middle looks the same
//! at its first bad byte, and the engine would cut off there too, acknowledged batches and all, or refuse to open for what is only a torn
//! tail. The difference is what follows: after a torn batch comes no whole one. So this file reads the journal as the engine writes it
//! (fjall 3: start, items, end with an XXH3 of the items and a trailer) and decides by that.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";
/// Tag, type, compression, keyspace, lengths of key, value, value on disk.
const ITEM_HEAD: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;
/// A batch that follows another has a sequence number not much higher.
const SEQUENCE_AHEAD: u64 = 100_000_000;
const ITEMS_MAX: u32 = 50_000_000;

/// What was found at the end of the newest journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing but zeros or the end of the file follows the last batch.
    Whole,
    /// So many bytes of a half-written batch were cut off.
    Cut { bytes: u64 },
    /// A batch is bad, and a good one follows it.
    Damaged { at: u64 },
}

/// Looks at the newest journal in `directory` and cuts off a torn tail.
pub(crate) fn mend(directory: &Path) -> io::Result<(Option<PathBuf>, Tail)> {
    let Some(path) = newest_journal(directory)? else { return Ok((None, Tail::Whole)) };
    let file = File::open(&path)?;
    let mut reader = BufReader::with_capacity(256 * 1024, &file);
    let (mut good_end, mut last_sequence) = (0_u64, None);
    while let Some((length, sequence)) = read_batch(&mut reader)? {
        good_end += length;
        last_sequence = Some(sequence);
    }
    drop(reader);
    let mut rest = Vec::new();
    let mut file = file;
    file.seek(SeekFrom::Start(good_end))?;
    file.read_to_end(&mut rest)?;
    let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Ok((Some(path), Tail::Whole)) };
    rest.truncate(last + 1);
    if whole_batch_follows(&rest, last_sequence) {
        return Ok((Some(path), Tail::Damaged { at: good_end }));
    }
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(good_end)?;
    file.sync_all()?;
    Ok((Some(path), Tail::Cut { bytes: rest.len() as u64 }))
}

fn newest_journal(directory: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse().ok());
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(other, _)| *other < number)
        {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

fn whole_batch_follows(rest: &[u8], last_sequence: Option<u64>) -> bool {
    let plausible = |at: usize| -> Option<bool> {
        let head = rest.get(at..at + 13)?;
        let items = u32::from_le_bytes(head[1..5].try_into().ok()?);
        let sequence = u64::from_le_bytes(head[5..13].try_into().ok()?);
        let ahead = match last_sequence {
            Some(last) => sequence > last && sequence - last < SEQUENCE_AHEAD,
            None => sequence < 1 << 48,
        };
        Some(items > 0 && items < ITEMS_MAX && ahead)
    };
    let candidates = rest.iter().enumerate().skip(1).filter(|(_, byte)| **byte == START).map(|(at, _)| at);
    candidates.filter(|at| plausible(*at) == Some(true)).any(|at| matches!(read_batch(&mut &rest[at..]), Ok(Some(_))))
}

/// Reads one whole batch: its length in bytes and its sequence number. `None` if what comes is not one.
fn read_batch(reader: &mut impl Read) -> io::Result<Option<(u64, u64)>> {
    match try_batch(reader) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        other => other,
    }
}

fn try_batch(reader: &mut impl Read) -> io::Result<Option<(u64, u64)>> {
    let mut start = [0; 13];
    reader.read_exact(&mut start)?;
    let items = u32::from_le_bytes([start[1], start[2], start[3], start[4]]);
    if start[0] != START || items == 0 || items > ITEMS_MAX {
        return Ok(None);
    }
    let sequence = u64::from_le_bytes(start[5..].try_into().unwrap_or_default());
    let mut length = start.len() as u64;
    let mut sum = Xxh3::new();
    let mut buffer = Vec::new();
    for _ in 0..items {
        let Some(bytes) = read_item(reader, &mut buffer)? else { return Ok(None) };
        sum.update(&buffer);
        length += bytes;
    }
    let mut end = [0; 13];
    reader.read_exact(&mut end)?;
    let good = end[0] == END && end[1..9] == sum.digest().to_le_bytes() && &end[9..] == TRAILER;
    Ok(good.then_some((length + end.len() as u64, sequence)))
}

fn read_item(reader: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<u64>> {
    buffer.clear();
    let mut head = [0; ITEM_HEAD];
    reader.read_exact(&mut head[..1])?;
    match head[0] {
        CLEAR => {
            reader.read_exact(&mut head[1..9])?;
            buffer.extend_from_slice(&head[..9]);
        }
        ITEM => {
            reader.read_exact(&mut head[1..])?;
            buffer.extend_from_slice(&head);
            let key = u64::from(u16::from_le_bytes([head[11], head[12]]));
            let value = u64::from(u32::from_le_bytes([head[17], head[18], head[19], head[20]]));
            // `take` and not a buffer of the stated size: what a damaged length says may not be there.
            if reader.take(key + value).read_to_end(buffer)? as u64 != key + value {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(buffer.len() as u64))
}
