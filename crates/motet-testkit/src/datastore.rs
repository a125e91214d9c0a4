//! The suite of the port [`Provision`]: what its words promise, tried on an engine with real data in it.
//!
//! The port does not speak SQL, so the tests that use the suite bring a [`Client`]: a plain library of the engine that knows
//! nothing of Motet but the credentials, as a service would.

use async_trait::async_trait;
use motet_datastore::{Credentials, Occupancy, Provision, StoreError};
use motet_kernel::name::ServiceName;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

/// What a service does with the credentials that it was given.
#[async_trait]
pub trait Client: Send + Sync {
    /// Opens a connection.
    async fn connect(&self, credentials: &Credentials) -> Result<Box<dyn Session>, String>;
}

/// An open connection. Closed, and known to the server as closed, when `close` returns.
#[async_trait]
pub trait Session: Send {
    /// Runs statements whose rows nobody wants.
    async fn execute(&mut self, sql: &str) -> Result<(), String>;
    /// The one whole number that a query returns.
    async fn number(&mut self, sql: &str) -> Result<i64, String>;
    /// Ends the connection.
    async fn close(self: Box<Self>);
}

/// An engine under test.
pub struct Subject<'a> {
    /// Makes the engine anew over what is there, as a restarted Motet would.
    pub engine: &'a (dyn Fn() -> Arc<dyn Provision> + Send + Sync),
    /// A service's view of it.
    pub client: &'a dyn Client,
    /// A directory for backups.
    pub scratch: &'a Path,
}

impl Subject<'_> {
    async fn session(&self, credentials: &Credentials) -> Box<dyn Session> {
        self.client.connect(credentials).await.expect("the credentials of a provisioned store work")
    }

    async fn with_notes(&self, service: &ServiceName, notes: usize) -> Credentials {
        let credentials = (self.engine)().provision(service).await.expect("provisioned");
        let mut session = self.session(&credentials).await;
        let mut sql = "CREATE TABLE notes (body TEXT NOT NULL);".to_owned();
        for note in 0..notes {
            sql += &format!("INSERT INTO notes VALUES ('note {note}');");
        }
        session.execute(&sql).await.expect("a service may make tables");
        session.close().await;
        credentials
    }

    async fn count(&self, credentials: &Credentials) -> i64 {
        let mut session = self.session(credentials).await;
        let count = session.number("SELECT count(*) FROM notes").await.expect("counted");
        session.close().await;
        count
    }
}

fn service(name: &str) -> ServiceName {
    name.parse().expect("a name")
}

/// Runs every case. Each uses services of its own, so that one engine serves all.
pub async fn conformance(subject: &Subject<'_>) {
    provisioning_again_gives_the_same_credentials_and_keeps_the_data(subject).await;
    provisioning_at_the_same_time_converges(subject).await;
    a_store_that_was_never_made_is_described_as_missing_and_cannot_be_backed_up(subject).await;
    a_backup_of_a_store_in_use_restores_to_what_was_committed(subject).await;
    a_backup_never_replaces_a_file(subject).await;
    a_restore_refuses_a_store_in_use(subject).await;
    a_damaged_backup_harms_nothing(subject).await;
    a_restore_leaves_nothing_of_what_was_there(subject).await;
    a_reset_store_is_empty_and_has_the_same_credentials(subject).await;
    a_removed_store_is_gone_and_can_be_made_again(subject).await;
    no_secret_is_shown(subject).await;
}

async fn provisioning_again_gives_the_same_credentials_and_keeps_the_data(subject: &Subject<'_>) {
    let service = service("again");
    let credentials = subject.with_notes(&service, 3).await;
    let repeated = (subject.engine)().provision(&service).await.expect("provisioned again");
    assert_eq!(repeated, credentials);
    assert_eq!(subject.count(&repeated).await, 3);
    let description = (subject.engine)().describe(&service).await.expect("described");
    assert!(description.size.is_some_and(|size| size > 0), "{description:?}");
}

