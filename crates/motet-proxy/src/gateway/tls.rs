//! TLS at the gateway: the certificate and its key from files, which are read again when they change. A pair that cannot be used leaves the
//! one before in force: an expired certificate is a nuisance, a gateway that is gone is an outage.

use super::stamp::Stamp;
use motet_kernel::task::{Kind, TaskGroup};
use parking_lot::RwLock;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::{Ticketer, default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The files of a gateway that speaks TLS (1.2 and 1.3), with HTTP/2 and HTTP/1.1 on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those that lead to its issuer, PEM, its own first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The certificates, PEM, of which one must have signed a caller's own. `None`: callers need none.
    pub client_ca: Option<PathBuf>,
}

/// A file of [`Tls`] cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be used for TLS: {reason}", file.display())]
pub struct TlsUnusable {
    /// Which.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Endpoint {
    tls: Tls,
    config: Arc<RwLock<Arc<ServerConfig>>>,
    _keeper: DropGuard,
}

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

impl Endpoint {
    pub(crate) async fn open(tls: &Tls, group: &TaskGroup) -> Result<Arc<Self>, TlsUnusable> {
        // Looked at before they are read: a change in between is seen at the next look.
        let stamps = stamps(tls).await;
        let config = Arc::new(RwLock::new(Arc::new(load(tls.clone()).await?)));
        let stop = CancellationToken::new();
        let keeper = keep(tls.clone(), stamps, Arc::clone(&config));
        let stopped = stop.clone();
        group.spawn_dropping(Kind::Periodic, "gateway certificate", async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = keeper => {}
            }
        });
        Ok(Arc::new(Self { tls: tls.clone(), config, _keeper: stop.drop_guard() }))
    }

    pub(crate) fn is_of(&self, tls: &Tls) -> bool {
        self.tls == *tls
    }

    /// For one connection: later ones may get a newer certificate.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read()))
    }
}

async fn keep(tls: Tls, mut seen: [Stamp; 3], config: Arc<RwLock<Arc<ServerConfig>>>) {
    let mut failing = false;
    loop {
        sleep(EVERY).await;
        let now = stamps(&tls).await;
        let changed = now != seen;
        // Who writes the two files one after the other leaves a pair that does not fit for a moment.
        if !changed && !failing {
            continue;
        }
        seen = now;
        match load(tls.clone()).await {
            Ok(new) => {
                *config.write() = Arc::new(new);
                failing = false;
                tracing::info!(certificate = %tls.certificate.display(), "the gateway's certificate was read again");
            }
            Err(error) => {
                if changed {
                    tracing::warn!(%error, "the gateway keeps the certificate that it has");
                }
                failing = true;
            }
        }
    }
}

async fn stamps(tls: &Tls) -> [Stamp; 3] {
    let ca = match &tls.client_ca {
        Some(file) => Stamp::of(file).await,
        None => Stamp::default(),
    };
    [Stamp::of(&tls.certificate).await, Stamp::of(&tls.key).await, ca]
}

async fn load(tls: Tls) -> Result<ServerConfig, TlsUnusable> {
    let file = tls.certificate.clone();
    let loaded = tokio::task::spawn_blocking(move || build(&tls)).await;
    loaded.unwrap_or_else(|error| Err(TlsUnusable { file, reason: error.to_string() }))
}

fn build(tls: &Tls) -> Result<ServerConfig, TlsUnusable> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unusable(&tls.key, &error))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&tls.certificate, &error))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => builder.with_client_cert_verifier(verifier(file, provider)?),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let file = if matches!(error, rustls::Error::InconsistentKeys(_)) { &tls.key } else { &tls.certificate };
        unusable(file, &error)
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new().map_err(|error| unusable(&tls.key, &error))?;
    Ok(config)
}

fn verifier(
    file: &Path,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsUnusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| unusable(file, &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder.build().map_err(|error| unusable(file, &error))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsUnusable> {
    let bad = |error: rustls::pki_types::pem::Error| unusable(file, &error);
    let all: Vec<_> = CertificateDer::pem_file_iter(file).map_err(bad)?.collect::<Result<_, _>>().map_err(bad)?;
    if all.is_empty() { Err(unusable(file, &"there is no certificate in it")) } else { Ok(all) }
}

fn unusable(file: &Path, reason: &dyn Display) -> TlsUnusable {
    TlsUnusable { file: file.to_owned(), reason: reason.to_string() }
}
