//! Which Redis to speak to: coturn's connection string, or a `redis://` URL.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use causeway_types::Secret;
use thiserror::Error;

/// A Redis server and how to log in.
#[derive(Clone)]
pub struct RedisTarget {
    /// Name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database number. Keys live in it; channels know no databases.
    pub database: u32,
    /// ACL user; none logs in with the password alone.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret<String>>,
    /// How long connecting may take; none takes the publisher's own limit.
    pub connect_timeout: Option<Duration>,
    /// TLS, when it is on.
    pub tls: Option<RedisTls>,
}

/// How to speak TLS to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisTls {
    /// Certificates to trust, PEM. With neither this nor a directory: those of the system.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files.
    pub ca_directory: Option<PathBuf>,
    /// Certificate chain to show, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Name to ask for and to verify; none takes the host.
    pub server_name: Option<String>,
    /// Whether the server's certificate is verified.
    pub verify: bool,
}

impl Default for RedisTls {
    fn default() -> Self {
        Self { ca_file: None, ca_directory: None, certificate: None, key: None, server_name: None, verify: true }
    }
}

/// Why a connection string is not understood. Names tokens by key or position, never by value: that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A token that is no `key=value`.
    #[error(
        "token {position} has no \"=\": tokens are key=value, divided by spaces; a value with a space needs the \
         redis:// form, with %20"
    )]
    NoEquals {
        /// Counted from 1.
        position: usize,
    },
    /// A key nobody knows.
    #[error("token {position}: unknown key \"{key}\"{}", nearest.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?")))]
    UnknownKey {
        /// Counted from 1.
        position: usize,
        /// As written.
        key: String,
        /// A key that looks like it.
        nearest: Option<&'static str>,
    },
    /// A value of the wrong form.
    #[error("{key}: {expected}")]
    BadValue {
        /// As written.
        key: String,
        /// What to write.
        expected: &'static str,
    },
    /// The URL does not hold together.
    #[error("{0}")]
    BadUrl(&'static str),
    /// A certificate without its key, or the other way round.
    #[error("tls-cert and tls-key go together: give both or neither")]
    HalfAPair,
}

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Host,
    Port,
    Database,
    Username,
    Password,
    ConnectTimeout,
    Tls,
    CaFile,
    CaDirectory,
    Certificate,
    Key,
    ServerName,
    Verify,
}

/// Every accepted key (`docs/events.md#where-to`).
const KEYS: &[(&str, Meaning)] = &[
    ("host", Meaning::Host),
    ("ip", Meaning::Host),
    ("addr", Meaning::Host),
    ("ipaddr", Meaning::Host),
    ("hostaddr", Meaning::Host),
    ("port", Meaning::Port),
    ("p", Meaning::Port),
    ("dbname", Meaning::Database),
    ("db", Meaning::Database),
    ("database", Meaning::Database),
    ("user", Meaning::Username),
    ("uname", Meaning::Username),
    ("name", Meaning::Username),
    ("username", Meaning::Username),
    ("password", Meaning::Password),
    ("pwd", Meaning::Password),
    ("passwd", Meaning::Password),
    ("secret", Meaning::Password),
    ("connect_timeout", Meaning::ConnectTimeout),
    ("timeout", Meaning::ConnectTimeout),
    ("tls", Meaning::Tls),
    ("ssl", Meaning::Tls),
    ("tls-ca", Meaning::CaFile),
    ("ca", Meaning::CaFile),
    ("cacert", Meaning::CaFile),
    ("tls-capath", Meaning::CaDirectory),
    ("capath", Meaning::CaDirectory),
    ("tls-cert", Meaning::Certificate),
    ("cert", Meaning::Certificate),
    ("tls-key", Meaning::Key),
    ("clientkey", Meaning::Key),
    ("tls-sni", Meaning::ServerName),
    ("sni", Meaning::ServerName),
    ("servername", Meaning::ServerName),
    ("tls-verify", Meaning::Verify),
    ("verify", Meaning::Verify),
];

/// Values as they are read, before they are put together.
#[derive(Default)]
struct Draft {
    host: Option<String>,
    port: Option<u16>,
    database: Option<u32>,
    username: Option<String>,
    password: Option<Secret<String>>,
    connect_timeout: Option<Duration>,
    tls_on: bool,
    tls: RedisTls,
}

impl RedisTarget {
    /// `host:port`, or `[host]:port` for an IPv6 address: for logs, without anything secret.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTarget")
            .field("address", &self.address())
            .field("database", &self.database)
            .field("username", &self.username.is_some())
            .field("password", &self.password.is_some())
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl FromStr for RedisTarget {
    type Err = TargetError;

    /// Reads `ip=… dbname=… password=…` or `redis[s]://[user][:password@]host[:port][/database][?tls-ca=…]`. A pair of
    /// double quotes around the whole is taken off, as coturn's configuration file has them.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        let text = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text);
        let is_word = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_word(scheme)) {
            return match scheme {
                "redis" => url(rest, false),
                "rediss" => url(rest, true),
                _ => Err(TargetError::BadUrl("the scheme is redis:// or, with TLS, rediss://")),
            };
        }
        let mut draft = Draft::default();
        for (index, token) in text.split(' ').filter(|token| !token.is_empty()).enumerate() {
            let position = index + 1;
            let (key, value) = token.split_once('=').ok_or(TargetError::NoEquals { position })?;
            draft.set(position, key, value)?;
        }
        draft.finish()
    }
}

