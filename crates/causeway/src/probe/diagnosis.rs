//! Why a step failed, in one sentence that ends with what to do next.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use causeway_credentials::turn_rest;
use causeway_turn_client::{Outcome, Refusal};
use causeway_types::{ClientTransport, UnixTime};
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::{pass::Step, trouble::Trouble};

/// What the sentence speaks of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) transport: ClientTransport,
    pub(super) server: SocketAddr,
    /// As in the URL.
    pub(super) host: &'a str,
    pub(super) username: Option<&'a str>,
    /// From the challenge.
    pub(super) realm: Option<&'a str>,
    /// What the server granted, before the failure.
    pub(super) relayed: Option<SocketAddr>,
    pub(super) timeout: Duration,
    pub(super) now: UnixTime,
}

impl Context<'_> {
    /// The transport whose port a firewall knows.
    const fn port_kind(&self) -> &'static str {
        if self.transport.is_datagram() { "UDP" } else { "TCP" }
    }

    const fn port(&self) -> u16 {
        self.server.port()
    }

    fn relayed(&self) -> String {
        self.relayed.map_or_else(|| "its relayed address".to_owned(), |relayed| relayed.ip().to_string())
    }
}

/// The sentence.
pub(super) fn sentence(step: Step, trouble: &Trouble, context: &Context<'_>) -> String {
    match trouble {
        Trouble::Io(error) => io_error(error, context),
        Trouble::Tls(error) => tls(error, context),
        Trouble::Dtls(error) => format!(
            "the DTLS handshake failed ({error}): this probe speaks DTLS 1.2 and 1.3 with ECDSA certificates only, so \
             give the server an ECDSA certificate, or try ?transport=tcp"
        ),
        Trouble::DtlsCertificate(error) => {
            let hint = " (over DTLS the probe sees no intermediate certificates, and causeway shows a self-made one \
                        when the configured key is not ECDSA: give the missing one with --ca)";
            format!("{}{hint}", tls(error, context))
        }
        Trouble::HandshakeSilence => format!(
            "the handshake got no answer within {}: check that {} port {} of the server speaks {} and that no firewall \
             drops it on the way",
            secs(context.timeout),
            context.port_kind(),
            context.port(),
            context.transport.as_str().to_uppercase()
        ),
        Trouble::Closed => format!(
            "the server closed the connection: check that port {} is its {} port, and look at the server's log",
            context.port(),
            context.transport.as_str().to_uppercase()
        ),
        Trouble::NotTurn => format!(
            "what answers on {} port {} does not speak TURN: check the port, and whether it wants turns: instead",
            context.port_kind(),
            context.port()
        ),
        Trouble::Outcome(outcome) => of_outcome(step, outcome, context),
        Trouble::NoData { garbled: true, .. } => {
            "data arrived changed or from another address: something between the server and itself rewrites packets"
                .to_owned()
        }
        Trouble::NoData { len, garbled: false } if step == Step::LargeData => format!(
            "small packets arrive but {len} bytes do not: something on the way drops large packets, so lower the MTU of \
             the path or let fragments and ICMP \"too big\" through"
        ),
        Trouble::NoData { .. } => format!(
            "the server relays, but nothing came back from {}: open its relay ports, and behind a NAT check that the \
             server's own packets to its public address return to it",
            context.relayed()
        ),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an open enum of another crate")]
fn io_error(error: &std::io::Error, context: &Context<'_>) -> String {
    let (kind, port, server) = (context.port_kind(), context.port(), context.server.ip());
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            format!("{kind} port {port} of {server} is closed: start the server there, or use the port it listens on")
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => format!(
            "no answer within {}: {kind} port {port} is filtered or {server} is down, so check the firewall and the \
             address",
            secs(context.timeout)
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::AddrNotAvailable => {
            format!("this machine has no route to {server}: check its network, or probe from another one")
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => format!(
            "the server closed the connection: check that port {port} is its {} port, and look at the server's log",
            context.transport.as_str().to_uppercase()
        ),
        _ => format!("the system reported \"{error}\" for {server}: check this machine's network and firewall"),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an open enum of another crate")]
fn tls(error: &TlsError, context: &Context<'_>) -> String {
    let host = context.host;
    match error {
        TlsError::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            format!("the certificate is not for {host}: use a name it is for, or get one for this name")
        }
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired: renew it (causeway reloads changed files by itself)".to_owned()
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the certificate is not valid yet: check the clocks of both machines".to_owned(),
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate is not trusted here: install one of a public authority with its chain, or give --ca FILE, or \
             --insecure for a test"
                .to_owned()
        }
        TlsError::InvalidCertificate(fault) if format!("{fault:?}").contains("CaUsedAsEndEntity") => {
            "the certificate is an authority's own (openssl req -x509 makes such ones): have it sign one for the server, or \
             make it with -addext basicConstraints=CA:FALSE"
                .to_owned()
        }
        TlsError::InvalidCertificate(fault) => {
            format!("the certificate is not accepted ({fault:?}): replace it, or use --insecure for a test")
        }
        TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. } | TlsError::PeerIncompatible(_) => format!(
            "what answers on port {} does not speak TLS this client knows: check the port, or use turn: instead of turns:",
            context.port()
        ),
        TlsError::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("the server has no certificate for {host}: use a name it has one for")
        }
        TlsError::AlertReceived(alert) => {
            format!("the server refused the TLS handshake ({alert:?}): look at the server's log")
        }
        _ => format!("TLS failed ({error}): look at the server's log"),
    }
}

fn of_outcome(step: Step, outcome: &Outcome, context: &Context<'_>) -> String {
    match outcome {
        Outcome::Refused(refusal) => refused(step, refusal, context),
        Outcome::TimedOut { unauthentic_answers: 0, .. } => silence(step, context),
        Outcome::TimedOut { unproven_code, .. } => {
            let said = unproven_code.map_or_else(String::new, |code| format!(", the last one with error {code}"));
            format!(
                "the answers were not signed with this credential's key{said}: something on the way answers in the \
                 server's place, or the server holds another password for this name"
            )
        }
        Outcome::BidDown => "the server announces password algorithms and lists none: something on the way cuts its \
                             answers, so probe over turns: and look for a proxy"
            .to_owned(),
        Outcome::NoCommonAlgorithm => {
            "the server offers only password algorithms that this probe does not know: allow MD5 or SHA-256 there".to_owned()
        }
        Outcome::Closed => format!("the server closed the connection: look at its log for {}", context.server),
        Outcome::Unusable
        | Outcome::Mapped(_)
        | Outcome::Allocated(_)
        | Outcome::Refreshed { .. }
        | Outcome::Permitted
        | Outcome::ChannelBound => {
            "the server's answer lacks what it must carry: it is not a TURN server of RFC 8656, or something rewrites it"
                .to_owned()
        }
    }
}

fn silence(step: Step, context: &Context<'_>) -> String {
    let (kind, port, waited) = (context.port_kind(), context.port(), secs(context.timeout));
    match step {
        Step::Connect | Step::Binding => format!(
            "no answer within {waited}: nothing speaks STUN on {kind} port {port} or a firewall drops it on the way, so \
             check what the server listens on and that {kind} {port} is open"
        ),
        Step::Allocate | Step::Permission | Step::Channel | Step::Data | Step::LargeData | Step::Refresh => format!(
            "Binding is answered, but this request was not within {waited}: the server limits or drops requests, or is a \
             STUN server only, so look at its log and limits"
        ),
    }
}

fn refused(step: Step, refusal: &Refusal, context: &Context<'_>) -> String {
    let code = refusal.code;
    match code {
        300 => {
            let other = refusal.alternate_server.map_or_else(|| "another server".to_owned(), |other| other.to_string());
            format!("error 300: the server sends clients to {other}, so probe that one")
        }
        401 if refusal.was_signed => unauthenticated(context),
        401 => "error 401: the server asks for a credential here, so give --username and --password".to_owned(),
        403 if matches!(step, Step::Permission | Step::Channel) => format!(
            "error 403: the server's peer policy refuses {}, which is its own relayed address; allow it there \
             (allow_peer in causeway, allowed-peer-ip in coturn)",
            context.relayed()
        ),
        403 => "error 403: the server forbids this user to allocate, so look at its policy".to_owned(),
        437 => {
            "error 437: the server does not know the allocation it made, so look for a NAT or load balancer that moves \
                this client between servers"
                .to_owned()
        }
        438 => {
            "error 438 again and again: each nonce is stale at once, so look for a load balancer over servers that do \
                not share CAUSEWAY_NONCE_KEY"
                .to_owned()
        }
        440 | 442 => {
            format!("error {code}: the server has no UDP relay, so set its relay address (public_ip in causeway)")
        }
        486 => {
            "error 486: the quota of this user or server is reached, or the server is draining: end other allocations, \
                or raise the quota"
                .to_owned()
        }
        508 => {
            "error 508: the server has no free relay port: widen its port range (relay_ports in causeway)".to_owned()
        }
        _ => {
            let reason = if refusal.reason.is_empty() { String::new() } else { format!(" ({})", refusal.reason) };
            format!("the server answered error {code}{reason}: look at its log")
        }
    }
}

/// 401 although the challenge was answered.
fn unauthenticated(context: &Context<'_>) -> String {
    let expiry = context.username.and_then(|name| turn_rest::expiry_of(name, ':'));
    // Names that are all digits by chance are not dates.
    let plausible = expiry.filter(|expiry| expiry.as_secs() > 1_000_000_000 && expiry.as_secs() < 100_000_000_000);
    if let Some(expiry) = plausible.filter(|expiry| *expiry <= context.now) {
        let ago = roughly(context.now.saturating_since(expiry).as_secs());
        return format!("error 401: the credential expired {ago} ago, so get a new one");
    }
    let realm = context.realm.map_or_else(String::new, |realm| format!(" in realm {realm:?}"));
    format!(
        "error 401: the server does not accept this user name and password{realm}: one of them is wrong, or the \
         credential has expired, so check both or get a new one (causeway credential inspect explains them)"
    )
}

/// "100 s", "5 min", "3 h", "40 days": two of a unit at least.
fn roughly(secs: u64) -> String {
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        7_200..=172_799 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// "5 s", "2.5 s".
fn secs(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context<'static> {
        Context {
            transport: ClientTransport::Udp,
            server: SocketAddr::from(([192, 0, 2, 1], 3478)),
            host: "turn.example.org",
            username: Some("alice"),
            realm: Some("example.org"),
            relayed: Some(SocketAddr::from(([192, 0, 2, 9], 50_000))),
            timeout: Duration::from_secs(5),
            now: UnixTime::from_secs(1_790_000_100),
        }
    }

    fn refusal(code: u16) -> Trouble {
        let (reason, alternate_server, was_signed) = (String::new(), None, true);
        Trouble::Outcome(Outcome::Refused(Refusal { code, reason, alternate_server, was_signed }))
    }

    fn timed_out() -> Trouble {
        Trouble::Outcome(Outcome::TimedOut { unauthentic_answers: 0, unproven_code: None })
    }

    #[test]
    fn every_failure_says_why_and_what_next() {
        let io = |kind: ErrorKind| Trouble::Io(kind.into());
        let certificate = |error| Trouble::Tls(TlsError::InvalidCertificate(error));
        for (step, trouble, parts) in [
            (Step::Binding, timed_out(), ["no answer within 5 s", "UDP 3478 is open"]),
            (Step::Allocate, timed_out(), ["Binding is answered", "look at its log"]),
            (Step::Connect, io(ErrorKind::ConnectionRefused), ["port 3478 of 192.0.2.1 is closed", "start the server"]),
            (Step::Connect, io(ErrorKind::TimedOut), ["is filtered or", "check the firewall"]),
            (Step::Connect, io(ErrorKind::NetworkUnreachable), ["no route", "check its network"]),
            (Step::Allocate, refusal(401), ["does not accept", "get a new one"]),
            (Step::Permission, refusal(403), ["refuses 192.0.2.9", "allow_peer"]),
            (Step::Allocate, refusal(486), ["quota", "raise"]),
            (Step::Allocate, refusal(508), ["no free relay port", "relay_ports"]),
            (Step::Allocate, refusal(499), ["error 499", "log"]),
            (Step::Connect, certificate(CertificateError::UnknownIssuer), ["not trusted", "--ca FILE"]),
            (Step::Connect, certificate(CertificateError::Expired), ["has expired", "renew"]),
            (Step::Connect, certificate(CertificateError::NotValidForName), ["turn.example.org", "get one"]),
            (Step::Data, Trouble::NoData { len: 32, garbled: false }, ["nothing came back", "open its relay ports"]),
            (Step::LargeData, Trouble::NoData { len: 1200, garbled: false }, ["1200 bytes do not", "MTU"]),
            (Step::Binding, Trouble::NotTurn, ["does not speak TURN", "turns:"]),
        ] {
            let text = sentence(step, &trouble, &context());
            assert!(parts.iter().all(|part| text.contains(part)), "{step:?} {trouble:?}: {text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{text:?}");
        }
    }

    #[test]
    fn an_expired_name_is_told_from_a_wrong_one() {
        let text =
            |username| sentence(Step::Allocate, &refusal(401), &Context { username: Some(username), ..context() });
        assert!(text("1790000000:alice").contains("expired 100 s ago"));
        assert!(text("alice:1790000100").contains("expired 0 s ago"));
        assert!(text("1700000000").contains("expired 1041 days ago"));
        assert!(text("1790000101:alice").contains("does not accept"));
        assert!(text("12345").contains("does not accept"));
        assert!(text("alice").contains("in realm \"example.org\""));
    }
}
