//! The relay's question "which keys does this user have?", answered by the credential directory; what only the store
//! knows is asked there and answered later.

use std::sync::{Arc, OnceLock};

use causeway_app::{CredentialDirectory, CredentialStore, KnownUser, Lookup, UserQuery};
use causeway_relay::{KeyLookup, KeySource, RelayHandle};
use causeway_stun_codec::key;
use causeway_turn_core::{Grant, GrantLimits, IntegrityKeys, KeyAnswer, KeyQuery, OnExpiry, QueryId, UserRef};
use causeway_types::{AuthRefusal, Now, Secret, ShardIndex, UnixTime};
use tokio::sync::mpsc;

/// Questions that may wait for the store; one more is answered "unavailable".
const QUESTIONS_MAX: usize = 10_000;

/// A question for the store.
#[derive(Debug)]
pub(crate) struct Question {
    shard: ShardIndex,
    id: QueryId,
    user: UserRef,
}

/// Answers from the directory, or passes the question on.
#[derive(Debug)]
pub(crate) struct DirectoryKeys {
    directory: Arc<CredentialDirectory>,
    questions: mpsc::Sender<Question>,
    on_expiry: OnExpiry,
}

impl DirectoryKeys {
    /// The source, and the questions it passes on.
    pub(crate) fn new(directory: Arc<CredentialDirectory>, on_expiry: OnExpiry) -> (Self, mpsc::Receiver<Question>) {
        let (questions, waiting) = mpsc::channel(QUESTIONS_MAX);
        (Self { directory, questions, on_expiry }, waiting)
    }
}

impl KeySource for DirectoryKeys {
    fn keys(&self, query: &KeyQuery, now: UnixTime, shard: ShardIndex) -> KeyLookup {
        let user = match &query.user {
            UserRef::Name(name) => UserQuery::Name(name),
            UserRef::Hash(hash) => UserQuery::Hash(hash),
        };
        match self.directory.look_up(user, now) {
            Lookup::Known(users) => KeyLookup::Answer(answer(&users, &self.directory.config().realm, self.on_expiry)),
            Lookup::Refused(refusal) => KeyLookup::Answer(KeyAnswer::Refused(refusal)),
            Lookup::AskStore => {
                let question = Question { shard, id: query.id, user: query.user.clone() };
                match self.questions.try_send(question) {
                    Ok(()) => KeyLookup::Pending,
                    Err(_) => KeyLookup::Answer(KeyAnswer::Refused(AuthRefusal::Unavailable)),
                }
            }
        }
    }
}

/// Asks the store what the directory does not know, until the relay is gone.
pub(crate) async fn answer_questions<S: CredentialStore>(
    mut questions: mpsc::Receiver<Question>,
    store: Arc<S>,
    directory: Arc<CredentialDirectory>,
    relay: Arc<OnceLock<RelayHandle>>,
    on_expiry: OnExpiry,
) {
    while let Some(Question { shard, id, user }) = questions.recv().await {
        let found = match &user {
            UserRef::Name(name) => store.credential(name).await,
            UserRef::Hash(hash) => store.credential_by_hash(*hash).await,
        };
        let reply = match found {
            Ok(Some(record)) => {
                directory.remember(&record);
                match directory.look_up(UserQuery::Name(&record.username), Now::read().unix) {
                    Lookup::Known(users) => answer(&users, &directory.config().realm, on_expiry),
                    Lookup::Refused(refusal) => KeyAnswer::Refused(refusal),
                    Lookup::AskStore => KeyAnswer::Refused(AuthRefusal::UnknownUser),
                }
            }
            Ok(None) => {
                if let UserRef::Name(name) = &user {
                    directory.remember_absent(name);
                }
                KeyAnswer::Refused(AuthRefusal::UnknownUser)
            }
            Err(error) => {
                tracing::warn!(%error, "credential look-up failed");
                KeyAnswer::Refused(AuthRefusal::Unavailable)
            }
        };
        if let Some(relay) = relay.get() {
            relay.answer_key(shard, id, reply);
        }
    }
}

/// Passwords to keys (RFC 8489 §9.2.2): the core never sees a password.
fn answer(users: &[KnownUser], realm: &str, on_expiry: OnExpiry) -> KeyAnswer {
    let grant = |user: &KnownUser| Grant {
        username: Arc::clone(&user.username),
        kind: user.kind,
        keys: IntegrityKeys {
            md5: Secret::new(key::md5_key(&user.username, realm, user.password.expose())),
            sha256: Secret::new(key::sha256_key(&user.username, realm, user.password.expose())),
        },
        expires: user.expires,
        on_expiry,
        limits: grant_limits(user),
    };
    KeyAnswer::Known(users.iter().map(grant).collect())
}

/// What a credential may do, in the core's words.
pub(crate) fn grant_limits(user: &KnownUser) -> GrantLimits {
    GrantLimits {
        bandwidth: user.limits.bandwidth,
        bytes_max: user.limits.bytes_max,
        allocations_max: user.limits.allocations_max,
        client_ip: user.limits.client_ip,
        scope: user.scope(),
        member_of: user.room_scope(),
    }
}
