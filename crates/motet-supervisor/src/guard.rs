//! The guard: a tiny process beside the supervisor, which ends everything when the supervisor dies, even by SIGKILL.
//!
//! It holds the reading end of a pipe of which only the supervisor holds the writing end. Whatever happens to the supervisor, the kernel
//! closes that end, and the guard reads the end of the file. No signal, no polling and no cooperation of services is needed. (Linux'
//! parent-death signal would need `unsafe`, is lost on exec of set-uid programs, and follows a thread rather than a process.)
//!
//! Which session it guards it knows from its environment, before anything is said: the supervisor may die between starting it and the
//! first line. The lines on the pipe are `+<group> <start>` and `-<group> <start>`.

use crate::record::{self, Change, Group, Ledger, SESSION_VARIABLE};
use motet_kernel::task::{Kind, TaskGroup};
use std::{ffi::OsString, io::BufRead, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    sync::broadcast::error::RecvError,
};

/// A guard that died is started again after this.
const RESTART_WAIT: Duration = Duration::from_secs(1);

/// Tells the guard process which session it guards.
const GUARDED_VARIABLE: &str = "MOTET_GUARDED_SESSION";

/// What the guard process does: reads lines until the end of the file, then ends all that is left. Returns how many processes that were.
///
/// ```no_run
/// // in `motet guard`:
/// motet_supervisor::guard::guard_main(std::io::stdin().lock());
/// ```
pub fn guard_main(lines: impl BufRead) -> usize {
    let session = std::env::var(GUARDED_VARIABLE).ok();
    let mut groups: Vec<Group> = Vec::new();
    // A pipe that fails means the same as its end.
    for line in lines.lines().map_while(Result::ok) {
        if let Some(group) = line.strip_prefix('+').and_then(parse_group) {
            groups.push(group);
        } else if let Some(group) = line.strip_prefix('-').and_then(parse_group) {
            groups.retain(|known| *known != group);
        }
    }
    session.map_or(0, |session| record::end_session(&session, &groups))
}

fn parse_group(text: &str) -> Option<Group> {
    let (id, start) = text.split_once(' ')?;
    Some(Group { id: id.parse().ok()?, start: start.parse().ok()? })
}

/// Keeps a guard process running and told, for as long as the group of tasks lives.
pub(crate) fn keep(command: Vec<OsString>, ledger: Arc<Ledger>, group: &TaskGroup) {
    group.spawn_dropping(Kind::Periodic, "guard", async move {
        loop {
            if let Err(error) = run(&command, &ledger).await {
                tracing::warn!(%error, "the guard process ended and is started again");
            }
            tokio::time::sleep(RESTART_WAIT).await;
        }
    });
}

async fn run(command: &[OsString], ledger: &Ledger) -> std::io::Result<()> {
    let (program, arguments) = command.split_first().ok_or_else(|| std::io::Error::other("no command"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env(GUARDED_VARIABLE, ledger.session().to_string())
        .env_remove(SESSION_VARIABLE)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let Some(pipe) = child.stdin.take() else { return Err(std::io::Error::other("no pipe")) };
    tell(&mut child, pipe, ledger).await
}

async fn tell(child: &mut Child, mut pipe: ChildStdin, ledger: &Ledger) -> std::io::Result<()> {
    loop {
        let (groups, mut changes) = ledger.follow();
        let mut text = String::new();
        groups.iter().for_each(|group| text.push_str(&line('+', group)));
        pipe.write_all(text.as_bytes()).await?;
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                status = child.wait() => return Err(std::io::Error::other(status?.to_string())),
            };
            match change {
                Ok(Change::Added(group)) => pipe.write_all(line('+', &group).as_bytes()).await?,
                Ok(Change::Removed(group)) => pipe.write_all(line('-', &group).as_bytes()).await?,
                // Told everything anew; a group that ended meanwhile is recognised by its start time.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

fn line(sign: char, group: &Group) -> String {
    format!("{sign}{} {}\n", group.id, group.start)
}
