//! A dialogue and the requests we make in it (RFC 3261 §12).

use causeway_call_core::LegId;

use super::{DialogKey, SipAgent, Timer};
use crate::{
    message::Message,
    uri::{Address, Uri},
};

/// How far a dialogue has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Their INVITE, which has no final answer.
    Asked(Box<Message>),
    /// Our INVITE is out.
    Inviting { request: Box<Message>, has_provisional: bool, is_cancelled: bool },
    /// Our 2xx is out and has no ACK.
    Answered,
    /// Both sides know.
    Confirmed,
}

/// A dialogue.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) leg: LegId,
    pub(super) stage: Stage,
    /// Our address with its tag: From of our requests.
    pub(super) local: String,
    /// Their address with its tag: To of our requests.
    pub(super) remote: String,
    /// Their Contact: Request-URI of our requests.
    pub(super) target: String,
    pub(super) local_seq: u32,
    pub(super) remote_seq: u32,
    /// Their re-INVITE or UPDATE with an offer, which has no final answer.
    pub(super) reinvite: Option<Box<Message>>,
    /// As they asked for it, in seconds (RFC 4028).
    pub(super) session_expires: Option<u32>,
    /// The interval they want, in seconds, when they refused an INVITE without one.
    pub(super) min_se: Option<u32>,
    /// Our ACK, for a 2xx that comes again.
    pub(super) ack: Option<String>,
    /// CSeq of their REFER, which NOTIFYs name (RFC 3515 §2.4.6).
    pub(super) referred_by: Option<u32>,
    /// The description we gave last, and theirs: what hold is told with.
    pub(super) given: Option<std::sync::Arc<str>>,
}

impl SipAgent {
    /// The host of the party's address, for addresses that we make.
    pub(super) fn own_domain(&self) -> &str {
        &self.domain
    }

    /// Remembers where the client's own address is.
    pub(super) fn learn_domain(&mut self, from: &Uri) {
        if !from.host.is_empty() {
            self.domain.clone_from(&from.host);
        }
    }

    /// A request in a dialogue, with the next number.
    pub(super) fn dialog_request(&mut self, key: &DialogKey, method: &str) -> Option<Message> {
        let branch = format!("z9hG4bK{}", self.token());
        let (host, software, contact) =
            (self.settings.host.clone(), self.settings.software.clone(), self.contact(&key.1));
        let dialog = self.dialogs.get_mut(key)?;
        dialog.local_seq += 1;
        let request = Message::request(method, &dialog.target)
            .with("Via", format!("SIP/2.0/WSS {host};branch={branch}"))
            .with("Max-Forwards", "70")
            .with("From", &dialog.local)
            .with("To", &dialog.remote)
            .with("Call-ID", &key.0)
            .with("CSeq", format!("{} {method}", dialog.local_seq))
            .with("Contact", contact)
            .with("User-Agent", software);
        Some(request)
    }

    /// The ACK of a 2xx: the number of its INVITE, a branch of its own (RFC 3261 §13.2.2.4).
    pub(super) fn ack_of(&mut self, key: &DialogKey, number: u32) -> Option<Message> {
        let branch = format!("z9hG4bK{}", self.token());
        let host = self.settings.host.clone();
        let dialog = self.dialogs.get(key)?;
        let request = Message::request("ACK", &dialog.target)
            .with("Via", format!("SIP/2.0/WSS {host};branch={branch}"))
            .with("Max-Forwards", "70")
            .with("From", &dialog.local)
            .with("To", &dialog.remote)
            .with("Call-ID", &key.0)
            .with("CSeq", format!("{number} ACK"));
        Some(request)
    }

    /// A request that goes hop by hop with its INVITE: CANCEL, and the ACK of a refusal (RFC 3261 §9.1, §17.1.1.3).
    pub(super) fn beside_invite(invite: &Message, method: &str, to: Option<&str>) -> Message {
        let uri = match &invite.first {
            crate::message::FirstLine::Request { uri, .. } => uri.as_str(),
            crate::message::FirstLine::Response { .. } => "",
        };
        let number = invite.cseq().map_or(1, |cseq| cseq.number);
        let mut request = Message::request(method, uri);
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
            let value = if name == "To" { to.or_else(|| invite.header(name)) } else { invite.header(name) };
            request = request.with(name, value.unwrap_or(""));
        }
        request.with("CSeq", format!("{number} {method}"))
    }

    /// An INVITE again after its refusal, as a transaction of its own (RFC 3261 §8.1.3.5).
    pub(super) fn once_more(invite: &Message, number: u32, host: &str, branch: &str) -> Message {
        let mut again = invite.clone();
        for (name, value) in &mut again.headers {
            match name.as_str() {
                "Via" => *value = format!("SIP/2.0/WSS {host};branch={branch}"),
                "CSeq" => *value = format!("{number} INVITE"),
                _ => {}
            }
        }
        again
    }

    /// Takes what the other side's message says of its Contact.
    pub(super) fn refresh_target(&mut self, key: &DialogKey, message: &Message) {
        let Some(contact) = message.address("Contact").map(|contact| contact.uri.to_string()) else { return };
        if let Some(dialog) = self.dialogs.get_mut(key) {
            dialog.target = contact;
        }
    }

    /// Forgets a dialogue.
    pub(super) fn forget_dialog(&mut self, key: &DialogKey) -> Option<Dialog> {
        let dialog = self.dialogs.remove(key)?;
        if self.by_leg.get(&dialog.leg) == Some(key) {
            self.by_leg.remove(&dialog.leg);
        }
        let is_its = |timer: &Timer| [Timer::Ack(key.clone()), Timer::Session(key.clone())].contains(timer);
        self.timers.retain(|(_, timer)| !is_its(timer));
        Some(dialog)
    }

    /// Which leg a Replaces header or parameter names: ours is the tag at the party that is asked, or the other.
    #[must_use]
    pub fn leg_of_dialog(&self, call_id: &str, tag: &str) -> Option<LegId> {
        let key = (call_id.to_owned(), tag.to_owned());
        self.dialogs.get(&key).map(|dialog| dialog.leg)
    }

    /// How a leg's dialogue is named in a Replaces header that its client is to read: the client's own tag is `to-tag`.
    #[must_use]
    pub fn replaces_of(&self, leg: LegId) -> Option<String> {
        let key = self.by_leg.get(&leg)?;
        let remote = Address::parse(&self.dialogs.get(key)?.remote)?;
        Some(format!("{};to-tag={};from-tag={}", key.0, remote.tag()?, key.1))
    }
}
