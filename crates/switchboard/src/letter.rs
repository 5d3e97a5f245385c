//! Letters between servers: JSON, one per thing said or done.

use std::{sync::Arc, time::Duration};

use causeway_call_core::{
    AccountId, CallId, Candidate, ConnectionId, HangupCause, Header, Identity, Info, LegId, LegInput, LegMessage,
    LegRoute, LegTraits, NodeId, Party, Progress, Transfer,
};
use serde::{Deserialize, Serialize};

use crate::{posting::millis, text::ClientText};

/// What a server tells another.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) leg: LegId,
    /// Of the callee's connection.
    pub(crate) number: u64,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// The owner of a call says something to a leg.
    Say { call: Option<CallId>, message: LegMessage },
    /// A leg's client did something.
    Did { input: LegInput },
    /// The sender holds this server for lost and has ended their calls.
    Severed,
    /// A text for a client, outside calls. Its answer names it by this number.
    Text { id: u64, text: ClientText },
    /// What became of a text.
    TextDone { id: u64, status: u16 },
    /// Something about what this server owns.
    Ask { id: u64, question: String },
    /// What the sender says to it.
    Reply { id: u64, answer: String },
}

impl Letter {
    pub(crate) const fn say(call: Option<CallId>, leg: LegId, number: u64, message: LegMessage) -> Self {
        Self { leg, number, content: Content::Say { call, message } }
    }

    pub(crate) const fn did(leg: LegId, number: u64, input: LegInput) -> Self {
        Self { leg, number, content: Content::Did { input } }
    }

    pub(crate) const fn severed() -> Self {
        Self { leg: LegId(0), number: 0, content: Content::Severed }
    }

    pub(crate) const fn text(number: u64, id: u64, text: ClientText) -> Self {
        Self { leg: LegId(0), number, content: Content::Text { id, text } }
    }

    pub(crate) const fn text_done(id: u64, status: u16) -> Self {
        Self { leg: LegId(0), number: 0, content: Content::TextDone { id, status } }
    }

    pub(crate) const fn ask(id: u64, question: String) -> Self {
        Self { leg: LegId(0), number: 0, content: Content::Ask { id, question } }
    }

    pub(crate) const fn reply(id: u64, answer: String) -> Self {
        Self { leg: LegId(0), number: 0, content: Content::Reply { id, answer } }
    }

