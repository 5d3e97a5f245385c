//! Answers: built once, signed as the request was, sent the way it came.

use std::net::{IpAddr, SocketAddr};

use causeway_stun_codec::{
    Class, Fingerprint, Message, MessageBuilder,
    attributes::{ErrorCode, Nonce, PasswordAlgorithms, Realm, Software, UnknownAttributes},
};
use causeway_types::Now;

use crate::{
    TurnServer,
    config::IntegrityKeys,
    drop_reason::DropReason,
    io::{ClientLeg, Output, Transmit},
    nonce,
};

/// How an answer is signed: as the request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    /// MESSAGE-INTEGRITY with the MD5 key.
    Sha1Md5,
    /// MESSAGE-INTEGRITY with the SHA-256 key.
    Sha1Sha256,
    /// MESSAGE-INTEGRITY-SHA256 with the MD5 key.
    Sha256Md5,
    /// MESSAGE-INTEGRITY-SHA256 with the SHA-256 key.
    Sha256Sha256,
}

impl Signature {
    pub(crate) fn sign(self, builder: MessageBuilder, keys: &IntegrityKeys) -> MessageBuilder {
        match self {
            Self::Sha1Md5 => builder.integrity_sha1(keys.md5.expose()),
            Self::Sha1Sha256 => builder.integrity_sha1(keys.sha256.expose()),
            Self::Sha256Md5 => builder.integrity_sha256(keys.md5.expose()),
            Self::Sha256Sha256 => builder.integrity_sha256(keys.sha256.expose()),
        }
    }
}

/// A request whose sender is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authenticated<'a> {
    pub(crate) client: ClientLeg,
    pub(crate) message: Message<'a>,
    pub(crate) signature: Signature,
}

/// Short texts for people who read captures; 401 has none on purpose.
const fn reason(code: u16) -> &'static str {
    match code {
        300 => "Try Alternate",
        400 => "Bad Request",
        403 => "Forbidden",
        405 => "Mobility Forbidden",
        420 => "Unknown Attribute",
        437 => "Allocation Mismatch",
        438 => "Stale Nonce",
        440 => "Address Family not Supported",
        441 => "Wrong Credentials",
        442 => "Unsupported Transport Protocol",
        443 => "Peer Address Family Mismatch",
        446 => "Connection Already Exists",
        447 => "Connection Timeout or Failure",
        486 => "Allocation Quota Reached",
        508 => "Insufficient Capacity",
        _ => "",
    }
}

impl TurnServer {
    /// Sends an answer without integrity, if the source has replies left; whether it had.
    pub(crate) fn reply_unauthenticated(
        &mut self,
        now: Now,
        client: ClientLeg,
        builder: MessageBuilder,
        message: &Message<'_>,
    ) -> bool {
        let allowed = self.may_reply_unauthenticated(now, client);
        if allowed {
            self.send(client, finish(builder, message));
        }
        allowed
    }

    /// Counts one reply against the source's allowance.
    pub(crate) fn may_reply_unauthenticated(&mut self, now: Now, client: ClientLeg) -> bool {
        self.allow_unauthenticated_reply(now, client.five_tuple.client.ip())
    }

    /// Counts something done for a source that has not proved itself against its allowance; false, and a counted drop,
    /// when there is none left. For what the shell answers by itself, such as a DTLS hello.
    pub fn allow_unauthenticated_reply(&mut self, now: Now, source: IpAddr) -> bool {
        let limits = &self.config.limits;
        let (rate, burst) = (limits.unauthenticated_replies_per_sec, limits.unauthenticated_replies_burst);
        let allowed = self.sources.allow(source, rate, burst, now.mono);
        if !allowed {
            self.drops.add(DropReason::UnauthenticatedRate, 1);
        }
        allowed
    }

