//! The server's own programs. The password goes into their environment and never into their arguments, which every user of
//! the machine can read; and no file of settings that would lead them elsewhere is read.

use super::{
    address::{PASSWORD, Server},
    dump::{self, HEAD, Nameless},
    session::Flavour,
};
use blake3::Hasher;
use motet_datastore::{
    Engine, StoreError,
    error::{FileTrouble, NotABackup, TooLate, ToolFailed},
    record::Remembered,
    tool::Tool,
};
use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, copy, sink},
    process::{Child, Command},
};

const OF_MARIADB: &str = "mariadb-client";
const OF_MYSQL: &str = "mysql-client";
/// The two shells: MariaDB's own name for it first, because a program called `mysql` may be of either.
pub(super) const SHELLS: [Tool; 2] =
    [Tool { program: "mariadb", package: OF_MARIADB }, Tool { program: "mysql", package: OF_MYSQL }];
const DUMPS: [Tool; 2] =
    [Tool { program: "mariadb-dump", package: OF_MARIADB }, Tool { program: "mysqldump", package: OF_MYSQL }];

/// The limit for a whole dump or restore.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// How much of what a program says about its failure is kept, in bytes and in lines.
const SAID: u64 = 64 * 1024;
const LINES: usize = 6;

/// Where the program is that runs statements.
pub(super) fn shell(flavour: Flavour) -> Result<PathBuf, StoreError> {
    Ok(of(SHELLS, flavour).find(std::env::var_os("PATH").as_deref())?)
}

fn of(tools: [Tool; 2], flavour: Flavour) -> Tool {
    match flavour {
        Flavour::Mariadb => tools[0],
        Flavour::Mysql => tools[1],
    }
}

/// Everything that is committed, as of one moment, into an empty file.
pub(super) async fn dump(server: &Server, flavour: Flavour, it: &Remembered, to: &Path) -> Result<(), StoreError> {
    let trouble = |source| FileTrouble { action: "write", path: to.to_owned(), source };
    let tool = of(DUMPS, flavour);
    // No comments: they repeat names, and a name may hold a line break and what looks like a statement.
    let mut arguments = server.arguments(&it.role);
    let wanted = ["--single-transaction", "--quick", "--skip-lock-tables", "--skip-comments", "--no-tablespaces"];
    let content = ["--routines", "--triggers", "--events", "--hex-blob", "--default-character-set=utf8mb4"];
    arguments.extend(wanted.into_iter().chain(content).map(str::to_owned));
    if flavour == Flavour::Mysql {
        arguments.push("--set-gtid-purged=OFF".to_owned());
    }
    arguments.push(it.database.clone());
    let mut file = File::options().write(true).truncate(true).open(to).map_err(trouble)?;
    file.write_all(HEAD).map_err(trouble)?;
    let mut child = spawn(tool, &arguments, it, Stdio::null(), Stdio::piped())?;
    let stdout = child.stdout.take().expect("piped above");
    let mut hasher = Hasher::new();
    finish(tool, &mut child, write(stdout, &mut file, &mut hasher)).await?;
    file.write_all(dump::tail(&hasher).as_bytes()).and_then(|()| file.sync_all()).map_err(trouble)?;
    Ok(())
}

/// From a program to a file, without the names of users, and counted into a digest.
async fn write(mut from: impl AsyncRead + Unpin, to: &mut File, hasher: &mut Hasher) -> io::Result<()> {
    let (mut nameless, mut piece, mut out) = (Nameless::new(), vec![0; 64 * 1024], Vec::new());
    loop {
        let length = from.read(&mut piece).await?;
        match length {
            0 => nameless.finish(&mut out),
            length => nameless.push(&piece[..length], &mut out),
        }
        hasher.update(&out);
        to.write_all(&out)?;
        out.clear();
        if length == 0 {
            return Ok(());
        }
    }
}

/// Looks at a file before anything is done with the server.
pub(super) async fn check(from: &Path) -> Result<(), StoreError> {
    let path = from.to_owned();
    let looked = tokio::task::spawn_blocking(move || dump::check(&mut File::open(path)?)).await;
    let looked = match looked {
        Ok(looked) => looked,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(io::Error::other(error)),
    };
    let trouble = |source| FileTrouble { action: "read", path: from.to_owned(), source };
    looked
        .map_err(trouble)?
        .map_err(|reason| NotABackup { path: from.to_owned(), engine: Engine::Mysql, reason: reason.to_owned() }.into())
}

/// Runs the statements of a file as the service's own user, so they can do no more than the service. The client is told to take them for
/// statements and nothing else: of its own commands, which could start programs, none is known.
pub(super) async fn load(server: &Server, flavour: Flavour, it: &Remembered, from: &Path) -> Result<(), StoreError> {
    let trouble = |source| FileTrouble { action: "read", path: from.to_owned(), source };
    let tool = of(SHELLS, flavour);
    let mut arguments = server.arguments(&it.role);
    arguments.extend(["--batch", "--binary-mode", "--default-character-set=utf8mb4"].map(str::to_owned));
    arguments.push(it.database.clone());
    let file = File::open(from).map_err(trouble)?;
    let mut child = spawn(tool, &arguments, it, file.into(), Stdio::null())?;
    finish(tool, &mut child, async { Ok(()) }).await
}

fn spawn(tool: Tool, arguments: &[String], it: &Remembered, stdin: Stdio, stdout: Stdio) -> Result<Child, StoreError> {
    let path = std::env::var_os("PATH");
    let program = tool.find(path.as_deref())?;
    let trouble = |source| FileTrouble { action: "run", path: program.clone(), source };
    let mut command = Command::new(&program);
    command.args(arguments).env_clear().envs(path.map(|path| ("PATH", path)));
    command.env(PASSWORD, it.password.expose()).env("LC_ALL", "C");
    let child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    Ok(child.map_err(trouble)?)
}

/// Waits for a program, beside the work with what it writes.
async fn finish(tool: Tool, child: &mut Child, work: impl Future<Output = io::Result<()>>) -> Result<(), StoreError> {
    let trouble = |source| FileTrouble { action: "run", path: tool.program.into(), source };
    let mut stderr = child.stderr.take().expect("piped by `spawn`");
    let hear = async {
        let mut said = Vec::new();
        (&mut stderr).take(SAID).read_to_end(&mut said).await?;
        copy(&mut stderr, &mut sink()).await?;
        Ok(said)
    };
    let whole = async {
        let ((), said) = tokio::try_join!(work, hear)?;
        Ok::<_, io::Error>((child.wait().await?, said))
    };
    let ended = tokio::time::timeout(LIMIT, whole).await;
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