    pub(crate) fn write(self) -> Option<Vec<u8>> {
        let Self { leg, number, content } = self;
        let body = match content {
            Content::Say { call, message } => {
                Body::Say { call: call.map(|call| call.to_string()), message: message.into() }
            }
            Content::Did { input } => Body::Did { input: input.into() },
            Content::Severed => Body::Severed,
            Content::Text { id, text } => Body::Text { id, text: text.into() },
            Content::TextDone { id, status } => Body::TextDone { id, status },
            Content::Ask { id, question } => Body::Ask { id, question },
            Content::Reply { id, answer } => Body::Reply { id, answer },
        };
        serde_json::to_vec(&Wire { leg: leg.to_string(), number, body }).ok()
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let Wire { leg, number, body } = serde_json::from_slice(bytes).ok()?;
        let content = match body {
            Body::Say { call, message } => {
                let call = match call {
                    Some(text) => Some(CallId::parse(&text)?),
                    None => None,
                };
                Content::Say { call, message: message.read()? }
            }
            Body::Did { input } => Content::Did { input: input.read()? },
            Body::Severed => Content::Severed,
            Body::Text { id, text } => Content::Text { id, text: text.read() },
            Body::TextDone { id, status } => Content::TextDone { id, status },
            Body::Ask { id, question } => Content::Ask { id, question },
            Body::Reply { id, answer } => Content::Reply { id, answer },
        };
        Some(Self { leg: LegId::parse(&leg)?, number, content })
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    leg: String,
    number: u64,
    body: Body,
}

#[derive(Serialize, Deserialize)]
enum Body {
    Say { call: Option<String>, message: Said },
    Did { input: Done },
    Severed,
    Text { id: u64, text: Told },
    TextDone { id: u64, status: u16 },
    Ask { id: u64, question: String },
    Reply { id: u64, answer: String },
}

#[derive(Serialize, Deserialize)]
struct Told {
    from: Who,
    display: String,
    to: Who,
    contact: String,
    content_type: String,
    body: String,
}

impl From<ClientText> for Told {
    fn from(text: ClientText) -> Self {
        let ClientText { from, to, contact, content_type, body } = text;
        Self {
            from: who(&from.identity),
            display: from.display.to_string(),
            to: who(&to),
            contact: contact.to_string(),
            content_type: content_type.to_string(),
            body: body.to_string(),
        }
    }
}

impl Told {
    fn read(self) -> ClientText {
        let Self { from, display, to, contact, content_type, body } = self;
        ClientText {
            from: Party { identity: read_who(&from), display: Arc::from(display) },
            to: read_who(&to),
            contact: Arc::from(contact),
            content_type: Arc::from(content_type),
            body: Arc::from(body),
        }
    }
}

/// Account and name.
type Who = (i64, String);

fn who(identity: &Identity) -> Who {
    (identity.account.0, identity.name.to_string())
}

fn read_who((account, name): &Who) -> Identity {
    Identity::new(AccountId(*account), name)
}

fn headers(headers: Vec<Header>) -> Vec<(String, String)> {
    headers.into_iter().map(|Header { name, value }| (name, value)).collect()
}

fn read_headers(headers: Vec<(String, String)>) -> Vec<Header> {
    headers.into_iter().map(|(name, value)| Header { name, value }).collect()
}

fn read_cause(name: &str) -> Option<HangupCause> {
    HangupCause::ALL.into_iter().find(|cause| cause.name() == name)
}

fn leg(id: Option<LegId>) -> Option<String> {
    id.map(|id| id.to_string())
}

/// A leg that is named must be one.
fn read_leg(text: Option<String>) -> Option<Option<LegId>> {
    match text {
        Some(text) => LegId::parse(&text).map(Some),
        None => Some(None),
    }
}

/// Line, tag, index.
type Line = (String, Option<String>, Option<u16>);

fn line(candidate: Candidate) -> Line {
    (candidate.line.to_string(), candidate.mid.map(|mid| mid.to_string()), candidate.media_index)
}

fn read_line((line, mid, media_index): Line) -> Candidate {
    Candidate { line: Arc::from(line), mid: mid.map(Arc::from), media_index }
}

/// None while it is under way; then the empty text, or a cause.
type Outcome = Option<String>;

fn outcome(outcome: Option<Result<(), HangupCause>>) -> Outcome {
    outcome.map(|outcome| outcome.err().map_or_else(String::new, |cause| cause.name().to_owned()))
}

fn read_outcome(outcome: Outcome) -> Option<Option<Result<(), HangupCause>>> {
    match outcome.as_deref() {
        None => Some(None),
        Some("") => Some(Some(Ok(()))),
        Some(cause) => read_cause(cause).map(|cause| Some(Err(cause))),
    }
}

#[derive(Serialize, Deserialize)]
enum Beside {
    Dtmf { digits: String, millis: u64 },
    Message { content_type: String, body: String },
}

impl From<Info> for Beside {
    fn from(info: Info) -> Self {
        match info {
            Info::Dtmf { digits, duration } => Self::Dtmf { digits: digits.to_string(), millis: millis(duration) },
            Info::Message { content_type, body } => {
                Self::Message { content_type: content_type.to_string(), body: body.to_string() }
            }
        }
    }
}

impl Beside {
    fn read(self) -> Info {
        match self {
            Self::Dtmf { digits, millis } => {
                Info::Dtmf { digits: Arc::from(digits), duration: Duration::from_millis(millis) }
            }
            Self::Message { content_type, body } => {
                Info::Message { content_type: Arc::from(content_type), body: Arc::from(body) }
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Said {
    Invite {
        from: Who,
        display: String,
        to: Who,
        contact: String,
        offer: String,
        headers: Vec<(String, String)>,
        replaces: Option<String>,
    },
    Ringing,
    Parked,
    Early(String),
    Answered {
        answer: String,
        headers: Vec<(String, String)>,
        by: Who,
    },
    Ended(String),
    Candidate(Line),
    EndOfCandidates,
    Reoffer(String),
    Reanswer(String),
    ReofferRefused(String),
    Held(bool),
    Info(Beside),
    Transfer {
        to: Who,
        replaces: Option<String>,
        by: Who,
    },
    TransferProgress(Outcome),
}

impl From<LegMessage> for Said {
    fn from(message: LegMessage) -> Self {
        match message {
            LegMessage::Invite { from, to, contact, offer, headers: carried, replaces } => Self::Invite {
                from: who(&from.identity),
                display: from.display.to_string(),
                to: who(&to),
                contact: contact.to_string(),
                offer: offer.to_string(),
                headers: headers(carried),
                replaces: leg(replaces),
            },
            LegMessage::Ringing => Self::Ringing,
            LegMessage::Parked => Self::Parked,
            LegMessage::Early { answer } => Self::Early(answer.to_string()),
            LegMessage::Answered { answer, headers: carried, by } => {
                Self::Answered { answer: answer.to_string(), headers: headers(carried), by: who(&by) }
            }
            LegMessage::Ended { cause } => Self::Ended(cause.name().to_owned()),
            LegMessage::Candidate(candidate) => Self::Candidate(line(candidate)),
            LegMessage::EndOfCandidates => Self::EndOfCandidates,
            LegMessage::Reoffer { offer } => Self::Reoffer(offer.to_string()),
            LegMessage::Reanswer { answer } => Self::Reanswer(answer.to_string()),
            LegMessage::ReofferRefused { cause } => Self::ReofferRefused(cause.name().to_owned()),
            LegMessage::Held { is_held } => Self::Held(is_held),
            LegMessage::Info(info) => Self::Info(info.into()),
            LegMessage::Transfer(Transfer { to, replaces, by }) => {
                Self::Transfer { to: who(&to), replaces: leg(replaces), by: who(&by) }
            }
            LegMessage::TransferProgress { outcome: told } => Self::TransferProgress(outcome(told)),
        }
    }
}

impl Said {
    fn read(self) -> Option<LegMessage> {
        Some(match self {
            Self::Invite { from, display, to, contact, offer, headers, replaces } => LegMessage::Invite {
                from: Party { identity: read_who(&from), display: Arc::from(display) },
                to: read_who(&to),
                contact: Arc::from(contact),
                offer: Arc::from(offer),
                headers: read_headers(headers),
                replaces: read_leg(replaces)?,
            },
            Self::Ringing => LegMessage::Ringing,
            Self::Parked => LegMessage::Parked,
            Self::Early(answer) => LegMessage::Early { answer: Arc::from(answer) },
            Self::Answered { answer, headers, by } => {
                LegMessage::Answered { answer: Arc::from(answer), headers: read_headers(headers), by: read_who(&by) }
            }
            Self::Ended(cause) => LegMessage::Ended { cause: read_cause(&cause)? },
            Self::Candidate(candidate) => LegMessage::Candidate(read_line(candidate)),
            Self::EndOfCandidates => LegMessage::EndOfCandidates,
            Self::Reoffer(offer) => LegMessage::Reoffer { offer: Arc::from(offer) },
            Self::Reanswer(answer) => LegMessage::Reanswer { answer: Arc::from(answer) },
            Self::ReofferRefused(cause) => LegMessage::ReofferRefused { cause: read_cause(&cause)? },
            Self::Held(is_held) => LegMessage::Held { is_held },
            Self::Info(info) => LegMessage::Info(info.read()),
            Self::Transfer { to, replaces, by } => {
                LegMessage::Transfer(Transfer { to: read_who(&to), replaces: read_leg(replaces)?, by: read_who(&by) })
            }
            Self::TransferProgress(told) => LegMessage::TransferProgress { outcome: read_outcome(told)? },
        })
    }
}

#[derive(Serialize, Deserialize)]
enum Done {
    Ringing,
    Early(String),
    Answer { answer: String, headers: Vec<(String, String)>, is_trickling: bool },
    HangUp(String),
    Candidate(Line),
    EndOfCandidates,
    Reoffer(String),
    Reanswer(String),
    ReofferRefused(String),
    Hold(bool),
    Info(Beside),
    Transfer { to: Who, replaces: Option<String> },
    TransferProgress(Outcome),
    End(String),
    Lost { may_return: bool },
    Resumed { node: u32, number: u64, takes_candidates: bool, takes_transfer: bool, grace_millis: Option<u64> },
}

impl From<LegInput> for Done {
    fn from(input: LegInput) -> Self {
        match input {
            LegInput::Progress(Progress::Ringing) => Self::Ringing,
            LegInput::Progress(Progress::Early { answer }) => Self::Early(answer.to_string()),
            LegInput::Answer { answer, headers: carried, is_trickling } => {
                Self::Answer { answer: answer.to_string(), headers: headers(carried), is_trickling }
            }
            LegInput::HangUp(cause) => Self::HangUp(cause.name().to_owned()),
            LegInput::Candidate(candidate) => Self::Candidate(line(candidate)),
            LegInput::EndOfCandidates => Self::EndOfCandidates,
            LegInput::Reoffer(offer) => Self::Reoffer(offer.to_string()),
            LegInput::Reanswer(answer) => Self::Reanswer(answer.to_string()),
            LegInput::ReofferRefused(cause) => Self::ReofferRefused(cause.name().to_owned()),
            LegInput::Hold(is_held) => Self::Hold(is_held),
            LegInput::Info(info) => Self::Info(info.into()),
            LegInput::Transfer { to, replaces } => Self::Transfer { to: who(&to), replaces: leg(replaces) },
            LegInput::TransferProgress(told) => Self::TransferProgress(outcome(told)),
            LegInput::End(cause) => Self::End(cause.name().to_owned()),
            LegInput::Lost { may_return } => Self::Lost { may_return },
            LegInput::Resumed(LegRoute { connection, traits }) => Self::Resumed {
                node: connection.node.0,
                number: connection.number,
                takes_candidates: traits.takes_candidates,
                takes_transfer: traits.takes_transfer,
                grace_millis: traits.grace.map(millis),
            },
        }
    }
}

impl Done {
    fn read(self) -> Option<LegInput> {
        Some(match self {
            Self::Ringing => LegInput::Progress(Progress::Ringing),
            Self::Early(answer) => LegInput::Progress(Progress::Early { answer: Arc::from(answer) }),
            Self::Answer { answer, headers, is_trickling } => {
                LegInput::Answer { answer: Arc::from(answer), headers: read_headers(headers), is_trickling }
            }
            Self::HangUp(cause) => LegInput::HangUp(read_cause(&cause)?),
            Self::Candidate(candidate) => LegInput::Candidate(read_line(candidate)),
            Self::EndOfCandidates => LegInput::EndOfCandidates,
            Self::Reoffer(offer) => LegInput::Reoffer(Arc::from(offer)),
            Self::Reanswer(answer) => LegInput::Reanswer(Arc::from(answer)),
            Self::ReofferRefused(cause) => LegInput::ReofferRefused(read_cause(&cause)?),
            Self::Hold(is_held) => LegInput::Hold(is_held),
            Self::Info(info) => LegInput::Info(info.read()),
            Self::Transfer { to, replaces } => LegInput::Transfer { to: read_who(&to), replaces: read_leg(replaces)? },
            Self::TransferProgress(told) => LegInput::TransferProgress(read_outcome(told)?),
            Self::End(cause) => LegInput::End(read_cause(&cause)?),
            Self::Lost { may_return } => LegInput::Lost { may_return },
            Self::Resumed { node, number, takes_candidates, takes_transfer, grace_millis } => {
                let grace = grace_millis.map(Duration::from_millis);
                LegInput::Resumed(LegRoute {
                    connection: ConnectionId { node: NodeId(node), number },
                    traits: LegTraits { takes_candidates, takes_transfer, grace },
                })
            }
        })
    }
}

#[cfg(test)]
mod tests;
