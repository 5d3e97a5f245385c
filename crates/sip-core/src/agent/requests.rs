//! The client's requests outside dialogues, and the shell's answers to them.

use std::sync::Arc;

use causeway_call_core::{Header, LegId};
use causeway_types::Now;

use super::{
    ALLOW, AgentOutput, AskId, Contact, DialAsk, DialogKey, DropReason, RegisterAsk, ReplacesRef, SipAgent,
    dialog::{Dialog, Stage},
    session_timer::{self, Asked},
};
use crate::{
    auth::Credentials,
    message::Message,
    uri::{Address, Uri},
};

/// Contacts of one REGISTER, and Contact URIs remembered per connection.
const CONTACTS_MAX: usize = 8;
/// Extensions that a request may require of us.
const EXTENSIONS: [&str; 3] = ["timer", "replaces", "outbound"];

impl SipAgent {
    pub(super) fn request(&mut self, now: Now, method: &str, request: Message) -> Result<(), DropReason> {
        let to_tag = request.address("To").and_then(|to| to.tag().map(str::to_owned));
        match (method, to_tag) {
            ("CANCEL", _) => self.cancel(&request),
            ("ACK", tag) => return self.ack(&request, tag),
            (_, Some(tag)) => {
                let key = (request.call_id().to_owned(), tag);
                self.request_in_dialog(now, key, method, request);
            }
            ("REGISTER", None) => self.register(request),
            ("INVITE", None) => self.invite(request),
            ("OPTIONS", None) => self.options(request),
            ("MESSAGE", None) => self.page(request),
            ("BYE" | "INFO" | "NOTIFY" | "UPDATE" | "REFER", None) => self.respond(&request, 481, |answer| answer),
            ("SUBSCRIBE", None) => self.respond(&request, 489, |answer| answer),
            (_, None) => self.respond(&request, 405, |answer| answer.with("Allow", ALLOW)),
        }
        Ok(())
    }

    /// Keeps a request until the shell has answered; none when it waits already, or too many do.
    fn keep(&mut self, request: Message) -> Option<AskId> {
        let is_again =
            self.asks.values().any(|known| known.branch() == request.branch() && known.method() == request.method());
        if is_again {
            return None;
        }
        if self.asks.len() >= self.limits.asks_max {
            self.respond(&request, 503, |answer| answer.with("Retry-After", "1"));
            return None;
        }
        Some(self.ask(request))
    }

    fn register(&mut self, request: Message) {
        let (Some(from), Some(to)) = (request.address("From"), request.address("To")) else { return };
        let default = request.header("Expires").and_then(|text| text.parse().ok());
        let contacts = request.list("Contact");
        let is_all = contacts == ["*"];
        let listed: Option<Vec<Contact>> =
            if is_all { Some(Vec::new()) } else { contacts.iter().map(|text| contact(text, default)).collect() };
        let Some(listed) = listed.filter(|listed| listed.len() <= CONTACTS_MAX && (!is_all || default == Some(0)))
        else {
            self.respond(&request, 400, |answer| answer);
            return;
        };
        let registrar = raw_uri(&request);
        let credentials = credentials(&request);
        let Some(ask) = self.keep(request) else { return };
        let (from, to) = (from.uri, to.uri);
        self.give(AgentOutput::Register(RegisterAsk {
            ask,
            from,
            to,
            registrar,
            contacts: listed,
            is_all,
            credentials,
        }));
    }

    /// The registration holds: every binding the client has, with its remaining time in seconds.
    pub fn handle_registered(&mut self, ask: AskId, bindings: &[(String, u32)]) {
        let Some(request) = self.asks.remove(&ask) else { return };
        if let Some(to) = request.address("To") {
            self.learn_domain(&to.uri);
        }
        for contact in request.list("Contact").iter().filter_map(|text| Address::parse(text)) {
            self.remember_contact(&contact.uri);
        }
        self.respond(&request, 200, |mut answer| {
            for (uri, expires) in bindings {
                answer = answer.with("Contact", format!("<{uri}>;expires={expires}"));
            }
            answer
        });
    }

    fn remember_contact(&mut self, uri: &Uri) {
        if self.contacts.len() < CONTACTS_MAX || self.contacts.contains_key(&uri.user) {
            self.contacts.insert(uri.user.clone(), uri.to_string());
        }
    }

