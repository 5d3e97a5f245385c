//! A client's end of a WebSocket (RFC 6455), as little of it as a load needs.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::TlsConnector;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Where a client connects to, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) server: SocketAddr,
    pub(crate) source: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) path: &'static str,
    pub(crate) protocol: Option<&'static str>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects and upgrades.
    pub(crate) async fn open(way: &Way) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(way.source)?;
        let stream = socket.connect(way.server).await.context("the server takes no connection")?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream: over(way, stream).await?, buffer: Vec::new() };
        let protocol = way.protocol.map(|protocol| format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            way.path,
            protocol.unwrap_or_default()
        );
        wire.stream.write_all(request.as_bytes()).await?;
        loop {
            if let Some(at) = wire.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(wire.buffer.get(..at).unwrap_or_default()).into_owned();
                ensure!(head.starts_with("HTTP/1.1 101"), "not upgraded: {head}");
                wire.buffer.drain(..at + 4);
                return Ok(wire);
            }
            ensure!(wire.stream.read_buf(&mut wire.buffer).await? > 0, "the server closed the connection");
        }
    }

    /// The next text; none when the server closed the connection. Pings are answered on the way. What was read stays when this is
    /// dropped.
    pub(crate) async fn read(&mut self) -> Result<Option<String>> {
        loop {
            match self.take()? {
                Some((TEXT, payload)) => return Ok(Some(String::from_utf8(payload)?)),
                Some((PING, payload)) => self.write(PONG, &payload).await?,
                Some((CLOSE, _)) => return Ok(None),
                Some(_) => {}
                None => match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) => return Ok(None),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        self.write(TEXT, text.as_bytes()).await
    }

    /// A whole frame out of the buffer: its kind and what is in it (RFC 6455 §5.2).
    fn take(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let [first, second, ..] = *self.buffer else { return Ok(None) };
        ensure!(first & 0x80 != 0, "the server sends in pieces");
        let (head_len, payload_len) = match second {
            127 => bail!("the server sends more than 64 KiB at once"),
            126 => match *self.buffer {
                [_, _, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
                _ => return Ok(None),
            },
            len => (2, usize::from(len)),
        };
        let Some(payload) = self.buffer.get(head_len..head_len + payload_len) else { return Ok(None) };
        let payload = payload.to_vec();
        self.buffer.drain(..head_len + payload_len);
        if self.buffer.is_empty() {
            // Most clients are idle.
            self.buffer = Vec::new();
        }
        Ok(Some((first & 0xf, payload)))
    }

    /// One frame. A mask of zeros leaves the payload as it is.
    async fn write(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let mut frame = vec![0x80 | kind];
        match u8::try_from(payload.len()) {
            Ok(len) if len < 126 => frame.push(0x80 | len),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).context("too long a message")?.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await.context("the server takes nothing")
    }
}

async fn over(way: &Way, stream: TcpStream) -> Result<Box<dyn Stream>> {
    let Some(tls) = &way.tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from("localhost")?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}