async fn provisioning_at_the_same_time_converges(subject: &Subject<'_>) {
    let service = service("at-once");
    let (one, other) = ((subject.engine)(), (subject.engine)());
    let (one, other) = tokio::join!(one.provision(&service), other.provision(&service));
    let (one, other) = (one.expect("provisioned"), other.expect("provisioned"));
    assert_eq!(one, other);
    subject.session(&one).await.close().await;
}

async fn a_store_that_was_never_made_is_described_as_missing_and_cannot_be_backed_up(subject: &Subject<'_>) {
    let service = service("never-made");
    let engine = (subject.engine)();
    assert_eq!(engine.describe(&service).await.expect("described").size, None);
    let target = subject.scratch.join("never-made.backup");
    let error = engine.backup(&service, &target).await.expect_err("there is nothing to back up");
    assert!(matches!(error, StoreError::NoStore(_)), "{error}");
    assert!(matches!(engine.shell(&service).await, Err(StoreError::NoStore(_))));
    assert!(!target.exists());
    engine.remove(&service, Occupancy::Free).await.expect("what is missing is removed already");
}

async fn a_backup_of_a_store_in_use_restores_to_what_was_committed(subject: &Subject<'_>) {
    let service = service("backed-up");
    let engine = (subject.engine)();
    let credentials = subject.with_notes(&service, 5).await;
    let mut writer = subject.session(&credentials).await;
    writer.execute("BEGIN").await.expect("begun");
    writer.execute("INSERT INTO notes VALUES ('not committed')").await.expect("inserted");
    let target = subject.scratch.join("backed-up.backup");
    engine.backup(&service, &target).await.expect("backed up while a transaction is open");
    assert_eq!(fs::metadata(&target).expect("written").permissions().mode() & 0o777, 0o600);
    writer.execute("COMMIT").await.expect("the backup did not disturb the service");
    writer.close().await;
    assert_eq!(subject.count(&credentials).await, 6);
    engine.restore(&service, &target, Occupancy::Free).await.expect("restored");
    assert_eq!(subject.count(&credentials).await, 5);
    assert_eq!(engine.provision(&service).await.expect("provisioned"), credentials);
    assert_eq!(subject.count(&credentials).await, 5);
    let left: Vec<_> =
        fs::read_dir(subject.scratch).expect("listed").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "{left:?}");
}

async fn a_backup_never_replaces_a_file(subject: &Subject<'_>) {
    let service = service("careful");
    subject.with_notes(&service, 1).await;
    let target = subject.scratch.join("precious.txt");
    fs::write(&target, "precious").expect("written");
    let error = (subject.engine)().backup(&service, &target).await.expect_err("the name is taken");
    assert!(matches!(error, StoreError::TargetExists(_)), "{error}");
    assert_eq!(fs::read_to_string(&target).expect("read"), "precious");
}

async fn a_restore_refuses_a_store_in_use(subject: &Subject<'_>) {
    let service = service("busy");
    let engine = (subject.engine)();
    let credentials = subject.with_notes(&service, 2).await;
    let target = subject.scratch.join("busy.backup");
    engine.backup(&service, &target).await.expect("backed up");
    let mut user = subject.session(&credentials).await;
    user.execute("INSERT INTO notes VALUES ('a third')").await.expect("inserted");
    for told in [Occupancy::InUse, Occupancy::Free] {
        let error = engine.restore(&service, &target, told).await.expect_err("somebody is connected");
        assert!(matches!(error, StoreError::InUse(_)), "{told:?}: {error}");
        let error = engine.reset(&service, told).await.expect_err("somebody is connected");
        assert!(matches!(error, StoreError::InUse(_)), "{told:?}: {error}");
        let error = engine.remove(&service, told).await.expect_err("somebody is connected");
        assert!(matches!(error, StoreError::InUse(_)), "{told:?}: {error}");
    }
    assert_eq!(user.number("SELECT count(*) FROM notes").await, Ok(3), "a refused operation cuts nobody off");
    engine.restore(&service, &target, Occupancy::Forced).await.expect("restored by force");
    user.close().await;
    assert_eq!(subject.count(&credentials).await, 2);
}