    /// The Contact URI of a binding on this connection, by that URI or by its user part.
    #[must_use]
    pub fn contact_uri(&self, contact: &str) -> Option<&str> {
        let by_uri = || self.contacts.values().find(|uri| *uri == contact);
        self.contacts.get(contact).or_else(by_uri).map(String::as_str)
    }

    /// A request is refused: a status of 300 and above, and headers such as a challenge.
    pub fn handle_refused(&mut self, ask: AskId, status: u16, headers: &[(&str, &str)]) {
        let Some(request) = self.asks.remove(&ask) else { return };
        if request.method() == Some("INVITE") {
            self.note_refused(&request);
        }
        self.respond(&request, status, |mut answer| {
            for (name, value) in headers {
                answer = answer.with(name, value);
            }
            answer
        });
    }

    /// A request is done: 200 without more.
    pub fn handle_taken(&mut self, ask: AskId) {
        if let Some(request) = self.asks.remove(&ask) {
            self.respond(&request, 200, |answer| answer);
        }
    }

    fn options(&mut self, request: Message) {
        let wants_servers = request.header("X-AculabTurnRequest").is_some();
        let Some(from) = request.address("From").filter(|_| wants_servers) else {
            self.respond(&request, 200, |answer| answer.with("Allow", ALLOW).with("Accept", "application/sdp"));
            return;
        };
        let Some(ask) = self.keep(request) else { return };
        self.give(AgentOutput::IceServers { ask, from: from.uri });
    }

    /// The ICE servers, as a JSON array of `RTCIceServer`.
    pub fn handle_ice_servers(&mut self, ask: AskId, json: &str) {
        if let Some(request) = self.asks.remove(&ask) {
            self.respond(&request, 200, |answer| answer.with_body("application/json", json));
        }
    }

    fn page(&mut self, request: Message) {
        let (Some(from), Some(to)) = (request.address("From"), request.request_uri()) else {
            self.respond(&request, 416, |answer| answer);
            return;
        };
        let (credentials, request_uri) = (credentials(&request), raw_uri(&request));
        let content_type = request.header("Content-Type").unwrap_or("text/plain").to_owned();
        let body = request.body.clone();
        let Some(ask) = self.keep(request) else { return };
        self.give(AgentOutput::Page { ask, from, to, request_uri, credentials, content_type, body });
    }

