//! Texts to values. An error says what is wrong and how to write it.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use axum::http::{HeaderValue, Uri};
use causeway_app::CLIENT_TOKEN_TTL_MAX;
use causeway_credentials::client_token::CloudId;
use causeway_events::redis::RedisTarget;
use causeway_types::Secret;
use ipnet::IpNet;

use super::PublicIp;

/// The last value given, into `slot`.
pub(super) fn one<T>(values: &[String], parse: impl Fn(&str) -> Result<T, String>, slot: &mut T) -> Result<(), String> {
    if let Some(value) = values.last() {
        *slot = parse(value)?;
    }
    Ok(())
}

/// Every value given, into `slot`.
pub(super) fn list<T>(
    values: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
    slot: &mut Vec<T>,
) -> Result<(), String> {
    *slot = values.iter().map(|value| parse(value)).collect::<Result<_, _>>()?;
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every parser")]
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write it as IP:PORT, e.g. \"0.0.0.0:3478\" or \"[::]:3478\"".to_owned())
}

/// `text` with `port` when it names none.
pub(super) fn with_default_port(text: &str, port: u16) -> String {
    match text.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => text.to_owned(),
    }
}

pub(super) fn host(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if !text.is_empty() && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("write a host name or an IP address".to_owned())
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "write an IP or a network, e.g. \"10.0.0.0/8\" or \"2001:db8::/32\"".to_owned())
}

pub(super) fn public_ip(text: &str) -> Result<PublicIp, String> {
    let advice = || "write an IP, or PUBLIC/PRIVATE of one family, e.g. \"203.0.113.7/10.0.0.5\"".to_owned();
    let (public, private) = text.split_once('/').unwrap_or((text, text));
    let public: IpAddr = public.parse().map_err(|_| advice())?;
    let private: IpAddr = private.parse().map_err(|_| advice())?;
    if public.is_ipv4() == private.is_ipv4() { Ok(PublicIp { public, private }) } else { Err(advice()) }
}

pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let advice = "write it as LOW-HIGH, e.g. \"49152-65535\"";
    let parsed = text.split_once('-').map(|(low, high)| (low.trim().parse::<u16>(), high.trim().parse::<u16>()));
    let Some((Ok(low), Ok(high))) = parsed else { return Err(advice.to_owned()) };
    if low == 0 {
        return Err(format!("port 0 is no port; {advice}"));
    }
    if low > high {
        return Err(format!("the first port is above the last; {advice}"));
    }
    Ok(low..=high)
}

pub(super) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a whole number in range, e.g. \"100\"".to_owned())
}

pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "write true or false".to_owned())
}

pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| format!("write one of: {}", names.join(", ")))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, factor) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) if text.ends_with('s') => (digits, 1),
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3600),
        Some(digits) => (digits, 86_400),
        None => (text, 1),
    };
    let secs = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    secs.map(Duration::from_secs).ok_or_else(|| "write a duration, e.g. \"30s\", \"5m\" or \"1h\"".to_owned())
}

pub(super) fn cloud_id(text: &str) -> Result<CloudId, String> {
    CloudId::new(text).map_err(|_| "write three numbers with dashes, e.g. \"1-2-0\"".to_owned())
}

/// A key that signs for less than the longest life of a token would pile up others that are still believed.
pub(super) fn key_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration(text)?;
    if lifetime < CLIENT_TOKEN_TTL_MAX {
        return Err("at least a day, as long as a client token may live, e.g. \"90d\"".to_owned());
    }
    Ok(lifetime)
}

/// Not shorter than posts are tried again.
pub(super) fn log_kept(text: &str) -> Result<Duration, String> {
    let kept = duration(text)?;
    if kept < causeway_webhooks::RETRIED_FOR {
        return Err("at least a day, as long as posts are tried again, e.g. \"7d\"".to_owned());
    }
    Ok(kept)
}

/// Bytes per second; 0 is none.
pub(super) fn bandwidth(text: &str) -> Result<Option<u64>, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'M', 'G']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) if text.ends_with('M') => (digits, 1_000_000),
        Some(digits) => (digits, 1_000_000_000),
        None => (text, 1),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    let bytes = bytes.ok_or_else(|| "write bytes per second, e.g. \"250k\" or \"10M\"; 0 is unlimited".to_owned())?;
    Ok((bytes > 0).then_some(bytes))
}

/// Scheme, host and maybe port; a slash at the end is taken off.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_good = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
    };
    match host {
        Some(host) if is_good(host) => Ok(text.to_owned()),
        _ => Err("write scheme and host, e.g. \"https://console.example.net\"".to_owned()),
    }
}

pub(super) fn separator(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) if !one.is_ascii_alphanumeric() => Ok(one),
        _ => Err("write one character that is no letter or digit, e.g. \":\"".to_owned()),
    }
}

pub(super) fn secret(text: &str) -> Result<Secret<String>, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(Secret::new(text.to_owned())) }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let advice = "write off, error, warn, info, debug or trace, or e.g. \"causeway_relay=debug,info\"";
    let is_good = !text.is_empty() && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    if is_good { Ok(text.to_owned()) } else { Err(advice.to_owned()) }
}

pub(super) fn database_url(text: &str) -> Result<Secret<String>, String> {
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    if is_postgres {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("must be postgres://user:password@host/database; leave it out for SQLite in the data directory".to_owned())
    }
}

pub(super) fn redis(text: &str) -> Result<RedisTarget, String> {
    text.parse::<RedisTarget>().map_err(|error| error.to_string())
}

pub(super) fn otlp_endpoint(text: &str) -> Result<causeway_traces::Endpoint, String> {
    text.parse().map_err(|error: causeway_traces::BadEndpoint| error.to_string())
}

/// 0 to 1, both included.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "write a number from 0 to 1, e.g. \"0.1\"".to_owned())
}

pub(super) fn node_id(text: &str) -> Result<String, String> {
    causeway_app::Identifier::new(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

/// As a browser names it: scheme, host, and a port that is not the scheme's own.
pub(super) fn page_origin(text: &str) -> Result<HeaderValue, String> {
    let advice = || "write it as a browser does, e.g. \"https://app.example.com\", or \"*\" for every page".to_owned();
    if text == "*" {
        return Ok(HeaderValue::from_static("*"));
    }
    let uri: Uri = text.parse().map_err(|_| advice())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.scheme_str().zip(uri.authority()).map(|(scheme, authority)| format!("{scheme}://{authority}"));
    match plain {
        Some(plain) if is_web && plain == text && !plain.contains('@') => {
            HeaderValue::try_from(plain).map_err(|_| advice())
        }
        Some(_) | None => Err(advice()),
    }
}