async fn a_damaged_backup_harms_nothing(subject: &Subject<'_>) {
    let service = service("unharmed");
    let engine = (subject.engine)();
    let credentials = subject.with_notes(&service, 400).await;
    let whole = subject.scratch.join("whole.backup");
    engine.backup(&service, &whole).await.expect("backed up");
    let content = fs::read(&whole).expect("read");
    let damaged = subject.scratch.join("damaged.backup");
    let half = &content[..content.len() / 2];
    for (what, bytes) in [("text", &b"this is no backup"[..]), ("half", half), ("empty", &[])] {
        fs::write(&damaged, bytes).expect("written");
        let error = engine.restore(&service, &damaged, Occupancy::Free).await.expect_err(what);
        assert!(matches!(error, StoreError::NotABackup(_)), "{what}: {error:?}");
        assert_eq!(subject.count(&credentials).await, 400, "{what}");
    }
    let missing = engine.restore(&service, &subject.scratch.join("nowhere"), Occupancy::Free).await;
    assert!(matches!(missing, Err(StoreError::FileTrouble(_))), "{missing:?}");
    assert_eq!(subject.count(&credentials).await, 400);
}

async fn a_restore_leaves_nothing_of_what_was_there(subject: &Subject<'_>) {
    let (source, target) = (service("source"), service("target"));
    let engine = (subject.engine)();
    subject.with_notes(&source, 7).await;
    let credentials = engine.provision(&target).await.expect("provisioned");
    let mut session = subject.session(&credentials).await;
    session.execute("CREATE TABLE other (n INTEGER)").await.expect("created");
    session.close().await;
    let backup = subject.scratch.join("source.backup");
    engine.backup(&source, &backup).await.expect("backed up");
    engine.restore(&target, &backup, Occupancy::Free).await.expect("a backup of one store fills another");
    assert_eq!(subject.count(&credentials).await, 7);
    let mut session = subject.session(&credentials).await;
    session.number("SELECT count(*) FROM other").await.expect_err("what was there is gone");
    session.close().await;
    let mut session = subject.session(&credentials).await;
    session.execute("INSERT INTO notes VALUES ('mine now')").await.expect("what was restored is the service's own");
    session.close().await;
}

async fn a_reset_store_is_empty_and_has_the_same_credentials(subject: &Subject<'_>) {
    let service = service("fresh");
    let engine = (subject.engine)();
    let credentials = subject.with_notes(&service, 2).await;
    engine.reset(&service, Occupancy::Free).await.expect("reset");
    let mut session = subject.session(&credentials).await;
    session.execute("CREATE TABLE notes (body TEXT NOT NULL)").await.expect("the old table is gone");
    session.close().await;
    assert_eq!(subject.count(&credentials).await, 0);
}

async fn a_removed_store_is_gone_and_can_be_made_again(subject: &Subject<'_>) {
    let service = service("gone");
    let engine = (subject.engine)();
    let credentials = subject.with_notes(&service, 2).await;
    engine.remove(&service, Occupancy::Free).await.expect("removed");
    assert_eq!(engine.describe(&service).await.expect("described").size, None);
    assert!(subject.client.connect(&credentials).await.is_err(), "its credentials open nothing");
    engine.remove(&service, Occupancy::Free).await.expect("removed already");
    let credentials = subject.with_notes(&service, 1).await;
    assert_eq!(subject.count(&credentials).await, 1);
}

async fn no_secret_is_shown(subject: &Subject<'_>) {
    let service = service("discreet");
    let engine = (subject.engine)();
    let credentials = subject.with_notes(&service, 1).await;
    let description = engine.describe(&service).await.expect("described");
    let shell = engine.shell(&service).await.expect("there is a shell for it");
    let shown = format!("{engine:?} {credentials:?} {description:?} {shell:?}");
    for name in ["PGPASSWORD", "MYSQL_PASSWORD"] {
        let password = credentials.env.get(name).map_or("no password", |password| password.expose());
        assert!(!shown.contains(password), "{shown}");
        assert!(!format!("{:?}", shell.argv).contains(password));
    }
    assert!(shown.contains("***"));
}
