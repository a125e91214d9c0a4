//! The service behind every contender: `upstream <listen>`. One thread, so that it costs the same whoever stands before it.
//!
//! | Path | Answer |
//! |---|---|
//! | `/stream/first` | an event at once, another after 2 ms, the end |
//! | `/stream/hold` | an event at once, then nothing for as long as the caller stays; its end is told to the UDP address in `x-tell` |
//! | any, as gRPC | one message of 128 bytes and status 0 |
//! | any other | 200 with 128 bytes |
//!
//! HTTP/1.1 and, by its preface, HTTP/2 on one port.

use std::{
    convert::Infallible,
    error::Error,
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bench_proxy::pace;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
    time::{Sleep, sleep},
};

type Failure = Box<dyn Error + Send + Sync>;

const CONTENT: &[u8] = &[b'm'; 128];
const EVENT: &[u8] = b"data: an event of a stream, as long as they usually are\n\n";
/// Not compressed, 128 bytes long.
const MESSAGE: &[u8] = &{
    let mut message = [b'm'; 133];
    message[0] = 0;
    message[1] = 0;
    message[2] = 0;
    message[3] = 0;
    message[4] = 128;
    message
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let listen: SocketAddr = std::env::args().nth(1).ok_or("usage: upstream <listen>")?.parse()?;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    socket.listen(4096)?;
    let listener = TcpListener::from_std(socket.into())?;
    let serve = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    spawn_local(connection(stream));
                }
                // No file descriptors left: some will be free again.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    LocalSet::new().run_until(serve).await
}

async fn connection(stream: TcpStream) {
    // How a connection ends is its caller's matter.
    let _ = stream.set_nodelay(true);
    let mut start = [0; 3];
    while stream.peek(&mut start).await.is_ok_and(|seen| seen > 0 && seen < 3) {
        sleep(Duration::from_millis(1)).await;
    }
    let service = service_fn(async |mut request: Request<Incoming>| {
        // As a server of unary calls does. One that answers before the message is there resets the stream, and a caller that
        // has many reset is taken for an attacker.
        while let Some(Ok(_)) = request.body_mut().frame().await {}
        Ok::<_, Infallible>(answer(&request))
    });
    let io = TokioIo::new(stream);
    let _ = if &start == b"PRI" {
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).max_concurrent_streams(4096).serve_connection(io, service).await
    } else {
        http1::Builder::new().serve_connection(io, service).await
    };
}

fn answer(request: &Request<Incoming>) -> Response<Content> {
    let is_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let (content, kind) = match request.uri().path() {
        _ if is_grpc => (Content::Message { frames: 3 }, "application/grpc"),
        "/stream/first" => (Content::First { events: 2, pause: None }, "text/event-stream"),
        "/stream/hold" => {
            let tell = request.headers().get("x-tell").and_then(|value| value.to_str().ok()?.parse().ok());
            (Content::Hold { event: true, _end: End { tell } }, "text/event-stream")
        }
        _ => (Content::Whole(true), "text/plain"),
    };
    let mut answer = Response::new(content);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// Tells when it is dropped.
struct End {
    tell: Option<SocketAddr>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(tell) = self.tell
            && let Ok(socket) = UdpSocket::bind("127.0.0.1:0")
        {
            // One that is not heard of is counted as lost by who waits for it.
            let _ = socket.send_to(&pace::now().to_be_bytes(), tell);
        }
    }
}

enum Content {
    Whole(bool),
    First {
        events: u8,
        pause: Option<Pin<Box<Sleep>>>,
    },
    Hold {
        event: bool,
        _end: End,
    },
    /// Counts down: the message, the trailers, the end.
    Message {
        frames: u8,
    },
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = |bytes| Some(Ok(Frame::data(Bytes::from_static(bytes))));
        Poll::Ready(match self.get_mut() {
            Self::Whole(left) => std::mem::take(left).then(|| Ok(Frame::data(Bytes::from_static(CONTENT)))),
            Self::First { events: 0, .. } => None,
            Self::First { events, pause } => {
                if let Some(pause) = pause {
                    ready!(pause.as_mut().poll(cx));
                }
                *events -= 1;
                *pause = Some(Box::pin(sleep(Duration::from_millis(2))));
                data(EVENT)
            }
            Self::Hold { event, .. } => {
                if !std::mem::take(event) {
                    return Poll::Pending;
                }
                data(EVENT)
            }
            Self::Message { frames } => {
                *frames = frames.saturating_sub(1);
                match *frames {
                    2 => data(MESSAGE),
                    1 => {
                        let mut status = HeaderMap::with_capacity(1);
                        status.insert("grpc-status", HeaderValue::from_static("0"));
                        Some(Ok(Frame::trailers(status)))
                    }
                    _ => None,
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(false))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(true) => SizeHint::with_exact(CONTENT.len() as u64),
            Self::Whole(false) => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}