    /// 400, 420 and their like before the sender is known; whether it was sent.
    pub(crate) fn refuse_unauthenticated(
        &mut self,
        now: Now,
        client: ClientLeg,
        message: &Message<'_>,
        code: u16,
        unknown: &[u16],
    ) -> bool {
        self.stats.count_refusal(code);
        let mut builder = MessageBuilder::reply_to(message, Class::Error).attribute(&ErrorCode { code, reason: "" });
        if code == 420 {
            builder = builder.attribute(&UnknownAttributes(unknown));
        }
        self.reply_unauthenticated(now, client, builder, message)
    }

    /// 401 or 438 with everything the client needs to try again (RFC 8489 §9.2.4); whether it was sent.
    pub(crate) fn challenge(&mut self, now: Now, client: ClientLeg, message: &Message<'_>, code: u16) -> bool {
        self.stats.count_refusal(code);
        if !self.may_reply_unauthenticated(now, client) {
            return false;
        }
        let source = client.five_tuple.client.ip();
        let features = nonce::Features::of(self.config.username_anonymity);
        let nonce = nonce::issue(&self.config.nonce_keys, features, &self.config.realm, source, now.unix);
        let builder = MessageBuilder::reply_to(message, Class::Error)
            .attribute(&ErrorCode { code, reason: "" })
            .attribute(&Realm(&self.config.realm))
            .attribute(&Nonce(&nonce))
            .attribute(&PasswordAlgorithms::OFFERED);
        self.send(client, finish(self.with_software(builder), message));
        true
    }

    /// A signed refusal.
    pub(crate) fn refuse(&mut self, request: Authenticated<'_>, keys: &IntegrityKeys, code: u16) {
        self.refuse_with(request, keys, code, |builder| builder);
    }

    /// A signed refusal with more attributes.
    pub(crate) fn refuse_with(
        &mut self,
        request: Authenticated<'_>,
        keys: &IntegrityKeys,
        code: u16,
        more: impl FnOnce(MessageBuilder) -> MessageBuilder,
    ) {
        self.stats.count_refusal(code);
        let builder = MessageBuilder::reply_to(&request.message, Class::Error)
            .attribute(&ErrorCode { code, reason: reason(code) });
        self.send_signed(request, keys, more(builder));
    }

    /// A signed success.
    pub(crate) fn succeed(
        &mut self,
        request: Authenticated<'_>,
        keys: &IntegrityKeys,
        more: impl FnOnce(MessageBuilder) -> MessageBuilder,
    ) {
        let builder = MessageBuilder::reply_to(&request.message, Class::Success);
        self.send_signed(request, keys, more(builder));
    }

    fn send_signed(&mut self, request: Authenticated<'_>, keys: &IntegrityKeys, builder: MessageBuilder) {
        let builder = request.signature.sign(self.with_software(builder), keys);
        self.send(request.client, finish(builder, &request.message));
    }

    pub(crate) fn with_software(&self, builder: MessageBuilder) -> MessageBuilder {
        match &self.config.software {
            Some(software) => builder.attribute(&Software(software)),
            None => builder,
        }
    }

    pub(crate) fn send(&mut self, client: ClientLeg, bytes: Vec<u8>) {
        self.count_control_to(client, bytes.len());
        self.outputs.push_back(Output::Transmit(Transmit { client, bytes, source: None, to: None }));
    }

    pub(crate) fn send_from(
        &mut self,
        client: ClientLeg,
        bytes: Vec<u8>,
        source: Option<SocketAddr>,
        to: Option<SocketAddr>,
    ) {
        if to.is_none() {
            self.count_control_to(client, bytes.len());
        }
        self.outputs.push_back(Output::Transmit(Transmit { client, bytes, source, to }));
    }
}

/// Adds FINGERPRINT when the request had one.
pub(crate) fn finish(builder: MessageBuilder, request: &Message<'_>) -> Vec<u8> {
    match request.fingerprint() {
        Fingerprint::Valid => builder.fingerprint().finish(),
        Fingerprint::Absent | Fingerprint::Invalid => builder.finish(),
    }
}
