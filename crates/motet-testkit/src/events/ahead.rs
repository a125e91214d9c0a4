//! Cases that run before the test harness asks for them.
//!
//! The harness runs as many tests at once as the machine has cores, and a case mostly waits: for a lease, a backoff, a server. So where all tests
//! are run, some threads go through the cases of an engine from the end of the list, while the harness goes through them from the beginning; who
//! comes to a case first runs it, and a case that ran ahead is answered from what became of it. Only cases that share their server do so.

use super::{CASES, Server};
use std::{
    any::{Any, type_name},
    collections::HashMap,
    env,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// So many run beside those of the harness.
const THREADS: usize = 4;

type Panic = Box<dyn Any + Send>;

enum State {
    Begun,
    Done(Result<(), Panic>),
}

/// Of each engine, each case that was begun.
#[derive(Default)]
struct Board {
    states: Mutex<Option<HashMap<(&'static str, &'static str), State>>>,
    changed: Condvar,
}

static BOARD: Board = Board { states: Mutex::new(None), changed: Condvar::new() };

impl Board {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<(&'static str, &'static str), State>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has begun it before.
    fn begin(&self, engine: &'static str, case: &'static str) -> bool {
        let mut states = self.lock();
        let states = states.get_or_insert_default();
        if states.contains_key(&(engine, case)) {
            return false;
        }
        states.insert((engine, case), State::Begun);
        true
    }

    fn done(&self, engine: &'static str, case: &'static str, result: Result<(), Panic>) {
        self.lock().get_or_insert_default().insert((engine, case), State::Done(result));
        self.changed.notify_all();
    }

    /// Waits for what becomes of it.
    fn result(&self, engine: &'static str, case: &'static str) -> Result<(), Panic> {
        let mut states = self.lock();
        loop {
            let found = states.get_or_insert_default().remove(&(engine, case));
            match found {
                Some(State::Done(result)) => return result,
                Some(State::Begun) => drop(states.get_or_insert_default().insert((engine, case), State::Begun)),
                None => return Ok(()),
            }
            states = self.changed.wait(states).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Runs a case, or says what became of it. `run` runs one; `E` is the engine.
pub(super) fn run<E: Copy + Send + 'static>(name: &'static str, engine: E, run: fn(&str, E)) {
    if env::args_os().len() > 1 || env::var_os("RUST_TEST_THREADS").is_some() {
        // Somebody chose tests, or how many run at once.
        return run(name, engine);
    }
    let group = type_name::<E>();
    if BOARD.begin(group, "") {
        for at in 0..THREADS {
            thread::spawn(move || {
                let shared = CASES.iter().filter(|case| case.server == Server::Shared);
                for case in shared.rev().skip(at).step_by(THREADS) {
                    if BOARD.begin(group, case.name) {
                        BOARD.done(group, case.name, catch_unwind(AssertUnwindSafe(|| run(case.name, engine))));
                    }
                }
            });
        }
    }
    if BOARD.begin(group, name) {
        return run(name, engine);
    }
    if let Err(panic) = BOARD.result(group, name) {
        // What it said was kept as part of the test whose thread it was on.
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let _ = writeln!(io::stderr(), "{name} ran ahead and failed: {}", said.unwrap_or_default());
        resume_unwind(panic);
    }
}
