//! Events as services meet them: published to `$MOTET_URL`, pushed to a path through the data plane, fetched with a lease; and what is left
//! of them when things are killed.

use crate::scratch::{PATIENCE, Scratch, get, kill, until};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

/// `POST /publish?topic=…` publishes its body; `POST /on/order` writes down what comes, unless a file says that it fails.
pub(crate) const SHOP: &str = r#"
import http.server, json, os, urllib.error, urllib.parse, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path.startswith("/next"):
            with urllib.request.urlopen(os.environ["MOTET_URL"] + "/subscriptions/order.placed/next?max=10&wait=5s") as fetched:
                return self.answer(200, fetched.read())
        self.answer(200)
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/on/order":
            failing = open("failing").read().strip() if os.path.exists("failing") else ""
            order = json.loads(body)
            if failing and order["orderId"] == failing: return self.answer(422 if order.get("bad") else 503, b"not now")
            with open("seen", "a") as seen:
                line = {"id": self.headers["ce-id"], "order": order["orderId"], "n": order.get("n"),
                        "delivery": self.headers["ce-motetattempt"], "caller": self.headers["x-motet-caller"]}
                seen.write(json.dumps(line) + "\n")
            return self.answer(204)
        topic = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["topic"][0]
        headers = {name: value for name, value in self.headers.items() if name.lower().startswith(("ce-", "content-type"))}
        request = urllib.request.Request(os.environ["MOTET_URL"] + "/topics/" + topic, body, headers)
        try:
            with urllib.request.urlopen(request) as answer: self.answer(answer.status, answer.read())
        except urllib.error.HTTPError as error: self.answer(error.code, error.read())
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

pub(crate) const DEFINITION: &str = "
motet: 1
system: shop
topics:
  order.placed: { schema: order.schema.json, key: /orderId }
  order.lost: {}
services:
  shop: { path: ., process: { command: python3 shop.py }, ready: { http: /healthz }, publishes: [order.placed] }
  mail:
    path: .
    process: { command: python3 shop.py }
    ready: { http: /healthz }
    subscribes:
      order.placed: { to: /on/order, retry: { attempts: 1000, backoff: { initial: 100ms, max: 200ms } } }
  worker:
    path: .
    process: { command: python3 shop.py }
    ready: { http: /healthz }
    subscribes: { order.placed: { pull: true } }
gateway:
  listen: 127.0.0.1:0
  routes: { /shop: { to: shop, strip_prefix: true }, /worker: { to: worker, strip_prefix: true } }
";

fn shop() -> Scratch {
    let system = Scratch::new(DEFINITION);
    fs::write(system.path().join("shop.py"), SHOP).expect("written");
    let schema =
        json!({ "type": "object", "properties": { "orderId": { "type": "string" } }, "required": ["orderId"] });
    fs::write(system.path().join("order.schema.json"), schema.to_string()).expect("written");
    system.up();
    system
}

