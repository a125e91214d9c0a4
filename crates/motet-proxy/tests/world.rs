//! The world around the data plane: servers that do as a closure says, callers that speak one connection, and an edge between them.

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use motet_kernel::{
    endpoint::{EdgeName, Endpoint, EndpointSet, State},
    id::InstanceId,
    task::{Kind, TaskGroup},
};
use motet_proxy::{ApplyError, Config, EdgePolicy, EdgeSpec, GatewaySpec, Handle, Protocol, Proxy, RouteSpec};
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

pub(crate) type Error = std::io::Error;
pub(crate) type Body = UnsyncBoxBody<Bytes, Error>;

/// Nothing in a test may take longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// An edge, and the data plane that holds it.
pub(crate) struct World {
    pub(crate) group: TaskGroup,
    pub(crate) proxy: Handle,
    pub(crate) edge: EdgeName,
    pub(crate) address: SocketAddr,
    pub(crate) set: watch::Sender<EndpointSet>,
}

impl World {
    pub(crate) async fn start(policy: EdgePolicy) -> Self {
        Self::with(policy, Protocol::Http1, Config::default()).await
    }

    pub(crate) async fn with(policy: EdgePolicy, protocol: Protocol, config: Config) -> Self {
        let group = TaskGroup::new();
        let proxy = Proxy::start(config, &group).expect("threads are to be had");
        let set = watch::Sender::new(EndpointSet::default());
        let edge: EdgeName = "caller->callee".parse().expect("a name");
        let spec = EdgeSpec { policy, protocol, ..EdgeSpec::new(edge.clone(), set.subscribe()) };
        let address = proxy.apply(vec![spec], None).await.expect("a free port").edges[&edge];
        Self { group, proxy, edge, address, set }
    }

    pub(crate) fn spec(&self, policy: EdgePolicy) -> EdgeSpec {
        EdgeSpec { policy, ..EdgeSpec::new(self.edge.clone(), self.set.subscribe()) }
    }

    /// Lists an instance.
    pub(crate) fn add(&self, address: SocketAddr) -> InstanceId {
        let instance = InstanceId::new();
        self.change(|endpoints| {
            let label = format!("callee-{}", endpoints.len() + 1).into();
            endpoints.push(Endpoint { instance, label, address: address.into(), state: State::Ready });
        });
        instance
    }

    pub(crate) fn remove(&self, instance: InstanceId) {
        self.change(|endpoints| endpoints.retain(|endpoint| endpoint.instance != instance));
    }

    pub(crate) fn drain(&self, instance: InstanceId) {
        self.change(|endpoints| {
            let found = endpoints.iter_mut().find(|endpoint| endpoint.instance == instance);
            found.expect("it is listed").state = State::Draining;
        });
    }

    /// Opens a gateway on a free port, with one route `/` to the callee, changed as the closure says.
    pub(crate) async fn gateway(&self, change: impl FnOnce(&mut GatewaySpec)) -> SocketAddr {
        self.try_gateway(change).await.expect("a gateway that can be")
    }

    /// See [`World::gateway`].
    pub(crate) async fn try_gateway(&self, change: impl FnOnce(&mut GatewaySpec)) -> Result<SocketAddr, ApplyError> {
        let route = RouteSpec::new("/", "web".parse().expect("a name"), self.set.subscribe());
        let mut spec = GatewaySpec::new("127.0.0.1:0".parse().expect("an address"), vec![route]);
        change(&mut spec);
        let addresses = self.proxy.apply(vec![self.spec(EdgePolicy::default())], Some(spec)).await?;
        Ok(addresses.gateway.expect("a gateway"))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Endpoint>)) {
        self.set.send_modify(|set| {
            let mut endpoints = set.endpoints.to_vec();
            change(&mut endpoints);
            *set = EndpointSet { version: set.version + 1, endpoints: endpoints.into() };
        });
    }

    /// A `GET` on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        self.send(Request::get(path).body(empty()).expect("a request")).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        Caller::http1(self.address, &self.group).await.send(request).await.expect("an answer")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.group.cancel();
    }
}

/// One connection to an address.
pub(crate) enum Caller {
    Http1(conn::http1::SendRequest<Body>, SocketAddr, TaskGroup),
    Http2(conn::http2::SendRequest<Body>, SocketAddr, TaskGroup),
}

