//! TLS at the gateway, with certificates that are made here.

use crate::{
    gateway_access::mirror,
    issuer::{AUDIENCE, ISSUER, Keys},
    world::{Body, LIMIT, Server, World, empty, full, text},
};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use motet_kernel::task::{Kind, TaskGroup};
use motet_proxy::{
    EdgePolicy,
    gateway::{Issuer, KeysFrom, Tls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// Signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `localhost` and its key, PEM.
    fn certificate(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn write(dir: &Path, (certificate, key): &(String, String)) -> Tls {
    std::fs::write(dir.join("cert.pem"), certificate).unwrap();
    std::fs::write(dir.join("key.pem"), key).unwrap();
    Tls { certificate: dir.join("cert.pem"), key: dir.join("key.pem"), client_ca: None }
}

async fn world(authority: &Authority) -> (World, Server, SocketAddr, TempDir, Tls) {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::start(|request: Request<Incoming>| async move {
        let show = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        Response::new(full(format!("{} {}", show("x-forwarded-proto"), show("forwarded"))))
    })
    .await;
    world.add(server.address);
    let dir = TempDir::new().unwrap();
    let tls = write(dir.path(), &authority.certificate());
    let address = world.gateway(|spec| spec.tls = Some(tls.clone())).await;
    (world, server, address, dir, tls)
}

async fn connect(
    address: SocketAddr,
    authority: &Authority,
    protocol: &str,
    own: Option<&(String, String)>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(authority.roots());
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    timeout(LIMIT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("a handshake in time")
}

/// The certificate that a new connection is shown.
async fn shown(address: SocketAddr, authority: &Authority) -> Vec<u8> {
    let stream = connect(address, authority, "http/1.1", None).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].as_ref().to_vec()
}

type Http1 = conn::http1::SendRequest<Body>;

async fn http1(stream: TlsStream<TcpStream>, group: &TaskGroup) -> Http1 {
    let (sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    group.spawn_dropping(Kind::Connection, "caller", async move {
        let _ = connection.await;
    });
    sender
}

async fn get(sender: &mut Http1) -> hyper::Result<Response<Incoming>> {
    let request = Request::get("/").header("host", "localhost").body(empty()).unwrap();
    timeout(LIMIT, sender.send_request(request)).await.expect("an answer in time")
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_and_services_learn_of_https() {
    let authority = Authority::new();
    let (world, _server, address, _dir, _) = world(&authority).await;
    let mut caller = http1(connect(address, &authority, "http/1.1", None).await.unwrap(), &world.group).await;
    let answer = text(get(&mut caller).await.unwrap().into_body()).await;
    assert_eq!(answer, "https for=127.0.0.1;host=\"localhost\";proto=https");

    let stream = connect(address, &authority, "h2", None).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    world.group.spawn_dropping(Kind::Connection, "caller", async move {
        let _ = connection.await;
    });
    let request = Request::get("https://localhost/").body(empty()).unwrap();
    let answer = timeout(LIMIT, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(text(answer.into_body()).await, "https for=127.0.0.1;host=\"localhost\";proto=https");
}

#[tokio::test]
async fn who_speaks_no_tls_or_nothing_at_all_is_hung_up_on() {
    let authority = Authority::new();
    let (world, _server, address, _dir, tls) = world(&authority).await;
    let again = world
        .gateway(|spec| {
            spec.tls = Some(tls);
            spec.limits.head_timeout = Duration::from_millis(200);
        })
        .await;
    assert_eq!(again, address);
    for beginning in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"", b"\x16\x03\x01"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("it is closed in time");
        assert!(!answer.starts_with(b"HTTP"), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_stay() {
    let authority = Authority::new();
    let (world, _server, address, dir, _) = world(&authority).await;
    let mut caller = http1(connect(address, &authority, "http/1.1", None).await.unwrap(), &world.group).await;
    assert_eq!(get(&mut caller).await.unwrap().status(), 200);
    let first = shown(address, &authority).await;
    write(dir.path(), &authority.certificate());
    let end = Instant::now() + LIMIT;
    while shown(address, &authority).await == first {
        assert!(Instant::now() < end, "the new certificate is never shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&mut caller).await.unwrap().status(), 200, "the connection from before");
}

#[tokio::test]
async fn a_pair_that_does_not_fit_leaves_the_one_before_in_force() {
    let authority = Authority::new();
    let (world, _server, address, dir, tls) = world(&authority).await;
    let first = shown(address, &authority).await;
    let (certificate, key) = authority.certificate();
    std::fs::write(dir.path().join("key.pem"), &key).unwrap();
    // Longer than it takes to look at the files.
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end {
        assert_eq!(shown(address, &authority).await, first);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A change of something else does not read them either.
    assert_eq!(world.gateway(|spec| spec.tls = Some(tls)).await, address);
    assert_eq!(shown(address, &authority).await, first);
    std::fs::write(dir.path().join("cert.pem"), &certificate).unwrap();
    let end = Instant::now() + LIMIT;
    while shown(address, &authority).await == first {
        assert!(Instant::now() < end, "the pair that fits again is never shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_with_their_names_and_nothing_changes() {
    let authority = Authority::new();
    let (world, _server, address, dir, tls) = world(&authority).await;
    std::fs::write(dir.path().join("empty.pem"), "").unwrap();
    std::fs::write(dir.path().join("other.pem"), authority.certificate().1).unwrap();
    let file = |name: &str| dir.path().join(name);
    for (wrong, blamed) in [
        (Tls { certificate: file("missing.pem"), ..tls.clone() }, "missing.pem"),
        (Tls { certificate: file("empty.pem"), ..tls.clone() }, "empty.pem"),
        (Tls { key: file("cert.pem"), ..tls.clone() }, "cert.pem"),
        (Tls { key: file("other.pem"), ..tls.clone() }, "other.pem"),
        (Tls { client_ca: Some(file("empty.pem")), ..tls.clone() }, "empty.pem"),
    ] {
        let error = world.try_gateway(|spec| spec.tls = Some(wrong)).await.unwrap_err();
        assert_eq!(error.code().to_string(), "MO-proxy-005");
        assert!(error.to_string().contains(blamed), "{error}");
        shown(address, &authority).await;
    }
}

#[tokio::test]
async fn callers_without_a_certificate_of_the_right_authority_are_kept_out() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (world, _server, _address, dir, tls) = world(&authority).await;
    std::fs::write(dir.path().join("ca.pem"), clients.0.pem()).unwrap();
    let address =
        world.gateway(|spec| spec.tls = Some(Tls { client_ca: Some(dir.path().join("ca.pem")), ..tls })).await;
    let request = async |own: Option<(String, String)>| {
        let stream = connect(address, &authority, "http/1.1", own.as_ref()).await?;
        let mut caller = http1(stream, &world.group).await;
        get(&mut caller).await.map(|answer| answer.status().as_u16()).map_err(std::io::Error::other)
    };
    assert_eq!(request(Some(clients.certificate())).await.unwrap(), 200);
    assert!(request(None).await.is_err());
    assert!(request(Some(authority.certificate())).await.is_err());
}

#[tokio::test]
async fn a_body_that_is_too_long_is_answered_over_tls_too() {
    let authority = Authority::new();
    let (world, _server, address, _dir, tls) = world(&authority).await;
    world
        .gateway(|spec| {
            spec.tls = Some(tls);
            spec.limits.body_max = Some(10);
        })
        .await;
    let mut stream = connect(address, &authority, "http/1.1", None).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("it is closed in time").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"));
}

#[tokio::test]
async fn signing_keys_are_fetched_over_https_from_whom_is_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let dir = TempDir::new().unwrap();
    let keys = Keys::named(&["a"]);
    let published = https(&authority, keys.set(&["a"]), &dir).await;
    for (trusted, status) in [(&stranger, 503), (&authority, 200)] {
        let world = World::start(EdgePolicy::default()).await;
        let server = mirror().await;
        world.add(server.address);
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, trusted.0.pem()).unwrap();
        let url = format!("https://localhost:{}/keys", published.port()).parse().unwrap();
        let issuer = Issuer::new(ISSUER, AUDIENCE, KeysFrom::Url { url, ca: Some(ca) });
        let address = world.gateway(|spec| spec.issuers = vec![issuer]).await;
        let mut caller = crate::world::Caller::http1(address, &world.group).await;
        let request = Request::get("/").header("authorization", keys.bearer("a", &json!({}))).body(empty()).unwrap();
        assert_eq!(caller.send(request).await.unwrap().status(), status);
    }
}

/// A server that answers each request with a document, over TLS. It ends with the test's runtime.
async fn https(authority: &Authority, document: String, dir: &TempDir) -> SocketAddr {
    let tls = write(dir.path(), &authority.certificate());
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_file(&tls.certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&tls.key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskGroup::new().spawn_dropping(Kind::Listener, "https", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let document = document.clone();
            let service = service_fn(move |_| {
                let document = document.clone();
                async move { Ok::<_, std::convert::Infallible>(Response::new(full(document))) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    });
    address
}
