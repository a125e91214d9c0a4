//! Gets a small document: from a file, or by one HTTP/1.1 request. hyper and rustls are here anyway; a client library would bring a
//! pool, redirects, proxies and cookies that nobody wants between a gateway and the keys that it trusts.

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, Uri, header, uri::Scheme};
use http_body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The longest document, in bytes: a set of a hundred long keys has a tenth of it.
const LENGTH_MAX: usize = 1024 * 1024;
/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why a document could not be had from a URL.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It took too long.
    #[error("there was no complete answer within {DEADLINE:?}")]
    Late,
    /// It cannot be asked for.
    #[error("it is no URL with http or https and a host")]
    Url,
    /// There was no connection.
    #[error("it cannot be reached")]
    Connect(#[source] io::Error),
    /// The certificates to trust cannot be used.
    #[error("the certificates to trust cannot be used: {0}")]
    Roots(String),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// Another answer than 200. Redirects are not followed: keys come from where the definition says.
    #[error("it answered with {0}")]
    Status(StatusCode),
    /// The document has no end that we would wait for.
    #[error("the document is longer than {LENGTH_MAX} bytes")]
    Long,
}

/// Reads a file, up to the longest length.
pub(crate) async fn file(path: &Path) -> io::Result<Bytes> {
    let mut document = Vec::new();
    let limit = u64::try_from(LENGTH_MAX).unwrap_or(u64::MAX);
    let read = tokio::fs::File::open(path).await?.take(limit + 1).read_to_end(&mut document).await?;
    if read > LENGTH_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, FetchError::Long));
    }
    Ok(document.into())
}

/// Gets a URL's document, all of it or an error, within the deadline.
pub(crate) async fn get(url: &Uri, ca: Option<&Path>) -> Result<Bytes, FetchError> {
    timeout(DEADLINE, connect_and_get(url, ca)).await.unwrap_or(Err(FetchError::Late))
}

async fn connect_and_get(url: &Uri, ca: Option<&Path>) -> Result<Bytes, FetchError> {
    let host = url.host().filter(|host| !host.is_empty()).ok_or(FetchError::Url)?;
    let bare = host.trim_matches(['[', ']']);
    let secure = match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return Err(FetchError::Url),
    };
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((bare, port)).await.map_err(FetchError::Connect)?;
    if !secure {
        return exchange(url, stream).await;
    }
    let roots = trusted(ca.map(Path::to_owned)).await?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Roots(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| FetchError::Url)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(FetchError::Connect)?;
    exchange(url, stream).await
}

/// Read each time: it takes milliseconds every few minutes, and a certificate that was added counts at once.
async fn trusted(ca: Option<PathBuf>) -> Result<RootCertStore, FetchError> {
    let load = move || {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(file) => {
                let bad = |error: &dyn std::fmt::Display| FetchError::Roots(format!("{}: {error}", file.display()));
                for certificate in CertificateDer::pem_file_iter(&file).map_err(|error| bad(&error))? {
                    roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() { Err(FetchError::Roots("there are none".to_owned())) } else { Ok(roots) }
    };
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.unwrap_or_else(|error| Err(FetchError::Roots(error.to_string())))
}

async fn exchange<S>(url: &Uri, stream: S) -> Result<Bytes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) =
        http1::handshake::<_, Nothing>(TokioIo::new(stream)).await.map_err(FetchError::Broken)?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, "motet")
        .body(Nothing)
        .map_err(|_| FetchError::Url)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(FetchError::Broken)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        collect(response.into_body()).await
    };
    let (mut exchange, connection) = (pin!(exchange), pin!(connection));
    tokio::select! {
        got = &mut exchange => got,
        ended = connection => match ended {
            // The server closed it after its answer, which may still lie in between.
            Ok(()) => exchange.await,
            Err(error) => Err(FetchError::Broken(error)),
        },
    }
}

async fn collect(mut body: hyper::body::Incoming) -> Result<Bytes, FetchError> {
    let mut document = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(FetchError::Broken)?.into_data() {
            if document.len() + data.len() > LENGTH_MAX {
                return Err(FetchError::Long);
            }
            document.extend_from_slice(&data);
        }
    }
    Ok(document.freeze())
}

/// The body of a `GET`.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