fn url(rest: &str, tls_on: bool) -> Result<RedisTarget, TargetError> {
    let mut draft = Draft { tls_on, ..Draft::default() };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, host_port) = match authority.rsplit_once('@') {
        Some((login, host_port)) => (Some(login), host_port),
        None => (None, authority),
    };
    if let Some(login) = login {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let decode = |part: &str| {
            percent_decoded(part).ok_or(TargetError::BadUrl("a % is not followed by two hexadecimal digits"))
        };
        draft.username = Some(decode(user)?).filter(|user| !user.is_empty());
        draft.password = password.map(decode).transpose()?.map(Secret::new);
    }
    let (host, port) = host_and_port(host_port)?;
    draft.host = Some(host.to_owned()).filter(|host| !host.is_empty());
    if let Some(port) = port {
        draft.set(1, "port", port)?;
    }
    if !path.is_empty() {
        draft.set(1, "db", path)?;
    }
    for (index, token) in query.split('&').filter(|token| !token.is_empty()).enumerate() {
        let position = index + 1;
        let (key, value) = token.split_once('=').ok_or(TargetError::NoEquals { position })?;
        let value =
            percent_decoded(value).ok_or(TargetError::BadUrl("a % is not followed by two hexadecimal digits"))?;
        draft.set(position, key, &value)?;
    }
    draft.finish()
}

fn host_and_port(text: &str) -> Result<(&str, Option<&str>), TargetError> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(TargetError::BadUrl("a [ before the host has no ]"))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(TargetError::BadUrl("between ] and / only :port may stand")),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err(TargetError::BadUrl("an IPv6 address needs brackets: redis://[::1]:6379"))
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

/// `%41` is `A`; none when a `%` stands alone or the result is no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(high * 16 + low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl Draft {
    fn set(&mut self, position: usize, key: &str, value: &str) -> Result<(), TargetError> {
        let Some((_, meaning)) = KEYS.iter().find(|(name, _)| *name == key) else {
            let nearest = KEYS.iter().map(|(name, _)| *name).find(|name| {
                name.eq_ignore_ascii_case(key) || name.len() > 3 && (key.starts_with(name) || name.starts_with(key))
            });
            return Err(TargetError::UnknownKey { position, key: key.to_owned(), nearest });
        };
        let bad = |expected| TargetError::BadValue { key: key.to_owned(), expected };
        let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match meaning {
            Meaning::Host => self.host = Some(text().ok_or_else(|| bad("write a host name or an IP address"))?),
            Meaning::Port => {
                let port = value.parse().ok().filter(|port| *port > 0);
                self.port = Some(port.ok_or_else(|| bad("write a port, 1 to 65535"))?);
            }
            Meaning::Database => {
                self.database = Some(value.parse().map_err(|_| bad("write a database number, e.g. 0"))?)
            }
            Meaning::Username => self.username = text(),
            Meaning::Password => self.password = text().map(Secret::new),
            Meaning::ConnectTimeout => {
                let secs: u64 = value.parse().map_err(|_| bad("write seconds, e.g. 5; 0 is the default"))?;
                self.connect_timeout = (secs > 0).then(|| Duration::from_secs(secs));
            }
            // Deviation: coturn takes every unknown word as "off", which turns a typing error into plain text.
            Meaning::Tls => {
                self.tls_on = switch(value).ok_or_else(|| bad("write 1, true, on or yes; or 0, false, off or no"))?
            }
            Meaning::CaFile => self.tls.ca_file = text().map(PathBuf::from),
            Meaning::CaDirectory => self.tls.ca_directory = text().map(PathBuf::from),
            Meaning::Certificate => self.tls.certificate = text().map(PathBuf::from),
            Meaning::Key => self.tls.key = text().map(PathBuf::from),
            Meaning::ServerName => self.tls.server_name = text(),
            Meaning::Verify => self.tls.verify = !matches!(value, "none" | "0" | "false"),
        }
        Ok(())
    }

    fn finish(self) -> Result<RedisTarget, TargetError> {
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(TargetError::HalfAPair);
        }
        Ok(RedisTarget {
            host: self.host.unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: self.port.unwrap_or(6379),
            database: self.database.unwrap_or(0),
            username: self.username,
            password: self.password,
            connect_timeout: self.connect_timeout,
            tls: self.tls_on.then_some(self.tls),
        })
    }
}

fn switch(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Some(true),
        "0" | "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
