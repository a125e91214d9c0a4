//! An issuer's keys as they are now: read from a file or a URL, read again when they change, and kept when they cannot be had.
//!
//! Issuers change their keys without telling anybody, and tokens that are signed with the new one arrive before we know it. So a token
//! whose key is not known waits for one fresh look, and such looks are rationed: whoever sends made-up tokens costs the issuer no
//! more than one request per [`Issuer::refresh_min`].

use super::{
    fetch::{self, FetchError},
    jwt::Algorithm,
    keyset::{KeySet, NoKeySet},
    stamp::Stamp,
};
use motet_kernel::task::{Kind, TaskGroup};
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Who issues tokens that the gateway believes.
#[derive(Debug, Clone, PartialEq)]
pub struct Issuer {
    /// What tokens have as `iss`, letter by letter.
    pub issuer: String,
    /// What tokens have as `aud`, or among it.
    pub audience: String,
    /// Where its public keys are.
    pub keys: KeysFrom,
    /// How tokens may be signed. Default: in each way that has a public key.
    pub algorithms: Vec<Algorithm>,
    /// By how much its clock and ours may differ. Default 30 s.
    pub leeway: Duration,
    /// How often keys are fetched from a URL. Default 10 min. (A file is looked at every two seconds.)
    pub refresh: Duration,
    /// How much time lies between two looks that tokens with unknown keys cause, and after one that failed. Default 10 s; of a
    /// file at most 1 s.
    pub refresh_min: Duration,
}

/// Where public keys are, as a JWK set (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// In a file.
    File(PathBuf),
    /// Behind a URL.
    Url {
        /// `https://…`, or `http://…` within a network that is trusted.
        url: http::Uri,
        /// The certificates (PEM) that may have signed the server's own. `None`: those that the machine trusts.
        ca: Option<PathBuf>,
    },
}

impl Issuer {
    /// An issuer with every default.
    pub fn new(issuer: &str, audience: &str, keys: KeysFrom) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            keys,
            algorithms: Algorithm::ALL.to_vec(),
            leeway: Duration::from_secs(30),
            refresh: Duration::from_secs(600),
            refresh_min: Duration::from_secs(10),
        }
    }
}

/// Why keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    /// The file could not be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// The URL gave none.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was read is no set of keys.
    #[error(transparent)]
    Content(#[from] NoKeySet),
}

/// See the module. Its keeper ends with it.
#[derive(Debug)]
pub(crate) struct Jwks {
    shared: Arc<Shared>,
    _keeper: DropGuard,
}

#[derive(Debug)]
struct Shared {
    from: KeysFrom,
    pace: Pace,
    state: watch::Sender<State>,
    wanted: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    refresh: Duration,
    refresh_min: Duration,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// How many looks there were, with and without success.
    looks: u64,
    looked: Option<Instant>,
}

/// How long a token waits for a look: a little longer than one takes.
const WAIT: Duration = Duration::from_secs(6);
const FILE_EVERY: Duration = Duration::from_secs(2);

impl Jwks {
    /// Reads keys from now on. A file has to be readable at once; a URL may become so later.
    pub(crate) async fn open(issuer: &Issuer, group: &TaskGroup) -> Result<Arc<Self>, NoKeys> {
        let pace = Pace::of(issuer);
        let stop = CancellationToken::new();
        let from = issuer.keys.clone();
        let shared = Arc::new(Shared { from, pace, state: watch::Sender::default(), wanted: Notify::new() });
        let stamp = match &issuer.keys {
            KeysFrom::File(file) => {
                let stamp = Stamp::of(file).await;
                let keys = read(&issuer.keys).await?;
                shared.looked(Some(keys));
                stamp
            }
            KeysFrom::Url { .. } => Stamp::default(),
        };
        let (kept, stopped) = (Arc::clone(&shared), stop.clone());
        group.spawn_dropping(Kind::Periodic, "gateway keys", async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = keep(&kept, stamp) => {}
            }
        });
        Ok(Arc::new(Self { shared, _keeper: stop.drop_guard() }))
    }

    /// Whether it reads from where this issuer's keys are, as often.
    pub(crate) fn is_of(&self, issuer: &Issuer) -> bool {
        self.shared.from == issuer.keys && self.shared.pace == Pace::of(issuer)
    }

    /// The keys, and how many looks were taken for them.
    pub(crate) fn now(&self) -> (Option<Arc<KeySet>>, u64) {
        let state = self.shared.state.borrow();
        (state.keys.clone(), state.looks)
    }

    /// Waits for one more look, unless the last one was just now.
    pub(crate) async fn newer_than(&self, looks: u64) {
        let mut state = self.shared.state.subscribe();
        let just_now = state.borrow().looked.is_some_and(|looked| looked.elapsed() < self.shared.pace.refresh_min);
        if just_now {
            return;
        }
        self.shared.wanted.notify_one();
        // In vain when it takes too long: then what is known has to do.
        let _ = timeout(WAIT, state.wait_for(|state| state.looks > looks)).await;
    }
}

impl Shared {
    fn looked(&self, keys: Option<KeySet>) {
        self.state.send_modify(|state| {
            if let Some(keys) = keys {
                state.keys = Some(Arc::new(keys));
            }
            state.looks += 1;
            state.looked = Some(Instant::now());
        });
    }
}

impl Pace {
    fn of(issuer: &Issuer) -> Self {
        match issuer.keys {
            KeysFrom::File(_) => {
                Self { refresh: FILE_EVERY, refresh_min: issuer.refresh_min.min(Duration::from_secs(1)) }
            }
            KeysFrom::Url { .. } => Self { refresh: issuer.refresh, refresh_min: issuer.refresh_min },
        }
    }
}

/// Looks for keys at intervals, and when somebody wants a look.
async fn keep(jwks: &Shared, mut stamp: Stamp) {
    let mut failing = false;
    let mut first = true;
    loop {
        let asked = match (first, &jwks.from) {
            // A file has been read just before.
            (true, KeysFrom::Url { .. }) => false,
            _ => {
                let pause = if failing { jwks.pace.refresh_min.min(jwks.pace.refresh) } else { jwks.pace.refresh };
                tokio::select! {
                    () = sleep(pause) => false,
                    () = jwks.wanted.notified() => true,
                }
            }
        };
        first = false;
        if asked {
            let looked = jwks.state.borrow().looked;
            if let Some(looked) = looked {
                sleep_until(looked + jwks.pace.refresh_min).await;
            }
        }
        if let KeysFrom::File(file) = &jwks.from {
            let now = Stamp::of(file).await;
            if now == stamp && !failing {
                if asked {
                    jwks.looked(None);
                }
                continue;
            }
            stamp = now;
        }
        let keys = read(&jwks.from).await;
        failing = keys.is_err();
        match &keys {
            Ok(keys) => tracing::debug!(from = %jwks.from, keys = keys.len(), "signing keys were read"),
            Err(error) => {
                let error: &dyn std::error::Error = error;
                tracing::warn!(from = %jwks.from, error, "signing keys cannot be had; those that are known stay in force");
            }
        }
        jwks.looked(keys.ok());
    }
}

async fn read(from: &KeysFrom) -> Result<KeySet, NoKeys> {
    let document = match from {
        KeysFrom::File(file) => fetch::file(file).await.map_err(NoKeys::Unreadable)?,
        KeysFrom::Url { url, ca } => fetch::get(url, ca.as_deref()).await?,
    };
    Ok(KeySet::read(&document)?)
}

impl std::fmt::Display for KeysFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Url { url, .. } => url.fmt(f),
        }
    }
}
