//! What the tests need of the machine, and how to get it.
//!
//! Language toolchains are the reader's own choice and are only looked at. Real servers and the browser are installed
//! with apt when they are missing and this user may; otherwise one line says what is missing and what to type. Debian's
//! PostgreSQL, NATS and RabbitMQ would start servers of their own when they are installed: the tests start theirs, so these are kept
//! from it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::report;
use super::shell::Shell;

/// A toolchain that is looked at and never installed.
struct Toolchain {
    program: &'static str,
    least: (u32, u32),
    get: &'static str,
}

const TOOLCHAINS: &[Toolchain] = &[
    Toolchain { program: "python3", least: (3, 10), get: "https://www.python.org/downloads/" },
    Toolchain { program: "node", least: (20, 0), get: "https://nodejs.org/en/download" },
    Toolchain { program: "npm", least: (9, 0), get: "it comes with Node: https://nodejs.org/en/download" },
];

/// Something that apt can bring.
struct Package {
    what: &'static str,
    is_there: fn() -> bool,
    packages: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package { what: "a C compiler", is_there: || on_path(&["cc"]), packages: &["build-essential"] },
    Package {
        what: "Python's venv module",
        is_there: || succeeds("python3", &["-c", "import venv, ensurepip"]),
        packages: &["python3-venv"],
    },
    Package {
        what: "make and a C++ compiler",
        is_there: || on_path(&["make"]) && on_path(&["c++"]),
        packages: &["build-essential"],
    },
    Package { what: "Java", is_there: || on_path(&["java"]), packages: &["openjdk-17-jre-headless"] },
    Package { what: "Maven", is_there: || on_path(&["mvn"]), packages: &["maven"] },
    Package { what: "PostgreSQL's server", is_there: has_postgres, packages: &["postgresql"] },
    Package {
        what: "NATS's server",
        is_there: || on_path(&["nats-server"]) || is_file("/usr/sbin/nats-server"),
        packages: &["nats-server"],
    },
    Package { what: "RabbitMQ's server", is_there: has_rabbitmq, packages: &["rabbitmq-server"] },
    Package { what: "Chromium", is_there: || on_path(BROWSERS), packages: &["chromium"] },
];

/// The peers that the data plane is measured beside.
const PEERS: &[Package] = &[
    Package {
        what: "nginx",
        is_there: || on_path(&["nginx"]) || is_file("/usr/sbin/nginx"),
        packages: &["nginx-light"],
    },
    Package {
        what: "haproxy",
        is_there: || on_path(&["haproxy"]) || is_file("/usr/sbin/haproxy"),
        packages: &["haproxy"],
    },
];

/// The peers that events are measured beside.
const EVENT_PEERS: &[Package] = &[
    Package {
        what: "NATS's server",
        is_there: || on_path(&["nats-server"]) || is_file("/usr/sbin/nats-server"),
        packages: &["nats-server"],
    },
    Package { what: "RabbitMQ's server", is_there: has_rabbitmq, packages: &["rabbitmq-server"] },
    Package { what: "Redis", is_there: || on_path(&["redis-server"]), packages: &["redis-server"] },
];

const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Installs the packages that are its arguments; nothing that they bring is started.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
apt-get install --yes --quiet --quiet --no-install-recommends "$@"
"#;

/// Checks what is there and installs what is missing.
///
/// # Errors
/// When something is missing that cannot be installed here: the message says what to do.
pub fn provide(shell: &mut Shell) -> Result<()> {
    let mut missing: Vec<String> = Vec::new();
    for toolchain in TOOLCHAINS {
        match version(toolchain.program) {
            Some(version) if version >= toolchain.least => {
                report::note(&format!("{} {}.{}", toolchain.program, version.0, version.1));
            }
            found => missing.push(format!(
                "{} {}.{} or newer ({}; get it from {})",
                toolchain.program,
                toolchain.least.0,
                toolchain.least.1,
                found.map_or("there is none".to_owned(), |(major, minor)| format!("found {major}.{minor}")),
                toolchain.get
            )),
        }
    }
    if !missing.is_empty() {
        bail!("missing: {}", missing.join("; "));
    }
    provide_packages(shell, PACKAGES)?;
    provide_h2spec(shell);
    Ok(())
}

