//! What is left of a throw-away server when the test process ends.
//!
//! A server that starts in seconds is worth keeping for all tests of a process, and nothing in Rust runs when a process ends: not the end of
//! statics, and nothing at all where it is killed. The kernel ends the server. Its directory is removed by a shell that waits for the end of its
//! input, which is a pipe that this process holds open for as long as it lives.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// Removes until nothing is left: a server that is just being killed may still write.
const SCRIPT: &str = r#"cat; n=0; while [ -e "$1" ] && [ $n -lt 50 ]; do rm -rf -- "$1"; sleep 0.1; n=$((n+1)); done"#;

/// Removes a directory when this process has ended, however it ends.
pub(crate) fn remove_at_the_end(place: &Path) -> io::Result<()> {
    static HELD: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let shell = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(place)
        .current_dir("/")
        // What ends this process by its group, as Ctrl-C does, is not to end the shell.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    HELD.lock().unwrap_or_else(PoisonError::into_inner).push(shell);
    Ok(())
}
