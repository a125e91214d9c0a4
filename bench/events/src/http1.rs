//! The least of an HTTP/1.1 client, and of a server, that the benchmark needs: requests are bytes, answers are looked at no further than their
//! length. On two cores what the caller spends is taken from whom it calls, so it spends little; and the same on everybody who speaks HTTP.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

/// A connection with one request at a time.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

/// The bytes of a POST.
pub fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// The bytes of a GET.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(4096) })
    }

    /// Sends a request; the status and the body of its answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is none.
    pub async fn ask(&mut self, request: &[u8]) -> Result<(u16, Bytes)> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(head) = Head::read(&self.buffer)? {
                break head;
            }
            self.more().await?;
        };
        self.buffer.advance(head.bytes);
        let Body::Length(length) = head.body else { bail!("the answer has no length") };
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok((head.status, self.buffer.split_to(length).freeze()))
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(4096);
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
        Ok(())
    }

    /// Sends a head whose body comes in chunks in both directions: what is sent from now on, and what comes.
    ///
    /// # Errors
    /// When it is not answered with 200.
    pub async fn open(mut self, path: &str, content_type: &str) -> Result<(Sender, Receiver)> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.streaming().await
    }

    /// Sends a GET whose answer comes in chunks and does not end.
    ///
    /// # Errors
    /// When it is not answered with 200.
    pub async fn follow(mut self, path: &str) -> Result<(Sender, Receiver)> {
        self.stream.write_all(&get(path)).await?;
        self.streaming().await
    }

    async fn streaming(mut self) -> Result<(Sender, Receiver)> {
        let head = loop {
            if let Some(head) = Head::read(&self.buffer)? {
                break head;
            }
            self.more().await?;
        };
        self.buffer.advance(head.bytes);
        ensure!(head.status == 200 && matches!(head.body, Body::Chunks), "the answer is {}", head.status);
        let (read, write) = self.stream.into_split();
        Ok((Sender(write), Receiver { stream: read, buffer: self.buffer, left: Left::Size }))
    }
}

enum Body {
    Length(usize),
    Chunks,
}

struct Head {
    status: u16,
    body: Body,
    bytes: usize,
}

impl Head {
    /// The head of an answer; nothing as long as it has not come wholly.
    fn read(buffer: &[u8]) -> Result<Option<Self>> {
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&buffer[..end])?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let mut body = Body::Length(0);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body = Body::Length(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                body = Body::Chunks;
            }
        }
        Ok(Some(Self { status: status.context("the answer has no status")?, body, bytes: end + 4 }))
    }
}

/// The body of a request, chunk by chunk.
#[derive(Debug)]
pub struct Sender(OwnedWriteHalf);

impl Sender {
    /// Sends a chunk; `room` is kept from one to the next.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn send(&mut self, chunk: &[u8], room: &mut Vec<u8>) -> Result<()> {
        room.clear();
        room.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        room.extend_from_slice(chunk);
        room.extend_from_slice(b"\r\n");
        self.0.write_all(room).await?;
        Ok(())
    }

    /// Says that no more comes.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn finish(&mut self) -> Result<()> {
        self.0.write_all(b"0\r\n\r\n").await?;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Left {
    /// The line with the size of the next chunk.
    Size,
    /// So much of a chunk, and its end of line.
    Data(usize),
}

/// The body of an answer, line by line.
#[derive(Debug)]
pub struct Receiver {
    stream: OwnedReadHalf,
    buffer: BytesMut,
    left: Left,
}

impl Receiver {
    /// Waits until something has come and appends all of it to `out`. False at the end.
    ///
    /// # Errors
    /// When what comes are no chunks, or the connection breaks.
    pub async fn receive(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        loop {
            let before = out.len();
            if !self.unpack(out)? {
                return Ok(out.len() > before);
            }
            if out.len() > before {
                return Ok(true);
            }
            self.buffer.reserve(64 * 1024);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
    }

    /// Takes what is there out of its chunks. False at the end of the body.
    fn unpack(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        loop {
            match self.left {
                Left::Size => {
                    let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else { return Ok(true) };
                    let size = std::str::from_utf8(&self.buffer[..end])?.trim();
                    let size = usize::from_str_radix(size, 16).with_context(|| format!("`{size}` is no size"))?;
                    self.buffer.advance(end + 1);
                    if size == 0 {
                        return Ok(false);
                    }
                    self.left = Left::Data(size);
                }
                Left::Data(size) => {
                    if size > 0 {
                        let taken = size.min(self.buffer.len());
                        out.extend_from_slice(&self.buffer[..taken]);
                        self.buffer.advance(taken);
                        self.left = Left::Data(size - taken);
                        if taken < size {
                            return Ok(true);
                        }
                    }
                    if self.buffer.len() < 2 {
                        return Ok(true);
                    }
                    self.buffer.advance(2);
                    self.left = Left::Size;
                }
            }
        }
    }
}

/// Answers every request on `listener` with 204, after `take` has had its body.
///
/// # Errors
/// When connections cannot be accepted any more.
pub async fn serve(listener: TcpListener, take: Arc<dyn Fn(&[u8]) + Send + Sync>) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let take = Arc::clone(&take);
        connections.spawn(async move {
            // A connection that breaks is seen by who called.
            let _ = answer(stream, &*take).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: TcpStream, take: &(dyn Fn(&[u8]) + Send + Sync)) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(8192);
    loop {
        while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = std::str::from_utf8(&buffer[..end])?;
            let is_length = |name: &str| name.eq_ignore_ascii_case("content-length");
            let mut fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
            let length = fields.find(|(name, _)| is_length(name)).map_or(Ok(0), |(_, value)| value.trim().parse())?;
            if buffer.len() < end + 4 + length {
                break;
            }
            take(&buffer[end + 4..end + 4 + length]);
            buffer.advance(end + 4 + length);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
        buffer.reserve(8192);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}
