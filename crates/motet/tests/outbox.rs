//! Outboxes of whole systems in stores on real servers: what was committed arrives, in whatever order it was, and what was rolled back does not.
//! (`events.rs` does the same with SQLite, whose transactions cannot cross each other.)

use crate::scratch::{PATIENCE, Scratch, until};
use motet_testkit::{mysql::Mysql, postgres::Postgres};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

/// `POST /run?session=a` runs the SQL of its body in a session that stays open; `POST /on/order` writes down what comes.
const SERVICE: &str = r#"
import http.server, json, os, subprocess, urllib.parse
if "PGHOST" in os.environ: command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1"]
elif "MYSQL_HOST" in os.environ:
    command = ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "--unbuffered", "--host", os.environ["MYSQL_HOST"],
        "--port", os.environ["MYSQL_PORT"], "--user", os.environ["MYSQL_USER"], os.environ["MYSQL_DATABASE"]]
sessions = {}
def run(session, sql):
    if session not in sessions:
        sessions[session] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    it = sessions[session]
    it.stdin.write(sql + ";\nSELECT 'so far';\n")
    it.stdin.flush()
    while (line := it.stdout.readline()) != "so far\n":
        if not line: raise RuntimeError("the session has ended")
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_GET(self): self.answer(200)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if self.path == "/on/order":
            with open("seen", "a") as seen: seen.write(f"{json.loads(body)['n']}\n")
        else: run(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["session"][0], body)
        self.answer(204)
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// A system whose ledger has an outbox in a store of this kind, with the table of the book.
fn system(engine: &str, url: &str, begins: &str) -> Scratch {
    let definition = format!(
        "
motet: 1
system: crossing
topics: {{ order.placed: {{}} }}
services:
  ledger:
    path: .
    process: {{ command: python3 ledger.py }}
    ready: {{ http: /healthz }}
    store: {{ {engine}: {{}} }}
    publishes: [order.placed]
    outbox: {{}}
  mail:
    path: .
    process: {{ command: python3 ledger.py }}
    ready: {{ http: /healthz }}
    subscribes: {{ order.placed: {{ to: /on/order }} }}
engines:
  stores: {{ {engine}: {{ url: \"{url}\" }} }}
gateway:
  listen: 127.0.0.1:0
  routes: {{ /ledger: {{ to: ledger, strip_prefix: true }} }}
"
    );
    let system = Scratch::new(&definition);
    fs::write(system.path().join("ledger.py"), SERVICE).expect("written");
    system.up();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let page = fs::read_to_string(page).expect("the page");
    let tables = page.split("```sql\n").filter_map(|block| block.split("```").next());
    let table = tables.into_iter().find(|block| block.starts_with("CREATE TABLE outbox") && block.contains(begins));
    run(&system, "first", table.expect("the table of the book"));
    system
}

/// Runs SQL in a session of the ledger.
fn run(system: &Scratch, session: &str, sql: &str) {
    let mut stream = TcpStream::connect(system.gateway()).expect("a gateway");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let length = sql.len();
    write!(
        stream,
        "POST /ledger/run?session={session} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{sql}"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 204"), "{sql}: {answer}\n{}", system.done(&["logs", "ledger"]));
}

fn seen(system: &Scratch) -> Vec<u32> {
    let seen = fs::read_to_string(system.path().join("seen")).unwrap_or_default();
    seen.lines().map(|line| line.parse().expect("a number")).collect()
}

fn what_is_committed_arrives_whenever_it_was_written(system: &Scratch, quote: char) {
    let insert = |n: u32| {
        format!(
            "INSERT INTO outbox (id, topic, type, {quote}key{quote}, data) VALUES ('{n}', 'order.placed', 'placed', 'o-{n}', '{{\"n\": {n}}}')"
        )
    };
    // The first number of all is the last to be committed, and the second never is.
    run(system, "late", &format!("BEGIN; {}", insert(1)));
    run(system, "never", &format!("BEGIN; {}", insert(2)));
    for n in 3..=5 {
        run(system, "quick", &insert(n));
    }
    // Between keys there is no order.
    let sorted = || {
        let mut seen = seen(system);
        seen.sort_unstable();
        seen
    };
    until("those that were committed have come", || seen(system).len() >= 3);
    assert_eq!(sorted(), [3, 4, 5]);
    run(system, "never", "ROLLBACK");
    run(system, "late", "COMMIT");
    until("the late one has come", || seen(system).len() >= 4);
    assert_eq!(sorted(), [1, 3, 4, 5]);
    until("it is told", || {
        system.done(&["metrics"]).contains("motet_relay_rows_published_total{service=\"ledger\"} 4")
    });
    // What was published stays so, also for the next run.
    system.done(&["down"]);
    system.up();
    run(system, "quick", &insert(6));
    until("the next one has come", || seen(system).len() >= 5);
    assert_eq!(sorted(), [1, 3, 4, 5, 6]);
}

#[test]
fn rows_of_an_outbox_in_mysql_arrive_though_transactions_cross() {
    let Some(server) = Mysql::shared() else { return };
    let system = system("mysql", &server.admin_url(), "AUTO_INCREMENT");
    what_is_committed_arrives_whenever_it_was_written(&system, '`');
    let stores = system.done(&["store", "list"]);
    assert!(stores.contains("MariaDB") && stores.contains("crossing_ledger"), "{stores}");
    // A backup while everything runs, and back to it when nothing does.
    system.done(&["store", "backup", "ledger", "ledger.backup"]);
    run(&system, "quick", "DELETE FROM outbox");
    system.done(&["down"]);
    system.done(&["store", "restore", "ledger", "ledger.backup"]);
    system.up();
    run(
        &system,
        "quick",
        "INSERT INTO outbox (id, topic, type, data) SELECT 7, topic, type, '{\"n\": 7}' FROM outbox WHERE id = '6'",
    );
    until("what was in the backup is there", || seen(&system).last() == Some(&7));
}

#[test]
fn rows_of_an_outbox_in_postgres_arrive_though_transactions_cross() {
    let Some(server) = Postgres::shared() else { return };
    let system = system("postgres", &server.admin_url(), "GENERATED ALWAYS");
    what_is_committed_arrives_whenever_it_was_written(&system, '"');
}
