//! PostgreSQL's own programs. The password goes into their environment and never into their arguments, which every user of
//! the machine can read; and nothing of our environment that libpq would follow elsewhere comes along.

use motet_datastore::{
    Engine, Secret, StoreError,
    error::{FileTrouble, NotABackup, TooLate, ToolFailed},
    tool::Tool,
};
use std::{collections::BTreeMap, ffi::OsStr, fs::File, io::Read, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncReadExt, copy, sink},
    process::Command,
};

const PACKAGE: &str = "postgresql-client";
const DUMP: Tool = Tool { program: "pg_dump", package: PACKAGE };
const RESTORE: Tool = Tool { program: "pg_restore", package: PACKAGE };
pub(super) const SHELL: Tool = Tool { program: "psql", package: PACKAGE };

/// The limit for a whole dump or restore.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// How much of what a program says about its failure is kept, in bytes and in lines.
const SAID: u64 = 64 * 1024;
const LINES: usize = 6;

/// What the custom format begins with.
const MAGIC: &[u8; 5] = b"PGDMP";

pub(super) async fn dump(env: &BTreeMap<String, Secret>, to: &Path) -> Result<(), StoreError> {
    let args = ["--format=custom", "--no-owner", "--no-privileges", "--no-password", "--file"].map(OsStr::new);
    run(DUMP, env, args.into_iter().chain([to.as_os_str()])).await
}

pub(super) async fn restore(env: &BTreeMap<String, Secret>, from: &Path) -> Result<(), StoreError> {
    let database = env.get("PGDATABASE").map(Secret::expose).unwrap_or_default();
    let args =
        ["--no-owner", "--no-privileges", "--no-password", "--single-transaction", "--exit-on-error", "--dbname"];
    let args = args.map(OsStr::new).into_iter().chain([OsStr::new(database), from.as_os_str()]);
    run(RESTORE, env, args).await.map_err(|error| blame_the_file(error, from))
}

/// Looks at the file before anything is done with the server.
pub(super) async fn check(from: &Path) -> Result<(), StoreError> {
    let trouble = |source| FileTrouble { action: "read", path: from.to_owned(), source };
    let mut head = Vec::with_capacity(MAGIC.len());
    let file = File::open(from).map_err(trouble)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(trouble)?;
    if head != MAGIC {
        let reason = "it does not begin like a dump in PostgreSQL's custom format".to_owned();
        return Err(NotABackup { path: from.to_owned(), engine: Engine::Postgres, reason }.into());
    }
    let args = [OsStr::new("--list"), from.as_os_str()];
    run(RESTORE, &BTreeMap::new(), args).await.map_err(|error| blame_the_file(error, from))
}

/// `pg_restore` has one exit code for everything: whether the file is to blame is in its words.
fn blame_the_file(error: StoreError, from: &Path) -> StoreError {
    const FILE: [&str; 6] = ["input file", "end of file", "uncompress", "magic string", "file header", "unexpected"];
    match error {
        StoreError::ToolFailed(it) if FILE.iter().any(|words| it.said.contains(words)) => {
            NotABackup { path: from.to_owned(), engine: Engine::Postgres, reason: it.said }.into()
        }
        other => other,
    }
}

async fn run<'a>(
    tool: Tool,
    env: &BTreeMap<String, Secret>,
    args: impl IntoIterator<Item = &'a OsStr>,
) -> Result<(), StoreError> {
    let path = std::env::var_os("PATH");
    let program = tool.find(path.as_deref())?;
    let trouble = |source| FileTrouble { action: "run", path: program.clone(), source };
    let mut child = Command::new(&program)
        .args(args)
        .env_clear()
        .envs(path.map(|path| ("PATH", path)))
        .envs(env.iter().map(|(key, value)| (key, value.expose())))
        .env("PGCONNECT_TIMEOUT", super::address::CONNECT.as_secs().to_string())
        .env("PGAPPNAME", "motet")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(trouble)?;
    let mut stderr = child.stderr.take().expect("piped above");
    let work = async {
        let mut said = Vec::new();
        (&mut stderr).take(SAID).read_to_end(&mut said).await?;
        copy(&mut stderr, &mut sink()).await?;
        Ok::<_, std::io::Error>((child.wait().await?, said))
    };
    let ended = tokio::time::timeout(LIMIT, work).await;
    let (status, said) =
        ended.map_err(|_| TooLate { action: format!("`{}`", tool.program), limit: LIMIT })?.map_err(trouble)?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().rev().take(LINES).collect();
    let said = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
    Err(ToolFailed { program: tool.program, status: status.to_string(), said }.into())
}
