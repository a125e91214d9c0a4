//! Jobs as services meet them: asked for at `$MOTET_URL`, run through the data plane, told of by callbacks and events; and what is left of them
//! when things are killed.

use crate::scratch::{PATIENCE, Scratch, kill, until};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// `/ask/…` asks the service's own `$MOTET_URL` for the rest, with headers `q-…` as `x-motet-…`: what comes in over the gateway may not have those.
/// Everything else is what jobs ask: it is written down in `seen` and answered by what its path says.
const SERVICE: &str = r#"
import http.server, json, os, threading, time, urllib.error, urllib.request
def ask(method, path, body=None, headers={}):
    request = urllib.request.Request(os.environ["MOTET_URL"] + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer: return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error: return error.code, dict(error.headers), error.read()
def later(job):
    ask("PUT", f"/jobs/{job}/progress", b'{"percent": 50}')
    while not os.path.exists("finish"): time.sleep(0.02)
    ask("POST", f"/jobs/{job}/complete", b"late, but done", {"content-type": "text/x-late"})
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body=b"", headers={}):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "date", "server", "transfer-encoding"): self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self): self.any()
    def do_PUT(self): self.any()
    def do_POST(self): self.any()
    def any(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/healthz": return self.answer(200)
        if self.path.startswith("/ask/"):
            headers = {("x-motet-" + name[2:] if name.lower().startswith("q-") else name): value
                       for name, value in self.headers.items()
                       if name.lower().startswith(("q-", "idempotency", "content-type", "x-own", "authorization"))}
            return self.answer(*(lambda status, headers, body: (status, body, headers))(*ask(self.command, self.path[4:], body or None, headers)))
        job, attempt = self.headers["x-motet-job"], int(self.headers["x-motet-job-attempt"])
        with open("seen", "a") as seen:
            seen.write(json.dumps({"path": self.path, "body": body.decode(), "job": job, "attempt": attempt,
                "headers": {name.lower(): value for name, value in self.headers.items()}}) + "\n")
        if self.path.startswith("/twice") and attempt < 3: return self.answer(503, b"not yet")
        if self.path.startswith("/bad"): return self.answer(422, b'{"no":"pages"}', {"Content-Type": "application/problem+json"})
        if self.path.startswith("/hang"):
            open("hanging", "w").close()
            self.connection.settimeout(60)
            if self.connection.recv(1) == b"": open("taken-back", "w").close()
            return
        if self.path.startswith("/closed") and not os.path.exists("open"): return self.answer(503, b"closed")
        if self.path.startswith("/later"):
            threading.Thread(target=later, args=(job,), daemon=True).start()
            return self.answer(202)
        self.answer(201, b"parsed " + body, {"Content-Type": "text/x-parsed", "ETag": '"7"'})
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

const DEFINITION: &str = "
motet: 1
system: jobs
topics:
  job.done: {}
services:
  shop:
    path: .
    process: { command: python3 jobs.py }
    ready: { http: /healthz }
    uses: { parser: { wait: none } }
    publishes: [job.done]
  parser:
    path: .
    process: { command: python3 jobs.py }
    ready: { http: /healthz }
    jobs: { retry: { attempts: 500, backoff: { initial: 50ms, max: 100ms } } }
  stranger:
    path: .
    process: { command: python3 jobs.py }
    ready: { http: /healthz }
    uses: { shop: { wait: none } }
    jobs: {}
gateway:
  listen: 127.0.0.1:0
  routes: { /shop: { to: shop, strip_prefix: true }, /parser: { to: parser, strip_prefix: true }, /stranger: { to: stranger, strip_prefix: true } }
";

fn system() -> Scratch {
    let system = Scratch::new(DEFINITION);
    fs::write(system.path().join("jobs.py"), SERVICE).expect("written");
    system.up();
    system
}

struct Told {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// One request by way of a service, as it would ask its own address.
fn ask(system: &Scratch, service: &str, request: &str, headers: &[(&str, &str)], body: &str) -> Told {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let mut stream = TcpStream::connect(system.gateway()).expect("a gateway");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        stream,
        "{method} /{service}/ask{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Told { status, headers, body: body.to_owned() }
}

/// Asks for a job that has to be taken; its id.
fn submit(system: &Scratch, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let told = ask(system, "shop", &format!("POST /jobs/parser{path}"), headers, body);
    assert_eq!(told.status, 202, "{}", told.body);
    let id = told.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(told.headers["location"], format!("/jobs/{id}"));
    id
}

fn job(system: &Scratch, id: &str) -> Value {
    ask(system, "shop", &format!("GET /jobs/{id}"), &[], "").json()
}

fn ends_as(system: &Scratch, id: &str, state: &str) -> Value {
    let job = ask(system, "shop", &format!("GET /jobs/{id}?wait=60s"), &[], "").json();
    assert_eq!(job["state"], state, "{job:#}");
    job
}

/// The requests that services have seen.
fn seen(system: &Scratch) -> Vec<Value> {
    let text = fs::read_to_string(system.path().join("seen")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_job_is_tried_until_it_succeeds_and_its_result_is_the_answer_as_it_was() {
    let system = system();
    let headers =
        [("content-type", "text/plain"), ("x-own", "kept"), ("authorization", "Bearer s"), ("q-event", "job.done")];
    let id = submit(&system, "/twice/a%20b?lang=de", &headers, "a document");
    let job = ends_as(&system, &id, "succeeded");
    assert_eq!(
        (&job["attempts"], &job["path"], &job["caller"]),
        (&json!(3), &json!("/twice/a%20b?lang=de"), &json!("shop"))
    );
    assert_eq!(job["last_error"]["status"], 503);
    let result = ask(&system, "shop", &format!("GET /jobs/{id}/result?wait=30s"), &[], "");
    assert_eq!((result.status, result.body.as_str()), (201, "parsed a document"));
    let told = ["content-type", "etag", "x-motet-job-state", "x-motet-job"].map(|name| result.headers[name].as_str());
    assert_eq!(told, ["text/x-parsed", "\"7\"", "succeeded", &id]);

    let seen = seen(&system);
    assert_eq!(seen.iter().map(|seen| seen["attempt"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
    let headers = &seen[2]["headers"];
    assert_eq!((&headers["x-own"], &headers["content-type"]), (&json!("kept"), &json!("text/plain")));
    assert_eq!((&headers["x-motet-job-from"], &headers["authorization"]), (&json!("shop"), &Value::Null));
    until("its end is an event", || {
        let topics: Value = serde_json::from_str(&system.done(&["topics", "--json"])).expect("JSON");
        topics["topics"][0]["published"] == 1
    });
}

#[test]
fn what_is_refused_says_why() {
    let system = system();
    for (service, request, headers, status, part) in [
        ("shop", "POST /jobs/parse/x", &[][..], 404, "did you mean `parser`?"),
        ("shop", "POST /jobs/shop/x", &[], 404, "has `jobs: {}`"),
        ("stranger", "POST /jobs/parser/x", &[], 403, "write it under `uses:`"),
        ("shop", "GET /jobs/parser/x", &[], 405, "takes POST"),
        ("shop", "GET /jobs/job_1", &[], 404, "there is no job"),
        ("shop", "GET /jobs/job_01890000000070008000000000000000", &[], 404, "there is no job"),
        ("shop", "POST /jobs/parser/../secret", &[], 400, "leaves the service"),
        ("shop", "POST /jobs/parser/a/%2E%2e/b", &[], 400, "leaves the service"),
        ("shop", "POST /jobs/parser/x", &[("q-attempts", "0")], 400, "from 1 to 10000"),
        ("shop", "POST /jobs/parser/x", &[("q-delay", "soon")], 400, "x-motet-delay"),
        ("shop", "POST /jobs/parser/x", &[("q-callback", "stranger/x")], 403, "cannot let `stranger` be called back"),
        ("shop", "POST /jobs/parser/x", &[("q-event", "job.don")], 404, "did you mean `job.done`?"),
        ("stranger", "POST /jobs/stranger/x", &[("q-event", "job.done")], 403, "does not publish `job.done`"),
    ] {
        let told = ask(&system, service, request, headers, "{}");
        assert_eq!(told.status, status, "{request}: {}", told.body);
        let problem = told.json();
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{request}: {problem}");
        assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:motet:error:MO-")), "{problem}");
    }
    let id = submit(&system, "/bad", &[], "x");
    assert_eq!(ends_as(&system, &id, "failed")["attempts"], 1);
    let result = ask(&system, "shop", &format!("GET /jobs/{id}/result"), &[], "");
    assert_eq!((result.status, result.body.as_str()), (422, r#"{"no":"pages"}"#), "a failure's answer, as it was");
    assert_eq!(ask(&system, "stranger", &format!("GET /jobs/{id}"), &[], "").status, 404, "nobody else's business");
    let told = ask(&system, "shop", &format!("POST /jobs/{id}/cancel"), &[], "");
    assert_eq!((told.status, told.json()["type"].clone()), (409, json!("urn:motet:error:MO-jobs-106")));
}

#[test]
fn the_same_key_is_the_same_job_and_another_request_with_it_is_refused() {
    let system = system();
    let key = [("idempotency-key", "upload-7")];
    let id = submit(&system, "/x", &key, "one");
    assert_eq!(submit(&system, "/x", &key, "one"), id);
    ends_as(&system, &id, "succeeded");
    assert_eq!(submit(&system, "/x", &key, "one"), id, "after its end too");
    let told = ask(&system, "shop", "POST /jobs/parser/x", &key, "another");
    assert_eq!((told.status, told.json()["type"].clone()), (422, json!("urn:motet:error:MO-jobs-103")));
    assert_eq!(seen(&system).len(), 1);
}

#[test]
fn a_running_job_that_is_cancelled_is_taken_back_and_one_that_waits_never_begins() {
    let system = system();
    let running = submit(&system, "/hang", &[], "");
    let waiting = submit(&system, "/x", &[("q-delay", "1h")], "");
    until("it runs", || system.path().join("hanging").exists());
    assert_eq!(job(&system, &waiting)["state"], "queued");
    for id in [&running, &waiting] {
        let told = ask(&system, "shop", &format!("POST /jobs/{id}/cancel"), &[], "");
        assert_eq!((told.status, told.json()["state"].clone()), (200, json!("cancelled")));
    }
    until("the handler's connection is closed", || system.path().join("taken-back").exists());
    assert_eq!(ask(&system, "shop", &format!("GET /jobs/{running}/result"), &[], "").status, 410);
    // Another one goes through, and by then neither of the two has come (again).
    let other = submit(&system, "/y", &[], "");
    ends_as(&system, &other, "succeeded");
    let paths: Vec<Value> = seen(&system).iter().map(|seen| seen["path"].clone()).collect();
    assert_eq!(paths, ["/hang", "/y"]);
    let told = ask(&system, "shop", &format!("POST /jobs/{waiting}/retry"), &[], "");
    assert_eq!(told.status, 202, "{}", told.body);
    ends_as(&system, &waiting, "succeeded");
}

#[test]
fn a_handler_that_answers_202_tells_how_far_it_is_and_completes_later() {
    let system = system();
    let id = submit(&system, "/later", &[("q-callback", "/told?by=parser")], "");
    until("it says how far it is", || job(&system, &id)["progress"]["percent"] == 50);
    let now = job(&system, &id);
    assert_eq!(now["state"], "running");
    assert!(now["leased_until"].is_string(), "{now}");
    let told = ask(&system, "shop", &format!("POST /jobs/{id}/extend?by=30s"), &[], "");
    assert_eq!(told.status, 403, "only who does the job may: {}", told.body);
    assert_eq!(ask(&system, "parser", &format!("POST /jobs/{id}/extend?by=30s"), &[], "").status, 200);
    assert_eq!(ask(&system, "shop", &format!("GET /jobs/{id}/result"), &[], "").status, 202, "not over");
    fs::write(system.path().join("finish"), "").expect("written");
    ends_as(&system, &id, "succeeded");
    let result = ask(&system, "shop", &format!("GET /jobs/{id}/result"), &[], "");
    assert_eq!((result.body.as_str(), result.headers["content-type"].as_str()), ("late, but done", "text/x-late"));
    until("the caller is told", || seen(&system).len() == 2);
    let told = &seen(&system)[1];
    assert_eq!(
        (&told["path"], &told["headers"]["ce-type"]),
        (&json!("/told?by=parser"), &json!("motet.job.succeeded"))
    );
    let body: Value = serde_json::from_str(told["body"].as_str().expect("text")).expect("JSON");
    assert_eq!((&body["id"], &body["result"]["bytes"]), (&json!(id), &json!(14)));
}

#[test]
fn kill_minus_9_loses_neither_jobs_nor_their_ends() {
    let system = system();
    let later = submit(&system, "/later", &[], "");
    until("it says how far it is", || job(&system, &later)["progress"]["percent"] == 50);
    let hanging = submit(&system, "/hang", &[], "");
    until("it runs", || system.path().join("hanging").exists());
    // These come last: a handler that fails so often opens the circuit of its edge for all of them.
    let closed = |n: usize| submit(&system, "/closed", &[("q-callback", "/told")], &n.to_string());
    let waiting: Vec<String> = (0..20).map(closed).collect();
    kill(system.supervisor(), "KILL");
    fs::write(system.path().join("open"), "").expect("written");
    fs::remove_file(system.path().join("hanging")).expect("it hung");
    system.up();
    for id in &waiting {
        ends_as(&system, id, "succeeded");
    }
    let told = || -> Vec<String> {
        let told = seen(&system).into_iter().filter(|seen| seen["path"] == "/told");
        told.filter_map(|seen| {
            Some(serde_json::from_str::<Value>(seen["body"].as_str()?).ok()?["id"].as_str()?.to_owned())
        })
        .collect()
    };
    until("all ends are told", || waiting.iter().all(|id| told().contains(id)));
    until("what ran comes again", || system.path().join("hanging").exists());
    let now = job(&system, &hanging);
    assert_eq!((&now["attempts"], &now["state"]), (&json!(2), &json!("running")), "{now:#}");
    let now = job(&system, &later);
    assert_eq!((&now["attempts"], &now["state"]), (&json!(1), &json!("running")), "its lease goes on: {now:#}");
}
