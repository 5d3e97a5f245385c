//! What an agent asks and says.

use std::{sync::Arc, time::Duration};

use causeway_call_core::{CallId, Candidate, HangupCause, Header, Info, LegId, Progress};

use super::SavedDialogs;

/// Names a question to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Names a client's request that waits for its outcome; zero: nobody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// How a connection is kept.
#[derive(Clone, Copy, Debug)]
pub struct AgentSettings {
    /// How often the client is asked for a sign of life.
    pub ping_interval: Duration,
    /// After so long without any frame the client counts as gone.
    pub silence_max: Duration,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self { ping_interval: Duration::from_secs(20), silence_max: Duration::from_secs(45) }
    }
}

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct AgentLimits {
    /// Calls, ringing ones included.
    pub dialogs_max: usize,
    /// Bytes of a client's own name of a call.
    pub call_id_bytes_max: usize,
    /// Bytes that the bandwidth probe sends.
    pub probe_bytes_max: usize,
    /// Digits in one message.
    pub digits_max: usize,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self { dialogs_max: 16, call_id_bytes_max: 64, probe_bytes_max: 256 * 1024, digits_max: 64 }
    }
}

/// By what somebody proves who they are. Secrets: never logged.
#[derive(Clone, PartialEq, Eq)]
pub enum LoginProof {
    /// User name and password, of a connection or a credential.
    Password {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// A token of a credential.
    Token(String),
}

impl std::fmt::Debug for LoginProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}

/// Somebody wants to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginAsk {
    /// Question.
    pub ask: AskId,
    /// Proof.
    pub proof: LoginProof,
    /// The session it wants back.
    pub session: Option<String>,
    /// Software, as it calls itself.
    pub software: String,
}

/// Somebody is logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Session, told to the client (`sessid`).
    pub session: String,
    /// Opaque name by which a reconnecting client finds its session (`voice_sdk_id`).
    pub reconnect_token: String,
    /// The calls of the session, with the legs that are alive; none for a new session.
    pub resumed: Option<(SavedDialogs, Vec<LegId>)>,
}

/// A call that the client places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialAsk {
    /// Question.
    pub ask: AskId,
    /// Whom: a user name, `sip:user@host`, a number.
    pub destination: String,
    /// As the caller calls itself: to be shown, not believed.
    pub display: String,
    /// Offer.
    pub offer: Arc<str>,
    /// More candidates will come.
    pub is_trickling: bool,
    /// To be passed on.
    pub headers: Vec<Header>,
    /// The application's own, for webhooks.
    pub client_state: Option<String>,
}

/// What a client does in a call, in the call core's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Its device rings.
    Progress(Progress),
    /// It takes the call.
    Answer {
        /// Description.
        answer: Arc<str>,
        /// To be passed on.
        headers: Vec<Header>,
        /// More candidates will come.
        is_trickling: bool,
    },
    /// It is through with the call.
    HangUp(HangupCause),
    /// A candidate.
    Candidate(Candidate),
    /// No more candidates.
    EndOfCandidates,
    /// It offers a new description.
    Reoffer(Arc<str>),
    /// It answers a new description.
    Reanswer(Arc<str>),
    /// It holds, or takes back.
    Hold(bool),
    /// It says something.
    Info(Info),
    /// The other party is to call somebody else.
    Transfer(String),
}

/// The state of a registration as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayState {
    /// Registered.
    Registered,
    /// Not at the moment.
    NotRegistered,
    /// Not any more: the client reconnects.
    Failed,
}

impl GatewayState {
    pub(super) const fn wire(self) -> &'static str {
        match self {
            Self::Registered => "REGED",
            Self::NotRegistered => "NOREG",
            Self::Failed => "FAILED",
        }
    }
}

/// What an agent wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOutput {
    /// A frame for the client.
    Send(String),
    /// Is it so? Answered by [`handle_login`](super::VertoAgent::handle_login).
    Login(LoginAsk),
    /// Where does it go? Answered by [`handle_dialled`](super::VertoAgent::handle_dialled) before the next frame.
    Dial(DialAsk),
    /// Something in a call. Answered by [`handle_act_outcome`](super::VertoAgent::handle_act_outcome).
    Act {
        /// Whose outcome.
        request: RequestId,
        /// In which leg.
        leg: LegId,
        /// What.
        act: Act,
    },
    /// Send so many bytes of dots, then tell the client how long it took.
    Probe {
        /// How many.
        bytes: usize,
    },
    /// The connection is over.
    Close,
}

/// A leg's place, for the ids that a client learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LegIds {
    pub(super) leg: LegId,
    pub(super) call: CallId,
}

/// Why nothing came of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Not JSON.
    NotJson,
    /// No request.
    NotRpc,
    /// A request before the login.
    NotLoggedIn,
    /// A method nobody knows.
    UnknownMethod,
}
