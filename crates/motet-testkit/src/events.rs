//! The conformance suite of the events engines: the same cases over the engine in this process and over real servers.
//!
//! Events are to mean the same whichever engine keeps them. So the cases speak only two languages: the port
//! ([`motet_broker::Transport`]), which an engine implements, and the broker's [`motet_broker::Handle`] on top of it, which is what the
//! rest of the product sees. A case knows nothing of an engine but what [`Engine`] says.
//!
//! Cases run side by side on one server, in real time: each uses names that no other case and no earlier run uses, and waits for what it
//! wants to see, up to [`LIMIT`]. Cases that cut connections or kill the server say so ([`Server`]).
//!
//! An engine's test is two lines; each case becomes a test of its own:
//!
//! ```text
//! async fn engine(server: Server) -> Option<Arc<dyn Engine>> { … }
//! motet_testkit::event_conformance!(engine);
//! ```
//!
//! Map: [`Engine`] · [`CASES`] · `bench` (names, the store, the bare port) · `world` (a broker with its subscriber) · `script` (the
//! subscriber) · `list` (the names of all cases) · cases at the port: `appending`, `content`, `reading`, `keeping`; through the broker:
//! `publishing`, `large`, `delivery`, `failing`, `pulling`, `operating`, `foreign`; and when things die: `survival`

mod ahead;
mod appending;
mod bench;
mod content;
mod delivery;
mod failing;
mod foreign;
mod keeping;
mod large;
mod list;
mod operating;
mod publishing;
mod pulling;
mod reading;
mod script;
mod survival;
mod world;

use async_trait::async_trait;
use bench::Bench;
use motet_broker::{
    Event, TopicName, Transport,
    engine::{By, Capability, Support, find},
};
use motet_kernel::task::TaskGroup;
use motet_store::Store;
use std::{future::Future, io::Write, pin::Pin, sync::Arc, time::Duration};

/// No case waits longer than this for one thing. Long, because many tests share a machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A call to an engine that does not answer has failed after this long at the latest: ten seconds, and some for a busy machine.
pub const CALL_LIMIT: Duration = Duration::from_secs(15);

/// No case takes longer than this in all.
const CASE_LIMIT: Duration = Duration::from_secs(120);

/// An engine under test: a running server, or this process.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What it is called where a case says that it is skipped.
    fn name(&self) -> &str;

    /// A transport to it. Opened again later with the same store, everything must be there. Panics where it cannot be opened.
    async fn open(&self, store: &Store, group: &TaskGroup) -> Arc<dyn Transport>;

    /// Whether it is another process, so that connections to it can be cut. Where it is not, [`Engine::restart`] is not called: the case
    /// closes transport and store and opens them again.
    fn is_remote(&self) -> bool {
        true
    }

    /// All connections break, and none is made, until [`Engine::heal`]. What was sent may or may not have arrived.
    async fn cut(&self) {}

    /// Connections stay open, and nothing arrives any more, until [`Engine::heal`]: how a server that hangs looks from outside.
    async fn hold(&self) {}

    /// The network is whole again.
    async fn heal(&self) {}

    /// The server is killed (`kill -9`) and started again on the same data and address. Ready when it returns.
    async fn restart(&self) {}

    /// The engine's table, as `motet engines` prints it. A case that needs what nobody keeps there is skipped, and says why; there is no
    /// other way to skip one.
    fn support(&self) -> &[Support];

    /// Publishes into a topic (which exists) as a program would that has never heard of Motet, with the engine's plain client. False
    /// where there is no such way.
    async fn publish_foreign(&self, topic: &TopicName, what: Foreign<'_>) -> bool {
        let _ = (topic, what);
        false
    }
}

/// What other programs publish.
#[derive(Debug, Clone, Copy)]
pub enum Foreign<'a> {
    /// A CloudEvent in the engine's binary binding.
    Event(&'a Event),
    /// Bytes without any header.
    Plain(&'a [u8]),
}

/// Which server a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// One that other cases use at the same time.
    Shared,
    /// One that other cases may use too, over connections that only this case uses: [`Engine::cut`] will cut them.
    Proxied,
    /// One that nobody else uses: it will be killed.
    Own,
}

/// One rule of the contract.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The rule, as a sentence.
    pub name: &'static str,
    /// Where it runs.
    pub server: Server,
    /// What the engine has to keep, by itself or with Motet's help.
    pub needs: &'static [Capability],
    run: fn(Bench) -> Running,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

// The groups of the list name what they need without a path.
use Capability::{OtherPublishers, ReplayByPosition, ReplayByTime, RetentionBySize, RetentionByTime};
crate::with_event_cases!(event_case_list);

/// What the case needs and nobody keeps.
fn missing<'a>(case: &Case, engine: &'a dyn Engine) -> Option<&'a Support> {
    let support = case.needs.iter().filter_map(|need| find(engine.support(), *need));
    support.into_iter().find(|support| support.by == By::Nobody)
}

/// Runs one case on its own runtime, or says what became of it where it ran ahead. Panics with what was seen instead of what the rule says. Where
/// there is no engine, the case is skipped; whoever gives none has said why.
pub fn run<E, F>(name: &'static str, engine: E)
where
    E: FnOnce(Server) -> F + Copy + Send + 'static,
    F: Future<Output = Option<Arc<dyn Engine>>>,
{
    ahead::run(name, engine, run_here);
}

fn run_here<E, F>(name: &str, engine: E)
where
    E: FnOnce(Server) -> F,
    F: Future<Output = Option<Arc<dyn Engine>>>,
{
    let case = CASES.iter().find(|case| case.name == name).expect("the macro names what is in the list");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads for a runtime");
    runtime.block_on(async {
        let Some(engine) = engine(case.server).await else { return };
        if let Some(support) = missing(case, &*engine) {
            let (over, what, why) = (engine.name(), support.capability, support.note);
            let _ = writeln!(std::io::stderr(), "skipped over {over}, which has no {what}: {name}: {why}");
            return;
        }
        let done = tokio::time::timeout(CASE_LIMIT, (case.run)(Bench::new(engine))).await;
        assert!(done.is_ok(), "{name} took longer than {CASE_LIMIT:?}");
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}
