//! gRPC with a real client and server on both sides: all four forms, deadlines, statuses, retries, cancellation.

use crate::world::{Body, Census, Error, World, eventually, tcp};
use bytes::{Buf, BufMut, Bytes};
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, Response, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use motet_kernel::task::TaskGroup;
use motet_proxy::{
    Config, EdgePolicy, EdgeSpec, GatewaySpec, PathPolicy, Protocol, Retry, RouteSpec,
    policy::{Rate, RateBy},
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::task::JoinSet;
use tonic::{
    Code, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

/// Messages as they are, so that no compiler of schemas is needed.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// A service with all four forms, which does as the messages say.
#[derive(Debug, Clone, Default)]
struct Callee {
    connections: Census,
    working: Census,
    asked: Arc<AtomicUsize>,
    /// How many calls are still refused as unavailable.
    refusals: Arc<AtomicUsize>,
}

impl Callee {
    async fn start(&self, group: &TaskGroup) -> SocketAddr {
        let callee = self.clone();
        tcp(group, move |stream| {
            let callee = callee.clone();
            async move {
                let _open = callee.connections.enter();
                let service = service_fn(move |request| {
                    let callee = callee.clone();
                    async move { Ok::<_, Infallible>(callee.answer(request).await) }
                });
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http2().max_concurrent_streams(1000);
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        })
        .await
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        self.asked.fetch_add(1, SeqCst);
        let mut grpc = tonic::server::Grpc::new(Raw);
        let path = request.uri().path().to_owned();
        let answer = match &*path {
            "/test.Echo/Unary" => grpc.unary(tower::service_fn(|request| self.unary(request)), request).await,
            "/test.Echo/Many" => grpc.server_streaming(tower::service_fn(|request| self.many(request)), request).await,
            "/test.Echo/Join" => grpc.client_streaming(tower::service_fn(join), request).await,
            "/test.Echo/Chat" => grpc.streaming(tower::service_fn(chat), request).await,
            _ => Status::unimplemented(path).into_http(),
        };
        answer.map(|body: tonic::body::Body| body.map_err(Error::other).boxed_unsync())
    }

    fn unary(
        &self,
        request: tonic::Request<Bytes>,
    ) -> impl Future<Output = Result<tonic::Response<Bytes>, Status>> + use<> {
        let callee = self.clone();
        async move {
            let _work = callee.working.enter();
            if callee.refusals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(Status::unavailable("not now"));
            }
            match &**request.get_ref() {
                b"hang" => std::future::pending().await,
                b"wrong" => Err(Status::invalid_argument("wrong")),
                _ => Ok(tonic::Response::new(request.into_inner())),
            }
        }
    }

    fn many(
        &self,
        request: tonic::Request<Bytes>,
    ) -> impl Future<Output = Result<tonic::Response<Messages>, Status>> + use<> {
        let work = self.working.enter();
        async move {
            let text = request.into_inner();
            let goes_on = &*text == b"forever";
            let given = stream::iter(text.into_iter().map(|letter| Ok(Bytes::from(vec![letter]))));
            let rest = if goes_on { stream::pending().boxed() } else { stream::empty().boxed() };
            let messages = given.chain(rest).inspect(move |_| {
                let _ = &work;
            });
            Ok(tonic::Response::new(messages.boxed() as Messages))
        }
    }
}

async fn join(request: tonic::Request<Streaming<Bytes>>) -> Result<tonic::Response<Bytes>, Status> {
    let mut messages = request.into_inner();
    let mut all = Vec::new();
    while let Some(message) = messages.message().await? {
        all.extend_from_slice(&message);
    }
    Ok(tonic::Response::new(all.into()))
}

async fn chat(request: tonic::Request<Streaming<Bytes>>) -> Result<tonic::Response<Messages>, Status> {
    Ok(tonic::Response::new(request.into_inner().boxed() as Messages))
}

struct Client(tonic::client::Grpc<Channel>);

impl Client {
    async fn of(address: SocketAddr) -> Self {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self(tonic::client::Grpc::new(channel))
    }

    async fn unary(&mut self, text: &'static str) -> Result<Bytes, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Unary");
        self.0.unary(tonic::Request::new(Bytes::from(text)), path, Raw).await.map(tonic::Response::into_inner)
    }

    async fn many(&mut self, text: &'static str) -> Streaming<Bytes> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Many");
        self.0.server_streaming(tonic::Request::new(text.into()), path, Raw).await.unwrap().into_inner()
    }
}

/// An edge, and the callee behind it.
async fn world(policy: EdgePolicy) -> (World, Callee) {
    let config = Config { workers: NonZeroUsize::MIN, ..Config::default() };
    let world = World::with(policy, Protocol::Http1, config).await;
    let callee = Callee::default();
    world.add(callee.start(&world.group).await);
    (world, callee)
}

async fn gateway(world: &World) -> SocketAddr {
    let route = RouteSpec::new("/test.Echo", "callee".parse().unwrap(), world.set.subscribe());
    let spec = GatewaySpec::new("127.0.0.1:0".parse().unwrap(), vec![route]);
    world.proxy.apply(vec![world.spec(EdgePolicy::default())], Some(spec)).await.unwrap().gateway.unwrap()
}

#[tokio::test]
async fn all_four_forms_pass_an_edge_and_the_gateway() {
    let (world, _callee) = world(EdgePolicy::default()).await;
    for address in [world.address, gateway(&world).await] {
        let mut client = Client::of(address).await;
        assert_eq!(client.unary("hello").await.unwrap(), "hello");
        assert_eq!(client.unary("wrong").await.unwrap_err().code(), Code::InvalidArgument);
        let many: Vec<_> = client.many("abc").await.map(Result::unwrap).collect().await;
        assert_eq!(many, ["a", "b", "c"]);

        client.0.ready().await.unwrap();
        let parts = stream::iter(["one ", "two ", "three"].map(Bytes::from));
        let path = PathAndQuery::from_static("/test.Echo/Join");
        let joined = client.0.client_streaming(tonic::Request::new(parts), path, Raw).await.unwrap().into_inner();
        assert_eq!(joined, "one two three");

        client.0.ready().await.unwrap();
        let (say, said) = tokio::sync::mpsc::channel(1);
        let path = PathAndQuery::from_static("/test.Echo/Chat");
        let said = tokio_stream::wrappers::ReceiverStream::new(said);
        let mut heard = client.0.streaming(tonic::Request::new(said), path, Raw).await.unwrap().into_inner();
        for n in 0..5 {
            say.send(Bytes::from(vec![n])).await.unwrap();
            assert_eq!(heard.message().await.unwrap().unwrap(), vec![n], "each comes before the next is said");
        }
        drop(say);
        assert_eq!(heard.message().await.unwrap(), None);

        client.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/None");
        let error = client.0.unary::<_, Bytes, _>(tonic::Request::new(Bytes::new()), path, Raw).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn our_own_failures_are_statuses_that_say_which() {
    let expect = async |policy: EdgePolicy, with_callee: bool, code: Code, ours: &str| {
        let (world, _callee) =
            if with_callee { world(policy).await } else { (World::start(policy).await, Callee::default()) };
        let mut client = Client::of(world.address).await;
        let mut error = client.unary("hang").await.unwrap_err();
        if code == Code::ResourceExhausted {
            error = client.unary("x").await.unwrap_err();
        }
        assert_eq!(error.code(), code, "{error:?}");
        assert!(error.message().contains(ours), "{error:?}");
    };
    let short = Duration::from_millis(150);
    let policy = EdgePolicy { timeout: short, ..EdgePolicy::default() };
    expect(policy.clone(), true, Code::DeadlineExceeded, "MO-proxy-203").await;
    expect(EdgePolicy { ready_wait: short, ..EdgePolicy::default() }, false, Code::Unavailable, "MO-proxy-201").await;
    expect(
        EdgePolicy { first_byte: Some(short), ..EdgePolicy::default() },
        true,
        Code::DeadlineExceeded,
        "MO-proxy-208",
    )
    .await;
    let rate = Some(Rate { requests: 1, per: Duration::from_secs(60), burst: 1, by: RateBy::All });
    expect(EdgePolicy { rate, ..policy }, true, Code::ResourceExhausted, "MO-proxy-206").await;

    let (world, _callee) = world(EdgePolicy::default()).await;
    let mut client = Client::of(gateway(&world).await).await;
    client.0.ready().await.unwrap();
    let path = PathAndQuery::from_static("/other.Service/Call");
    let error = client.0.unary::<_, Bytes, _>(tonic::Request::new(Bytes::new()), path, Raw).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("MO-proxy-101"), "{error:?}");
}

#[tokio::test]
async fn a_callers_deadline_ends_the_callees_work() {
    let (world, callee) = world(EdgePolicy::default()).await;
    let mut client = Client::of(world.address).await;
    client.0.ready().await.unwrap();
    let mut request = tonic::Request::new(Bytes::from("hang"));
    request.set_timeout(Duration::from_millis(200));
    let error = client.0.unary::<_, Bytes, _>(request, PathAndQuery::from_static("/test.Echo/Unary"), Raw).await;
    assert!(matches!(error.unwrap_err().code(), Code::DeadlineExceeded | Code::Cancelled));
    assert_eq!(callee.asked.load(SeqCst), 1);
    eventually("the callee has nothing", || callee.working.alive() == 0).await;
}

#[tokio::test]
async fn unavailable_is_tried_again_where_the_policy_lets_post_be() {
    let retry = Retry { methods: vec![Method::POST], ..Retry::default() };
    let policy = EdgePolicy { retry, ..EdgePolicy::default() };
    let (world, callee) = world(EdgePolicy::default()).await;
    let mut client = Client::of(world.address).await;
    callee.refusals.store(2, SeqCst);
    assert_eq!(client.unary("x").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(callee.asked.load(SeqCst), 1, "a call may not be done twice unless somebody says so");

    let paths = vec![PathPolicy { prefix: "/test.Echo/Unary".to_owned(), policy }];
    world.proxy.apply(vec![EdgeSpec { paths, ..world.spec(EdgePolicy::default()) }], None).await.unwrap();
    callee.refusals.store(2, SeqCst);
    assert_eq!(client.unary("x").await.unwrap(), "x");
    assert_eq!(callee.asked.load(SeqCst), 4);
    callee.refusals.store(100, SeqCst);
    assert_eq!(client.unary("x").await.unwrap_err().message(), "not now", "the callee's own words");
}

#[tokio::test]
async fn more_than_a_hundred_calls_at_once_make_a_second_connection() {
    let (world, callee) = world(EdgePolicy::default()).await;
    let mut streams = JoinSet::new();
    for n in 1..=150 {
        let mut client = Client::of(world.address).await;
        streams.spawn(async move {
            let mut stream = client.many("forever").await;
            assert_eq!(stream.message().await.unwrap().unwrap(), "f");
            stream
        });
        eventually("it has come", || callee.working.alive() == n).await;
    }
    assert_eq!(callee.connections.alive(), 2);
    drop(streams);
    eventually("all are cancelled", || callee.working.alive() == 0).await;
    assert_eq!(callee.connections.alive(), 2, "only their streams were reset");
}

#[tokio::test]
async fn a_callee_that_dies_within_a_stream_makes_it_unavailable() {
    let world = World::start(EdgePolicy::default()).await;
    let (callee, group) = (Callee::default(), TaskGroup::new());
    world.add(callee.start(&group).await);
    let mut client = Client::of(world.address).await;
    let mut stream = client.many("forever").await;
    assert_eq!(stream.message().await.unwrap().unwrap(), "f");
    group.cancel();
    let error = async {
        loop {
            if let Err(error) = stream.message().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(crate::world::LIMIT, error).await.unwrap();
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert_eq!(world.proxy.stats()[0].cut, 1);
}

#[tokio::test]
async fn a_silent_stream_ends_with_a_status() {
    let (world, callee) = world(EdgePolicy { idle: Duration::from_millis(200), ..EdgePolicy::default() }).await;
    let mut client = Client::of(world.address).await;
    let mut stream = client.many("forever").await;
    let mut got = 0;
    let error = loop {
        match stream.message().await {
            Ok(message) => got += message.map_or(0, |_| 1),
            Err(error) => break error,
        }
    };
    assert_eq!((got, error.code()), (7, Code::DeadlineExceeded), "{error:?}");
    eventually("the callee has nothing", || callee.working.alive() == 0).await;
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_the_callee() {
    let (world, callee) = world(EdgePolicy::default()).await;
    let mut client = Client::of(world.address).await;
    let stream = client.many("forever").await;
    eventually("it works", || callee.working.alive() == 1).await;
    drop(stream);
    eventually("the stream was reset", || callee.working.alive() == 0).await;
    let call = client.unary("hang");
    let given_up = tokio::time::timeout(Duration::from_millis(100), call).await;
    assert!(given_up.is_err());
    eventually("the call was reset", || callee.working.alive() == 0).await;
    assert_eq!(callee.connections.alive(), 1, "the connection is still the same");
    assert_eq!(client.unary("x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_connection_that_breaks_under_many_calls_is_one_failure_of_its_instance() {
    let config = Config { workers: NonZeroUsize::MIN, ..Config::default() };
    let world = World::with(EdgePolicy::default(), Protocol::Http1, config).await;
    let (callee, group) = (Callee::default(), TaskGroup::new());
    world.add(callee.start(&group).await);
    let mut calls = JoinSet::new();
    for n in 1..=20 {
        let mut client = Client::of(world.address).await;
        calls.spawn(async move {
            if n % 2 == 0 {
                return client.unary("hang").await.map(drop);
            }
            let mut stream = client.many("forever").await;
            while stream.message().await?.is_some() {}
            Ok(())
        });
        eventually("it has come", || callee.working.alive() == n).await;
    }
    assert_eq!(callee.connections.alive(), 1);
    group.cancel();
    while let Some(ended) = calls.join_next().await {
        assert_eq!(ended.unwrap().unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(world.proxy.stats()[0].ejections, 0);
}
