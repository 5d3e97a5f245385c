//! As little of HTTP/1.1 as a load needs: one kept connection, one request at a time.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A kept connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    token: &'static str,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: &'a str,
}

impl Answer<'_> {
    /// The text of a JSON field, which has no escapes in it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let start = self.body.find(&format!("\"{name}\":\""))? + name.len() + 4;
        self.body.get(start..)?.split('"').next()
    }
}

impl Connection {
    /// Connects as the holder of an API token.
    ///
    /// # Errors
    /// The server takes no connection.
    pub async fn open(address: SocketAddr, token: &'static str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("the API does not take connections")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, token, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// GETs a path.
    ///
    /// # Errors
    /// There is no answer, or none of HTTP.
    pub async fn get(&mut self, path: &str) -> Result<Answer<'_>> {
        let token = self.token;
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n")).await
    }

    /// POSTs JSON.
    ///
    /// # Errors
    /// There is no answer, or none of HTTP.
    pub async fn post(&mut self, path: &str, json: &str) -> Result<Answer<'_>> {
        let token = self.token;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{json}",
            json.len()
        );
        self.ask(&request).await
    }

    /// DELETEs a path.
    ///
    /// # Errors
    /// There is no answer, or none of HTTP.
    pub async fn delete(&mut self, path: &str) -> Result<Answer<'_>> {
        let token = self.token;
        self.ask(&format!("DELETE {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n")).await
    }

    async fn ask(&mut self, request: &str) -> Result<Answer<'_>> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let head_len = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await?;
        };
        let head = std::str::from_utf8(self.buffer.get(..head_len).unwrap_or_default())?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an HTTP status")?;
        let length = head.lines().filter_map(|line| line.split_once(':'));
        let mut length =
            length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim());
        let body_len = match length.next_back().and_then(|value| value.parse::<usize>().ok()) {
            Some(length) => length,
            // RFC 9110 §15.3.5: there is no content.
            None if status == 204 => 0,
            None => bail!("an answer without length: {head}"),
        };
        while self.buffer.len() < head_len + body_len {
            self.read().await?;
        }
        let body = std::str::from_utf8(self.buffer.get(head_len..).unwrap_or_default())?;
        Ok(Answer { status, body })
    }

    async fn read(&mut self) -> Result<()> {
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the API closed the connection");
        Ok(())
    }
}
