//! What can go wrong with a store. All operations of the port meet the same few failures, whatever the engine, so they
//! share one enum: a caller that shows an error needs its code and its way out, not the operation's name again.
//! No failure holds a secret.

use crate::{spec::Engine, tool::Tool};
use motet_kernel::{code::ErrorCode, name::ServiceName, quantity};
use std::{path::PathBuf, time::Duration};

/// A file or directory of a store that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {}: {source}", path.display())]
pub struct FileTrouble {
    /// What was tried: `create`, `read`, `lock` …
    pub action: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: std::io::Error,
}

/// A credentials file that is not one.
#[derive(Debug, thiserror::Error)]
#[error("the credentials file {} cannot be understood: {reason}", path.display())]
pub struct MalformedCredentials {
    /// The file.
    pub path: PathBuf,
    /// Why; never a piece of its content.
    pub reason: String,
}

/// A credentials file that was written for another system or service.
#[derive(Debug, thiserror::Error)]
#[error("the credentials file {} belongs to {found}, and this is {wanted}", path.display())]
pub struct ForeignCredentials {
    /// The file.
    pub path: PathBuf,
    /// For whom it was written.
    pub found: String,
    /// Who looks now.
    pub wanted: String,
}

/// Something of the store's name exists on the server and belongs to somebody else.
#[derive(Debug, thiserror::Error)]
#[error("{what} already exists and belongs to {owner}")]
pub struct ForeignStore {
    /// Which object: `the database "askdocs_library" on db:5432`.
    pub what: String,
    /// Whose mark it bears.
    pub owner: String,
}

/// A server that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the server {server} cannot be reached: {reason}")]
pub struct Unreachable {
    /// Host and port.
    pub server: String,
    /// What happened.
    pub reason: String,
}

/// A server that answered no.
#[derive(Debug, thiserror::Error)]
#[error("the server {server} refused to {action}: {reason}")]
pub struct Refused {
    /// Host and port.
    pub server: String,
    /// What it was asked for.
    pub action: String,
    /// What it said.
    pub reason: String,
}

/// An address of a server that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the server address in {origin} cannot be used: {reason}")]
pub struct InvalidAddress {
    /// Where the address was written, because the address itself may hold a password.
    pub origin: String,
    /// What is wrong with it.
    pub reason: String,
}

/// An address that asks for encryption, which is not there.
#[derive(Debug, thiserror::Error)]
#[error("the server address in {origin} asks for `{asked}`, and connections to database servers are not encrypted yet")]
pub struct EncryptionUnsupported {
    /// Where the address was written.
    pub origin: String,
    /// The parameter that asks for it.
    pub asked: String,
}

/// An operation that took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("{action} took longer than {}", quantity::show_duration(*limit))]
pub struct TooLate {
    /// What was going on.
    pub action: String,
    /// The limit that passed.
    pub limit: Duration,
}

/// A store whose content was to be replaced while somebody uses it.
#[derive(Debug, thiserror::Error)]
#[error("the store of `{service}` is in use: {by}")]
pub struct InUse {
    /// Whose store.
    pub service: ServiceName,
    /// Who uses it, as far as it is known.
    pub by: String,
}

/// A program that is not installed.
#[derive(Debug, thiserror::Error)]
#[error("the program `{}` is not on PATH", tool.program)]
pub struct ToolMissing {
    /// Which one, and where it comes from.
    pub tool: Tool,
}

/// A program that failed.
#[derive(Debug, thiserror::Error)]
#[error("`{program}` failed ({status}): {said}")]
pub struct ToolFailed {
    /// The program.
    pub program: &'static str,
    /// Exit code or signal.
    pub status: String,
    /// The last lines of what it wrote to its standard error.
    pub said: String,
}

/// A backup that would replace a file.
#[derive(Debug, thiserror::Error)]
#[error("{} exists already", path.display())]
pub struct TargetExists {
    /// The file.
    pub path: PathBuf,
}

/// A file that is not a backup of this engine, or a damaged one.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a usable {engine} backup: {reason}", path.display())]
pub struct NotABackup {
    /// The file.
    pub path: PathBuf,
    /// The engine that was to read it.
    pub engine: Engine,
    /// What is wrong with it.
    pub reason: String,
}

/// A store whose data cannot be read any more.
#[derive(Debug, thiserror::Error)]
#[error("the store of `{service}` at {location} is damaged: {reason}")]
pub struct Damaged {
    /// Whose store.
    pub service: ServiceName,
    /// Where it is.
    pub location: String,
    /// What the engine said.
    pub reason: String,
}

/// A service that declares no store, or whose store was never made.
#[derive(Debug, thiserror::Error)]
#[error("`{service}` has no store: {reason}")]
pub struct NoStore {
    /// Which service.
    pub service: ServiceName,
    /// `its definition declares none`, `it was never started` …
    pub reason: &'static str,
}

/// Two stores for one service.
#[derive(Debug, thiserror::Error)]
#[error("`{service}` declares two stores")]
pub struct TwoStores {
    /// Which service.
    pub service: ServiceName,
}