impl Caller {
    pub(crate) async fn http1(address: SocketAddr, group: &TaskGroup) -> Self {
        let group = group.child();
        let io = TokioIo::new(TcpStream::connect(address).await.expect("it listens"));
        let (sender, connection) = conn::http1::handshake(io).await.expect("it speaks");
        group.spawn_dropping(Kind::Connection, "caller", async move {
            let _ = connection.with_upgrades().await;
        });
        Self::Http1(sender, address, group)
    }

    pub(crate) async fn http2(address: SocketAddr, group: &TaskGroup) -> Self {
        let group = group.child();
        let io = TokioIo::new(TcpStream::connect(address).await.expect("it listens"));
        let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await.expect("it speaks");
        group.spawn_dropping(Kind::Connection, "caller", async move {
            let _ = connection.await;
        });
        Self::Http2(sender, address, group)
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        let answer = async { self.begin(request).await.await };
        timeout(LIMIT, answer).await.expect("an answer in time")
    }

    /// Sends a request as soon as the connection takes one. Dropping what comes back gives the answer up.
    pub(crate) async fn begin(
        &mut self,
        mut request: Request<Body>,
    ) -> BoxFuture<'static, hyper::Result<Response<Incoming>>> {
        match self {
            Self::Http1(sender, address, _) => {
                let host = address.to_string().parse().expect("a header");
                request.headers_mut().entry("host").or_insert(host);
                match sender.ready().await {
                    Ok(()) => Box::pin(sender.send_request(request)),
                    Err(error) => Box::pin(async { Err(error) }),
                }
            }
            Self::Http2(sender, address, _) => {
                let path = request.uri().path_and_query().expect("a path").clone();
                *request.uri_mut() = format!("http://{address}{path}").parse().expect("a URI");
                match sender.ready().await {
                    Ok(()) => Box::pin(sender.send_request(request)),
                    Err(error) => Box::pin(async { Err(error) }),
                }
            }
        }
    }

    /// Goes away: the connection is closed.
    pub(crate) fn hang_up(self) {
        match self {
            Self::Http1(.., group) | Self::Http2(.., group) => group.cancel(),
        }
    }
}

/// A server that answers as its closure says, in HTTP/1.1 or HTTP/2 as its callers like.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    group: TaskGroup,
}

impl Server {
    pub(crate) async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let group = TaskGroup::new();
        let connections = group.clone();
        group.spawn_dropping(Kind::Listener, "server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                connections.spawn_dropping(Kind::Connection, "server connection", async move {
                    let service = service_fn(move |request| {
                        let answer = answer(request);
                        async move { Ok::<_, std::convert::Infallible>(answer.await) }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, group }
    }

    /// Answers each request with its name.
    pub(crate) async fn named(name: &'static str) -> Self {
        Self::start(move |_| async move { Response::new(full(name)) }).await
    }

    /// Ends as `kill -9` ends a process: the port is closed and every connection breaks.
    pub(crate) async fn kill(&self) {
        self.group.cancel();
        self.group.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.group.cancel();
    }
}

/// A server that speaks TCP as its closure says.
pub(crate) async fn tcp<F, R>(group: &TaskGroup, talk: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let connections = group.clone();
    group.spawn_dropping(Kind::Listener, "tcp server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn_dropping(Kind::Connection, "tcp connection", talk(stream));
        }
    });
    address
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound")
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body whose frames are sent one by one. It ends when the sender is dropped.
pub(crate) fn stepwise() -> (mpsc::Sender<Frame<Bytes>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Frame<Bytes>>| async {
        receiver.recv().await.map(|frame| (Ok::<_, Error>(frame), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

pub(crate) fn data(text: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(text.into())
}

pub(crate) async fn text(body: Incoming) -> String {
    let collected = timeout(LIMIT, body.collect()).await.expect("a body in time").expect("a whole body");
    String::from_utf8(collected.to_bytes().to_vec()).expect("text")
}

/// The next piece of a body.
pub(crate) async fn next(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    timeout(LIMIT, body.frame()).await.expect("a frame in time")
}

pub(crate) async fn problem(response: Response<Incoming>) -> serde_json::Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    serde_json::from_str(&text(response.into_body()).await).expect("JSON")
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Counts what is alive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

/// One that is counted, until it is dropped.
pub(crate) struct Member(Census);

impl Census {
    pub(crate) fn enter(&self) -> Member {
        self.0.fetch_add(1, Ordering::SeqCst);
        Member(self.clone())
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
