//! Log files: `<dir>/<service>/current.log`, and `1.log` (younger) to `n.log` (older) beside it.
//!
//! One thread writes for all services, so that a slow disk blocks this thread and no other. A line in the file is
//! `<time> <label> <stream letter> <text>`: readable with `tail`, and readable back.

use super::{LogLine, Stream};
use crate::spec::LogPolicy;
use motet_kernel::name::ServiceName;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};

/// The most that is read to find the last lines, in bytes.
const READ_MAX: u64 = 8 << 20;

#[derive(Debug)]
pub(super) enum Message {
    Batch(Batch),
    /// Answered when everything before it is written.
    Barrier(oneshot::Sender<()>),
}

/// Lines of one service, ready to be written.
#[derive(Debug)]
pub(super) struct Batch {
    service: ServiceName,
    policy: LogPolicy,
    bytes: Vec<u8>,
}

impl Batch {
    pub(super) fn of(service: &ServiceName, policy: LogPolicy, lines: &[Arc<LogLine>]) -> Self {
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 64).sum());
        for line in lines {
            let letter = match line.stream {
                Stream::Out => 'o',
                Stream::Err => 'e',
                Stream::Build => 'b',
                Stream::Motet => 'm',
            };
            let (at, label) = (line.at, &line.label);
            // Writing into memory cannot fail; a note of several lines becomes one.
            let _ = writeln!(bytes, "{at} {label} {letter} {}", line.text.replace('\n', " "));
        }
        Self { service: service.clone(), policy, bytes }
    }
}

/// Writes until nobody can send any more.
pub(super) fn write_all(root: &Path, mut messages: mpsc::Receiver<Message>) {
    let mut files: HashMap<ServiceName, Current> = HashMap::new();
    let mut is_failing = false;
    while let Some(message) = messages.blocking_recv() {
        match message {
            Message::Barrier(written) => drop(written.send(())),
            Message::Batch(batch) => {
                let result = write_batch(root, &mut files, &batch);
                if let Err(error) = &result {
                    files.remove(&batch.service);
                    if !is_failing {
                        tracing::warn!(service = %batch.service, %error, "log lines cannot be written and are lost");
                    }
                }
                is_failing = result.is_err();
            }
        }
    }
}

#[derive(Debug)]
struct Current {
    dir: PathBuf,
    file: File,
    size: u64,
}

fn write_batch(root: &Path, files: &mut HashMap<ServiceName, Current>, batch: &Batch) -> io::Result<()> {
    if !files.contains_key(&batch.service) {
        files.insert(batch.service.clone(), Current::open(root.join(batch.service.as_str()))?);
    }
    let Some(current) = files.get_mut(&batch.service) else { return Ok(()) };
    if current.size > 0 && current.size + batch.bytes.len() as u64 > batch.policy.file_max {
        current.rotate(batch.policy.files_kept)?;
    }
    current.file.write_all(&batch.bytes)?;
    current.size += batch.bytes.len() as u64;
    Ok(())
}

impl Current {
    fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let file = File::options().create(true).append(true).open(dir.join("current.log"))?;
        let size = file.metadata()?.len();
        Ok(Self { dir, file, size })
    }

    fn rotate(&mut self, kept: u32) -> io::Result<()> {
        let full = |number: u32| self.dir.join(format!("{number}.log"));
        let rename = |from: PathBuf, to: PathBuf| match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        for number in (1..kept).rev() {
            rename(full(number), full(number + 1))?;
        }
        if kept > 0 {
            rename(self.dir.join("current.log"), full(1))?;
        } else {
            fs::remove_file(self.dir.join("current.log"))?;
        }
        *self = Self::open(std::mem::take(&mut self.dir))?;
        Ok(())
    }
}

/// The last `count` lines, oldest first.
pub(super) fn read_last(dir: &Path, service: &ServiceName, count: usize) -> io::Result<Vec<LogLine>> {
    let mut lines: Vec<LogLine> = Vec::new();
    let mut budget = READ_MAX;
    for number in 0.. {
        let name = if number == 0 { "current.log".to_owned() } else { format!("{number}.log") };
        let text = match read_end(&dir.join(name), budget) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        budget -= text.len() as u64;
        let text = String::from_utf8_lossy(&text);
        let missing = count - lines.len();
        lines.extend(text.lines().rev().filter_map(|line| parse(line, service)).take(missing));
        if lines.len() == count || budget == 0 {
            break;
        }
    }
    lines.reverse();
    Ok(lines)
}

fn read_end(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(most)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// A line of the file; none when it was cut by a crash or by the reading limit.
fn parse(line: &str, service: &ServiceName) -> Option<LogLine> {
    let mut parts = line.splitn(4, ' ');
    let at = parts.next()?.parse().ok()?;
    let label = parts.next()?.into();
    let stream = match parts.next()? {
        "o" => Stream::Out,
        "e" => Stream::Err,
        "b" => Stream::Build,
        "m" => Stream::Motet,
        _ => return None,
    };
    Some(LogLine { at, service: service.clone(), label, stream, text: parts.next().unwrap_or_default().to_owned() })
}