/// An engine that the system has no server for.
#[derive(Debug, thiserror::Error)]
#[error("the store of `{service}` wants {engine}, and the profile names no server for it")]
pub struct EngineMissing {
    /// Whose store.
    pub service: ServiceName,
    /// Which engine.
    pub engine: Engine,
}

/// No random bytes for a password.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes for a password: {0}")]
pub struct NoRandomness(#[from] pub getrandom::Error);

/// Every failure of a store operation.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[expect(missing_docs, reason = "each variant is documented at the struct that it holds")]
pub enum StoreError {
    FileTrouble(#[from] FileTrouble),
    MalformedCredentials(#[from] MalformedCredentials),
    ForeignCredentials(#[from] ForeignCredentials),
    ForeignStore(#[from] ForeignStore),
    Unreachable(#[from] Unreachable),
    Refused(#[from] Refused),
    InvalidAddress(#[from] InvalidAddress),
    EncryptionUnsupported(#[from] EncryptionUnsupported),
    TooLate(#[from] TooLate),
    InUse(#[from] InUse),
    ToolMissing(#[from] ToolMissing),
    ToolFailed(#[from] ToolFailed),
    TargetExists(#[from] TargetExists),
    NotABackup(#[from] NotABackup),
    Damaged(#[from] Damaged),
    NoStore(#[from] NoStore),
    TwoStores(#[from] TwoStores),
    EngineMissing(#[from] EngineMissing),
    NoRandomness(#[from] NoRandomness),
}

impl StoreError {
    /// The code under which `docs/errors/` explains the failure.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::FileTrouble(_) => "MO-datastore-101",
            Self::MalformedCredentials(_) => "MO-datastore-102",
            Self::ForeignCredentials(_) => "MO-datastore-103",
            Self::ForeignStore(_) => "MO-datastore-104",
            Self::Unreachable(_) => "MO-datastore-105",
            Self::Refused(_) => "MO-datastore-106",
            Self::InvalidAddress(_) => "MO-datastore-107",
            Self::EncryptionUnsupported(_) => "MO-datastore-108",
            Self::TooLate(_) => "MO-datastore-109",
            Self::InUse(_) => "MO-datastore-110",
            Self::ToolMissing(_) => "MO-datastore-111",
            Self::ToolFailed(_) => "MO-datastore-112",
            Self::TargetExists(_) => "MO-datastore-113",
            Self::NotABackup(_) => "MO-datastore-114",
            Self::Damaged(_) => "MO-datastore-115",
            Self::NoStore(_) => "MO-datastore-116",
            Self::TwoStores(_) => "MO-datastore-117",
            Self::EngineMissing(_) => "MO-datastore-118",
            Self::NoRandomness(_) => "MO-datastore-119",
        })
    }

    /// What the user can do: one sentence.
    pub fn help(&self) -> String {
        match self {
            Self::FileTrouble(_) => "Check that the path exists, has space, and belongs to the user who runs Motet.".into(),
            Self::MalformedCredentials(it) => {
                format!("Remove {}: the next start writes a new one with a new password.", it.path.display())
            }
            Self::ForeignCredentials(it) => format!(
                "If the system was renamed, remove {}; if its directory was copied from another system, remove the copied state.",
                it.path.display()
            ),
            Self::ForeignStore(_) => {
                "Give one of the systems another name; a state directory that moved here with its credentials files keeps its stores.".into()
            }
            Self::Unreachable(it) => format!("Check that the database server runs at {} and accepts connections from here.", it.server),
            Self::Refused(_) => "Check that the address names an administrator who may create users and databases.".into(),
            Self::InvalidAddress(_) => "Write it as postgres://user:password@host:5432/postgres or mysql://user:password@host:3306.".into(),
            Self::EncryptionUnsupported(_) => {
                "Use a server on this machine or on a private network without that parameter, or a tunnel that encrypts.".into()
            }
            Self::TooLate(_) => "Try again when the server or the disk is less busy; nothing was left half done.".into(),
            Self::InUse(it) => format!("Stop `{}` first, or force the operation.", it.service),
            Self::ToolMissing(it) => format!("Install it: apt install {}", it.tool.package),
            Self::ToolFailed(_) => "Read what it said; the store is as it was before.".into(),
            Self::TargetExists(_) => "Choose another name, or remove the file first.".into(),
            Self::NotABackup(_) => "Give a file that `motet store backup` wrote for the same engine.".into(),
            Self::Damaged(it) => {
                format!("Restore a backup (`motet store restore {0} <file>`) or start empty (`motet store reset {0}`).", it.service)
            }
            Self::NoStore(_) => "`motet store list` shows which services have a store.".into(),
            Self::TwoStores(_) => "Leave one of them.".into(),
            Self::EngineMissing(_) => "Name a server under `engines` in the profile, or use `store: { sqlite: {} }`.".into(),
            Self::NoRandomness(_) => "Try again; a machine that has just started may need a moment.".into(),
        }
    }
}
