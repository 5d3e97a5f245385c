//! What a [`SipAgent`](super::SipAgent) asks and tells.

use std::sync::Arc;

use causeway_call_core::{HangupCause, Header, Info, LegId, Progress};

use crate::{
    auth::Credentials,
    message::ParseError,
    uri::{Address, Uri},
};

/// How an agent names itself.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Host in our Via and Contact.
    pub host: String,
    /// Value of Server and User-Agent.
    pub software: String,
}

/// Names a request that waits for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub(super) u64);

/// Names a text to the client that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageId(pub(super) u64);

/// One Contact of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// User part: what tells the bindings of a client apart.
    pub user: String,
    /// The URI as the client wrote it, which it looks for in the answer.
    pub uri: String,
    /// How long, in seconds; from the Contact, else from the Expires header.
    pub expires: Option<u32>,
}

/// A client wants to be found, or not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterAsk {
    /// To be answered by `handle_registered` or `handle_refused`.
    pub ask: AskId,
    /// Who asks.
    pub from: Uri,
    /// For whom.
    pub to: Uri,
    /// Request-URI, as it was written: what a digest is over.
    pub registrar: String,
    /// Where; empty asks what there is (RFC 3261 §10.2.3).
    pub contacts: Vec<Contact>,
    /// `Contact: *`: every binding is to go (RFC 3261 §10.2.2).
    pub is_all: bool,
    /// What proves it.
    pub credentials: Option<Credentials>,
}

/// A client places a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialAsk {
    /// To be answered by `handle_dialled` or `handle_refused`.
    pub ask: AskId,
    /// Who asks.
    pub from: Address,
    /// Whom.
    pub to: Uri,
    /// As it was written: what a digest is over.
    pub request_uri: String,
    /// What proves it.
    pub credentials: Option<Credentials>,
    /// Session description; none means that the client wants to hear one first.
    pub offer: Option<Arc<str>>,
    /// `X-` headers.
    pub headers: Vec<Header>,
    /// The dialogue that this call replaces.
    pub replaces: Option<ReplacesRef>,
    /// How long to ring, in seconds (RFC 3261 §20.19).
    pub expires: Option<u32>,
}

/// A dialogue as a Replaces header names it (RFC 3891 §6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacesRef {
    /// Call-ID.
    pub call_id: String,
    /// Tag of the party that is asked.
    pub to_tag: String,
    /// Tag of the party that is replaced.
    pub from_tag: String,
}

impl ReplacesRef {
    /// Reads `call-id;to-tag=…;from-tag=…`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let call_id = parts.next()?.trim().to_owned();
        let (mut to_tag, mut from_tag) = (None, None);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "to-tag" => to_tag = Some(value.trim().to_owned()),
                "from-tag" => from_tag = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        Some(Self { call_id, to_tag: to_tag?, from_tag: from_tag? })
    }
}

/// What an agent wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOutput {
    /// Send this as one WebSocket message.
    Send(String),
    /// See [`RegisterAsk`].
    Register(RegisterAsk),
    /// See [`DialAsk`].
    Dial(DialAsk),
    /// Which ICE servers? Answered by `handle_ice_servers` or `handle_refused`.
    IceServers {
        /// Question.
        ask: AskId,
        /// Who asks: nothing proves it.
        from: Uri,
    },
    /// A text for somebody outside a call (RFC 3428). Answered by `handle_taken` or `handle_refused`.
    Page {
        /// Question.
        ask: AskId,
        /// Who.
        from: Address,
        /// For whom.
        to: Uri,
        /// Request-URI, as it was written: what a digest is over.
        request_uri: String,
        /// What proves it.
        credentials: Option<Credentials>,
        /// Media type.
        content_type: String,
        /// Text.
        body: String,
    },
    /// What the client answered to a text, finally.
    PageAnswered {
        /// Which text.
        page: PageId,
        /// Status; 408 when nothing came in time.
        status: u16,
    },
    /// A callee's device comes on.
    Progress {
        /// Its leg.
        leg: LegId,
        /// How far.
        progress: Progress,
    },
    /// A callee's device takes the call.
    Answer {
        /// Its leg.
        leg: LegId,
        /// Session description.
        answer: Arc<str>,
        /// `X-` headers.
        headers: Vec<Header>,
    },
    /// A client is through with a leg.
    HangUp {
        /// Which.
        leg: LegId,
        /// Why.
        cause: HangupCause,
    },
    /// A client offers a new description. A refusal goes to `handle_reoffer_refused`.
    Reoffer {
        /// Its leg.
        leg: LegId,
        /// Offer.
        offer: Arc<str>,
    },
    /// A client answers a new description.
    Reanswer {
        /// Its leg.
        leg: LegId,
        /// Answer.
        answer: Arc<str>,
    },
    /// A client does not take a new description.
    ReofferRefused {
        /// Its leg.
        leg: LegId,
        /// Why.
        cause: HangupCause,
    },
    /// A client says something inside a call.
    Info {
        /// Its leg.
        leg: LegId,
        /// What.
        info: Info,
    },
    /// A client wants the other party to call somebody else. A refusal goes to `handle_transfer_refused`.
    Transfer {
        /// Its leg.
        leg: LegId,
        /// Whom.
        to: Uri,
        /// Whose call is replaced by that.
        replaces: Option<ReplacesRef>,
    },
    /// How the call of a transferred client comes on.
    TransferProgress {
        /// Its leg.
        leg: LegId,
        /// None while it is under way.
        outcome: Option<Result<(), HangupCause>>,
    },
}

/// Why nothing came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It cannot be read.
    Unreadable(ParseError),
    /// A response to no request of ours.
    StrayResponse,
    /// An ACK that nothing waits for.
    StrayAck,
}