/// Builds h2spec, to whose cases the data plane is held, where Go is. It is the one tool that may be absent: its test says so then.
fn provide_h2spec(shell: &mut Shell) {
    const MODULE: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";
    let folder = shell.tools();
    if folder.join("h2spec").exists() {
        return report::note("h2spec");
    }
    if !on_path(&["go"]) {
        return report::note("h2spec: there is no Go to build it with; HTTP/2 is not held to it");
    }
    let folder = folder.display().to_string();
    let installed = shell.set("GOBIN", folder).run("go", &["install", MODULE]);
    match installed {
        Ok(()) => report::note("h2spec"),
        Err(error) => report::note(&format!("h2spec cannot be built here ({error}); HTTP/2 is not held to it")),
    }
}

/// Checks that the peers of the benchmarks are there and installs what is missing.
///
/// # Errors
/// When something is missing that cannot be installed here: the message says what to do.
pub fn provide_peers(shell: &mut Shell) -> Result<()> {
    provide_packages(shell, PEERS)
}

/// The same for the benchmark of events.
///
/// # Errors
/// When something is missing that cannot be installed here: the message says what to do.
pub fn provide_event_peers(shell: &mut Shell) -> Result<()> {
    provide_packages(shell, EVENT_PEERS)?;
    provide_nats(shell);
    Ok(())
}

/// Builds a current NATS where Go is: Debian's may be older than the setting that makes it durable, and is measured without that then.
fn provide_nats(shell: &mut Shell) {
    const MODULE: &str = "github.com/nats-io/nats-server/v2@v2.12.15";
    if shell.tools().join("nats-server").exists() {
        return report::note("a current NATS");
    }
    let folder = shell.tools().display().to_string();
    let built = on_path(&["go"]).then(|| shell.set("GOBIN", folder).run("go", &["install", MODULE]));
    match built {
        Some(Ok(())) => report::note("a current NATS"),
        Some(Err(error)) => {
            report::note(&format!("a current NATS cannot be built here ({error}); Debian's is measured"))
        }
        None => report::note("a current NATS: there is no Go to build it with; Debian's is measured"),
    }
}

fn provide_packages(shell: &mut Shell, packages: &[Package]) -> Result<()> {
    let lacking = lacking(packages);
    if !lacking.is_empty() {
        install(shell, &lacking)?;
    }
    let still: Vec<&str> =
        packages.iter().filter(|package| !(package.is_there)()).map(|package| package.what).collect();
    if !still.is_empty() {
        bail!("missing even after apt: {} (a browser may also be Google Chrome, on the PATH)", still.join(", "));
    }
    packages.iter().for_each(|package| report::note(package.what));
    Ok(())
}

fn lacking(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().filter(|package| !(package.is_there)()).flat_map(|package| package.packages).copied().collect()
}

fn install(shell: &mut Shell, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !on_path(&["apt-get"]) {
        bail!("missing: what Debian calls {list}; install it with this machine's package manager");
    }
    let mut arguments = vec!["-c", INSTALL, "install"];
    arguments.extend(packages);
    if succeeds("sh", &["-c", "test \"$(id -u)\" = 0"]) {
        return shell.run("sh", &arguments);
    }
    if succeeds("sudo", &["-n", "true"]) {
        arguments.splice(0..0, ["-n", "sh"]);
        return shell.run("sudo", &arguments);
    }
    bail!("missing: {list}; type `sudo apt-get install {list}` and run this again")
}

/// The version that a program prints first, as major and minor.
fn version(program: &str) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let mut numbers = text[start..].split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn on_path(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    programs.iter().any(|program| folders.iter().any(|folder| folder.join(program).is_file()))
}

fn is_file(path: &str) -> bool {
    Path::new(path).is_file()
}

/// Debian keeps the server's programs out of the PATH.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let is_server = |folder: &Path| folder.join("bin/initdb").is_file() && folder.join("bin/postgres").is_file();
    versions.into_iter().any(|version| is_server(&version.path())) || on_path(&["initdb"]) && on_path(&["postgres"])
}

/// The script inside the package, which runs as any user.
fn has_rabbitmq() -> bool {
    let versions = std::fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("sbin/rabbitmq-server").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(parse_version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(parse_version("v20.20.2\n"), Some((20, 20)));
        assert_eq!(parse_version("10.8\n"), Some((10, 8)));
        assert_eq!(parse_version("command not found"), None);
    }

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let package = |is_there: fn() -> bool| Package { what: "x", is_there, packages: &["x-server", "x-client"] };
        assert!(lacking(&[package(|| true)]).is_empty());
        assert_eq!(lacking(&[package(|| true), package(|| false)]), ["x-server", "x-client"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_there() {
        assert!(on_path(&["no-such-program", "sh"]));
        assert!(!on_path(&["no-such-program"]));
        assert_eq!(version("no-such-program"), None);
        assert!(!succeeds("no-such-program", &[]));
    }
}