/// Publishes by way of the service; the status and the answer.
pub(crate) fn publish(gateway: &str, topic: &str, id: Option<&str>, data: &Value) -> (u16, Value) {
    let (data, mut stream) = (data.to_string(), TcpStream::connect(gateway).expect("a gateway"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let event = id.map_or(String::new(), |id| {
        format!("ce-specversion: 1.0\r\nce-id: {id}\r\nce-source: /test\r\nce-type: order.placed\r\n")
    });
    write!(
        stream,
        "POST /shop/publish?topic={topic} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{event}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{data}",
        data.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// What the mailer has taken.
pub(crate) fn seen(system: &Scratch) -> Vec<Value> {
    let text = fs::read_to_string(system.path().join("seen")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn an_event_goes_from_a_service_to_a_path_and_to_a_worker_that_fetches() {
    let system = shop();
    let gateway = system.gateway();
    let (status, answer) = publish(&gateway, "order.placed", Some("e-1"), &json!({ "orderId": "o-1" }));
    assert_eq!(status, 202, "{answer}");
    assert_eq!(answer["receipts"][0]["id"], "e-1");
    until("it was delivered", || seen(&system).len() == 1);
    let taken = &seen(&system)[0];
    assert_eq!((&taken["id"], &taken["order"], &taken["delivery"]), (&json!("e-1"), &json!("o-1"), &json!("1")));
    assert_eq!(taken["caller"], "motet-events");

    let (status, fetched) = get(&gateway, "/worker/next").expect("an answer");
    let fetched: Value = serde_json::from_str(&fetched).expect("JSON");
    assert_eq!(status, 200);
    assert_eq!(fetched[0]["id"], "e-1", "{fetched}");

    // The same again is acknowledged and not told again.
    let (status, answer) = publish(&gateway, "order.placed", Some("e-1"), &json!({ "orderId": "o-1" }));
    assert_eq!((status, &answer["receipts"][0]["duplicate"]), (202, &json!(true)), "{answer}");
}

#[test]
fn what_may_not_be_published_is_refused_with_the_place_and_the_reason() {
    let system = shop();
    let gateway = system.gateway();
    let (status, answer) = publish(&gateway, "order.placed", None, &json!({ "orderId": 7 }));
    assert_eq!(status, 422, "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("/orderId")), "{answer}");
    let (status, answer) = publish(&gateway, "order.plced", None, &json!({}));
    assert_eq!(status, 404);
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("order.placed")), "{answer}");
    let (status, answer) = publish(&gateway, "order.lost", None, &json!({}));
    assert_eq!(status, 403);
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("publishes")), "{answer}");
    assert_eq!(seen(&system), Vec::<Value>::new());
}

#[test]
fn a_key_that_fails_holds_up_no_other_and_keeps_its_order() {
    let system = shop();
    let gateway = system.gateway();
    fs::write(system.path().join("failing"), "sick").expect("written");
    for n in 0..5 {
        for order in ["sick", "well"] {
            let (status, _) = publish(&gateway, "order.placed", None, &json!({ "orderId": order, "n": n }));
            assert_eq!(status, 202);
        }
    }
    let of = |order: &str| -> Vec<i64> {
        seen(&system).iter().filter(|seen| seen["order"] == order).filter_map(|seen| seen["n"].as_i64()).collect()
    };
    until("the other key is through", || of("well").len() == 5);
    assert_eq!(of("sick"), Vec::<i64>::new());
    fs::remove_file(system.path().join("failing")).expect("removed");
    until("the sick key is through", || of("sick").len() == 5);
    assert_eq!((of("sick"), of("well")), ((0..5).collect(), (0..5).collect()));
}

#[test]
fn what_was_acknowledged_survives_the_death_of_motet_itself() {
    let system = shop();
    let gateway = system.gateway();
    fs::write(system.path().join("failing"), "kept").expect("written");
    for n in 0..20 {
        let (status, _) = publish(&gateway, "order.placed", None, &json!({ "orderId": "kept", "n": n }));
        assert_eq!(status, 202);
    }
    kill(system.supervisor(), "KILL");
    fs::remove_file(system.path().join("failing")).expect("removed");
    system.up();
    let numbers = || -> Vec<i64> { seen(&system).iter().filter_map(|seen| seen["n"].as_i64()).collect() };
    until("all of them have come", || numbers().contains(&19));
    let mut once = numbers();
    once.dedup();
    assert_eq!(once, (0..20).collect::<Vec<_>>(), "in order, the same one twice at most in a row");
}

/// What a command prints as JSON.
pub(crate) fn told(system: &Scratch, arguments: &[&str]) -> Value {
    serde_json::from_str(&system.done(arguments)).expect("JSON")
}

pub(crate) fn subscription(system: &Scratch, name: &str) -> Value {
    let events = told(system, &["topics", "--json"]);
    let all = events["subscriptions"].as_array().expect("subscriptions");
    all.iter().find(|it| it["name"] == name).cloned().expect("the subscription")
}

#[test]
fn people_publish_look_on_and_repeat_what_was() {
    let system = shop();
    let published = |id: &str, order: &str| {
        let data = json!({ "orderId": order }).to_string();
        told(&system, &["publish", "order.placed", &data, "--id", id, "--json"])
    };
    assert_eq!(published("e-1", "o-1")["position"], 0);
    assert_eq!(published("e-1", "o-1")["duplicate"], true);
    let refused = system.motet(&["publish", "order.placed", r#"{"orderId": 7}"#]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/orderId"), "{refused:?}");
    let refused = system.motet(&["publish", "order.plced", "{}"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean `order.placed`?"), "{refused:?}");

    until("it was taken", || subscription(&system, "mail.order.placed")["totals"]["acknowledged"] == 1);
    let topics = told(&system, &["topics", "--json"]);
    let topic = topics["topics"].as_array().expect("topics").iter().find(|it| it["name"] == "order.placed");
    let topic = topic.expect("the topic");
    assert_eq!((&topic["kept"], &topic["published"], &topic["duplicates"]), (&json!(1), &json!(1), &json!(1)));
    assert!(topic["oldest_at"].is_string(), "{topic}");
    assert_eq!(subscription(&system, "worker.order.placed")["waiting"], 1);
    let metrics = system.done(&["metrics"]);
    let series = r#"{subscription="mail.order.placed",topic="order.placed"}"#;
    assert!(metrics.contains(&format!("motet_broker_events_acknowledged_total{series} 1\n")), "{metrics}");
    assert!(metrics.contains("motet_broker_events_published_total{topic=\"order.placed\"} 1\n"), "{metrics}");

    let tail = system.done(&["tail", "order.placed", "--from", "earliest", "-n", "1", "--json"]);
    let seen: Value = serde_json::from_str(&tail).expect("a line of JSON");
    assert_eq!((&seen["position"], &seen["event"]["id"]), (&json!(0), &json!("e-1")));
    assert_eq!(seen["event"]["data"], json!({ "orderId": "o-1" }));

    system.done(&["pause", "mail.order.placed"]);
    published("e-2", "o-2");
    assert_eq!(subscription(&system, "mail.order.placed")["paused"], true);
    system.done(&["replay", "mail.order.placed", "--from", "earliest"]);
    assert_eq!(seen_ids(&system), ["e-1"]);
    system.done(&["resume", "mail.order.placed"]);
    until("both have come, the first again", || seen_ids(&system).len() == 3);
    let mut ids = seen_ids(&system);
    ids.sort();
    assert_eq!(ids, ["e-1", "e-1", "e-2"]);
}

fn seen_ids(system: &Scratch) -> Vec<String> {
    seen(system).iter().filter_map(|seen| seen["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_dead_letter_says_why_and_is_redriven_or_dropped() {
    let system = shop();
    fs::write(system.path().join("failing"), "bad").expect("written");
    for id in ["e-1", "e-2", "e-3"] {
        system.done(&["publish", "order.placed", r#"{"orderId": "bad", "bad": true}"#, "--id", id]);
    }
    until("they were given up", || subscription(&system, "mail.order.placed")["dead_letters"] == 3);
    let letters = || told(&system, &["dead-letters", "list", "--json"]).as_array().cloned().expect("a list");
    let numbers = || letters().iter().map(|letter| letter["number"].to_string()).collect::<Vec<_>>();
    let first = &letters()[0];
    assert_eq!((&first["subscription"], &first["reason"]), (&json!("mail.order.placed"), &json!("permanent")));
    assert_eq!((&first["status"], &first["event"]["id"]), (&json!(422), &json!("e-1")));
    assert!(system.done(&["dead-letters", "list"]).contains("permanent, 422: not now"));
    let all = numbers();
    assert_eq!(all.len(), 3);
    assert!(system.done(&["dead-letters", "show", "mail.order.placed", &all[0]]).contains("\"orderId\": \"bad\""));
    let by = |sql: &str| told(&system, &["dead-letters", "list", "--where", sql, "--json"]).as_array().map(Vec::len);
    assert_eq!(by("motetreason = 'permanent' AND motetstatus = 422 AND motetattempt = 1"), Some(3));
    assert_eq!(by("id IN ('e-1', 'e-3')"), Some(2));
    assert_eq!(by("motetstatus = 503"), Some(0));
    let unreadable = system.motet(&["dead-letters", "drop", "mail.order.placed", "--where", "motetstatus ="]);
    assert!(String::from_utf8_lossy(&unreadable.stderr).contains("CloudEvents SQL"), "{unreadable:?}");
    assert_eq!(numbers(), all, "nothing was dropped");

    // With other data one is taken while the others would still fail.
    let edited = r#"{"orderId": "good"}"#;
    let refused = system.motet(&["dead-letters", "redrive", "mail.order.placed", &all[0], "--data", "{}"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    system.done(&["dead-letters", "redrive", "mail.order.placed", &all[0], "--data", edited]);
    until("it was delivered", || seen_ids(&system) == ["e-1"]);
    assert_eq!(seen(&system)[0]["order"], "good");

    system.done(&["dead-letters", "drop", "mail.order.placed", "--where", "id = 'e-2'"]);
    assert_eq!(numbers(), [all[2].clone()]);
    let again = system.motet(&["dead-letters", "drop", "mail.order.placed", &all[1]]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");

    fs::remove_file(system.path().join("failing")).expect("removed");
    system.done(&["dead-letters", "redrive", "mail.order.placed", "--all"]);
    until("the last one was delivered", || seen_ids(&system) == ["e-1", "e-3"]);
    assert_eq!(subscription(&system, "mail.order.placed")["dead_letters"], 0);
    let unknown = system.motet(&["dead-letters", "list", "mail.order.plced"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `mail.order.placed`?"), "{unknown:?}");
}

/// Writes a change and an event in one transaction, into tables that it makes itself: `POST /order` with the order, `?fail=1` rolls it back.
const LEDGER: &str = r#"
import http.server, json, os, sqlite3, uuid
def open_store():
    store = sqlite3.connect(os.environ["SQLITE_PATH"], timeout=10)
    store.execute("PRAGMA journal_mode=WAL")
    return store
open_store().executescript(open("outbox.sql").read().replace("CREATE TABLE outbox", "CREATE TABLE IF NOT EXISTS outbox")
    .replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS") + "CREATE TABLE IF NOT EXISTS orders (id TEXT);")
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_GET(self): self.answer(200)
    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        store = open_store()
        try:
            with store:
                store.execute("INSERT INTO orders VALUES (?)", (order["orderId"],))
                store.execute("INSERT INTO outbox (id, topic, type, key, data) VALUES (?, 'order.placed', 'order.placed', ?, ?)",
                    (str(uuid.uuid4()), order["orderId"], json.dumps(order)))
                if self.path.endswith("fail=1"): raise RuntimeError("rolled back")
        except RuntimeError: return self.answer(500)
        finally: store.close()
        self.answer(204)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

#[test]
fn a_row_of_a_services_outbox_becomes_an_event_exactly_when_its_transaction_is_committed() {
    let definition = DEFINITION
        .replace("gateway:", "  ledger: { path: ., process: { command: python3 ledger.py }, ready: { http: /healthz }, store: { sqlite: {} }, publishes: [order.placed], outbox: {} }\ngateway:")
        .replace("routes: {", "routes: { /ledger: { to: ledger, strip_prefix: true },");
    let system = Scratch::new(&definition);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let page = fs::read_to_string(page).expect("the page");
    let table = page.split("```sql\n").find(|block| block.starts_with("CREATE TABLE outbox")).expect("the table");
    fs::write(system.path().join("outbox.sql"), table.split("```").next().expect("its end")).expect("written");
    fs::write(system.path().join("shop.py"), SHOP).expect("written");
    fs::write(system.path().join("ledger.py"), LEDGER).expect("written");
    let schema =
        json!({ "type": "object", "properties": { "orderId": { "type": "string" } }, "required": ["orderId"] });
    fs::write(system.path().join("order.schema.json"), schema.to_string()).expect("written");
    system.up();
    let gateway = system.gateway();
    let order = |path: &str, n: i64| {
        let data = json!({ "orderId": "o-1", "n": n }).to_string();
        let mut stream = TcpStream::connect(&gateway).expect("a gateway");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        write!(
            stream,
            "POST /ledger{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{data}",
            data.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
    };
    for n in 0..10 {
        order("/order", n);
        order("/order?fail=1", 100 + n);
    }
    let numbers = || -> Vec<i64> { seen(&system).iter().filter_map(|seen| seen["n"].as_i64()).collect() };
    until("all that was committed has come", || numbers().len() >= 10);
    assert_eq!(numbers(), (0..10).collect::<Vec<_>>());
    let metrics = system.done(&["metrics"]);
    assert!(metrics.contains("motet_relay_rows_published_total{service=\"ledger\"} 10"), "{metrics}");
}
