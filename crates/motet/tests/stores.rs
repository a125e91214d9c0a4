//! Data with one owner, through the command line.

use crate::scratch::{Scratch, get, shown};
use std::fs;

const OWNERS: &str = "
motet: 1
system: owners
services:
  keeper:
    path: .
    process: { command: python3 service.py }
    store: { sqlite: { migrate: python3 migrate.py } }
  other:
    path: .
    process: { command: python3 service.py }
    store: { sqlite: {} }
gateway:
  listen: 127.0.0.1:0
  routes: { /keeper: { to: keeper, strip_prefix: true }, /other: { to: other, strip_prefix: true } }
";

const MIGRATE: &str = "
import os, sqlite3
db = sqlite3.connect(os.environ['DATABASE_PATH'])
db.execute('create table if not exists notes (text)')
db.execute(\"insert into notes values ('kept')\")
db.commit()
";

const COUNT: &str = "
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute('select count(*) from notes').fetchone()[0])
";

fn notes(system: &Scratch) -> String {
    let file = system.state().join("stores/keeper/keeper.db");
    let output = std::process::Command::new("python3").arg("-c").arg(COUNT).arg(file).output().expect("python");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_store_is_made_and_migrated_before_its_service_starts_backed_up_while_it_runs_and_restored_when_it_does_not() {
    let system = Scratch::new(OWNERS);
    fs::write(system.path().join("migrate.py"), MIGRATE).expect("written");
    system.up();
    assert_eq!(notes(&system), "1", "migrated once, before the start");
    let env = |service: &str| get(&system.gateway(), &format!("/{service}/env")).expect("an answer").1;
    assert!(env("keeper").contains("stores/keeper/keeper.db") && !env("keeper").contains("stores/other"));
    assert!(env("other").contains("stores/other/other.db") && !env("other").contains("stores/keeper"));
    assert!(system.done(&["store", "list"]).contains("keeper"));
    system.done(&["store", "backup", "keeper", "keeper.backup"]);
    let refused = system.motet(&["store", "reset", "keeper", "--yes"]);
    assert!(!refused.status.success(), "never under a running service: {}", shown(&refused));
    system.done(&["down"]);
    system.done(&["store", "reset", "keeper", "--yes"]);
    assert_eq!(notes(&system), "", "the table is gone");
    system.done(&["store", "restore", "keeper", "keeper.backup"]);
    assert_eq!(notes(&system), "1");
    let unknown = system.motet(&["store", "backup", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", shown(&unknown));
}