    fn invite(&mut self, request: Message) {
        let required = request.list("Require");
        let unknown: Vec<&str> = required.into_iter().filter(|name| !EXTENSIONS.contains(name)).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            self.refuse_invite(&request, 420, |answer| answer.with("Unsupported", unknown));
            return;
        }
        let Some(to) = request.request_uri().filter(|uri| uri.scheme == "sip") else {
            self.refuse_invite(&request, 416, |answer| answer);
            return;
        };
        let has_other_body = !request.body.is_empty() && !is_sdp(&request);
        if has_other_body {
            self.refuse_invite(&request, 415, |answer| answer.with("Accept", "application/sdp"));
            return;
        }
        if session_timer::asked(&request) == Asked::TooShort {
            self.refuse_invite(&request, 422, session_timer::with_least);
            return;
        }
        if self.dialogs.len() >= self.limits.dialogs_max {
            self.refuse_invite(&request, 486, |answer| answer);
            return;
        }
        let Some(from) = request.address("From") else { return };
        let ask = DialAsk {
            ask: AskId(0),
            from,
            to,
            request_uri: raw_uri(&request),
            credentials: credentials(&request),
            offer: (!request.body.is_empty()).then(|| Arc::from(request.body.as_str())),
            headers: application_headers(&request),
            replaces: request.header("Replaces").and_then(ReplacesRef::parse),
            expires: request.header("Expires").and_then(|text| text.parse().ok()),
        };
        let trying = Message::response_to(&request, 100);
        let Some(id) = self.keep(request) else { return };
        self.send(&trying);
        self.give(AgentOutput::Dial(DialAsk { ask: id, ..ask }));
    }

    /// Answers an INVITE finally with a refusal; its ACK will come.
    pub(super) fn refuse_invite(&mut self, request: &Message, status: u16, more: impl FnOnce(Message) -> Message) {
        self.note_refused(request);
        self.respond(request, status, more);
    }

    /// The call is placed; it is the leg of this request. False when the client cancelled it meanwhile: the shell hangs up.
    pub fn handle_dialled(&mut self, ask: AskId, leg: LegId) -> bool {
        let Some(request) = self.asks.remove(&ask) else { return false };
        let (Some(from), Some(to)) = (request.address("From"), request.header("To")) else { return false };
        self.learn_domain(&from.uri);
        let tag = self.token();
        let key: DialogKey = (request.call_id().to_owned(), tag.clone());
        let target = request.address("Contact").map_or_else(|| from.uri.clone(), |contact| contact.uri);
        self.remember_contact(&target);
        let dialog = Dialog {
            leg,
            local: format!("{to};tag={tag}"),
            remote: request.header("From").unwrap_or("").to_owned(),
            target: target.to_string(),
            local_seq: 0,
            remote_seq: request.cseq().map_or(0, |cseq| cseq.number),
            reinvite: None,
            session_expires: session_timer::interval(&request),
            min_se: None,
            ack: None,
            referred_by: None,
            given: None,
            stage: Stage::Asked(Box::new(request)),
        };
        self.by_leg.insert(leg, key.clone());
        self.dialogs.insert(key, dialog);
        true
    }

    /// CANCEL is answered for itself; its INVITE is refused with 487 (RFC 3261 §9.2).
    fn cancel(&mut self, cancel: &Message) {
        let branch = cancel.branch().map(str::to_owned);
        let waiting = self
            .asks
            .iter()
            .find(|(_, known)| known.method() == Some("INVITE") && known.branch().map(str::to_owned) == branch);
        if let Some(ask) = waiting.map(|(ask, _)| *ask) {
            self.respond(cancel, 200, |answer| answer);
            self.handle_refused(ask, 487, &[]);
            return;
        }
        let found = self.dialogs.iter().find_map(|(key, dialog)| match &dialog.stage {
            Stage::Asked(invite) if invite.branch().map(str::to_owned) == branch => Some((key.clone(), dialog.leg)),
            Stage::Asked(_) | Stage::Inviting { .. } | Stage::Answered | Stage::Confirmed => None,
        });
        let Some((key, leg)) = found else {
            self.respond(cancel, 481, |answer| answer);
            return;
        };
        self.respond_with_tag(cancel, &key.1.clone(), 200, |answer| answer);
        if let Some(Dialog { stage: Stage::Asked(invite), .. }) = self.forget_dialog(&key) {
            self.note_refused(&invite);
            self.respond_with_tag(&invite, &key.1, 487, |answer| answer);
        }
        self.give(AgentOutput::HangUp { leg, cause: causeway_call_core::HangupCause::Cancelled });
    }
}

/// The Request-URI as it was written: a digest is over that.
fn raw_uri(request: &Message) -> String {
    match &request.first {
        crate::message::FirstLine::Request { uri, .. } => uri.clone(),
        crate::message::FirstLine::Response { .. } => String::new(),
    }
}

fn contact(text: &str, default: Option<u32>) -> Option<Contact> {
    let address = Address::parse(text)?;
    let own = address.parameter("expires").map(|text| text.parse().ok());
    let expires = match own {
        Some(own) => Some(own?),
        None => default,
    };
    Some(Contact { user: address.uri.user.clone(), uri: address.uri.to_string(), expires })
}

pub(super) fn credentials(request: &Message) -> Option<Credentials> {
    let headers = ["Authorization", "Proxy-Authorization"];
    headers.iter().find_map(|name| request.header(name).and_then(Credentials::parse))
}

/// The application's own headers, which pass from one leg to the other. Those that are ours or another vendor's switch do not.
pub(super) fn application_headers(message: &Message) -> Vec<Header> {
    let is_own = |name: &str| name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"));
    let passing =
        message.headers.iter().filter(|(name, _)| is_own(name) && !name.eq_ignore_ascii_case("X-AculabTurnRequest"));
    passing.map(|(name, value)| Header { name: name.clone(), value: value.clone() }).collect()
}

pub(super) fn is_sdp(message: &Message) -> bool {
    let kind = message.header("Content-Type").unwrap_or("");
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/sdp"))
}
