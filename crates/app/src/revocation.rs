//! Taking credentials back, and ending sessions.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use causeway_credentials::{issued, turn_rest};
use causeway_types::{AllocationId, UnixTime};

use crate::{
    ApiCaller, AuditEntry, CredentialDirectory, DomainEvent, EventSink, Notice, PageRequest, ProjectId, RelayControl,
    RevokeBy, SessionFilter, Store, StoreResult,
};

/// How long a refused name without an expiry in it stays refused.
const REFUSED_FOR: Duration = Duration::from_secs(400 * 86_400);

/// How long the answer of a look-up that began before a revocation may be under way on another server.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// What a revocation hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Credentials that were live and are not any more.
    pub credentials: u64,
    /// Live sessions that were ended here, and those that other servers of the database have written as live and were
    /// told to end.
    pub sessions: u64,
}

/// Whether live sessions end with their credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveSessions {
    /// They end.
    End,
    /// They go on; only new allocations are refused.
    Keep,
}

/// The revocation use-cases.
pub struct Revocation<S> {
    store: Arc<S>,
    directory: Arc<CredentialDirectory>,
    relay: Arc<dyn RelayControl>,
    sink: Arc<dyn EventSink>,
    node: String,
}

impl<S> std::fmt::Debug for Revocation<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocation").finish_non_exhaustive()
    }
}

impl<S: Store> Revocation<S> {
    /// Over a store, the directory the relay reads, the relay, and where events go; `node` is this server's name in the
    /// sessions it writes.
    pub fn new(
        store: Arc<S>,
        directory: Arc<CredentialDirectory>,
        relay: Arc<dyn RelayControl>,
        sink: Arc<dyn EventSink>,
        node: &str,
    ) -> Self {
        Self { store, directory, relay, sink, node: node.to_owned() }
    }

    /// Does what another server, or this one, told. Each notice may come twice.
    pub fn heed(&self, notices: &[Notice], now: UnixTime) {
        let mut ending = Vec::new();
        for notice in notices {
            match notice {
                Notice::Refused { username, until } if issued::is_issued_form(username) => {
                    self.directory.mark_revoked(username, now.min(*until));
                }
                Notice::Refused { username, until } => self.directory.refuse_name(username, *until),
                Notice::EndSessionsOf { username } => ending.push(username.clone()),
                Notice::EndSession { session } => {
                    // It may live elsewhere, or have ended.
                    let _is_ours = self.relay.end_session(*session);
                }
                // For others here.
                Notice::WebhooksChanged
                | Notice::ProjectsSwitched
                | Notice::ClientTokensRevoked
                | Notice::SipUserRemoved { .. }
                | Notice::VoiceUserSentAway { .. } => {}
            }
        }
        if !ending.is_empty() {
            self.relay.end_sessions_of(&ending);
        }
    }

    /// Revokes credentials of the caller's project. When this returns, no new allocation opens with them, and their live
    /// sessions are over if that was asked for.
    ///
    /// # Errors
    /// The store did not answer; then nothing is revoked.
    pub async fn revoke(
        &self,
        caller: ApiCaller,
        by: &RevokeBy,
        live: LiveSessions,
        now: UnixTime,
    ) -> StoreResult<Revoked> {
        let usernames = self.store.revoke(caller.project, by, now).await?;
        for username in &usernames {
            self.directory.mark_revoked(username, now);
        }
        // A credential that was revoked before may still have live sessions: name it and they end.
        let mut ending = usernames.clone();
        if let RevokeBy::Username(username) = by
            && ending.is_empty()
            && self.owns(caller, username).await?
        {
            ending.push(username.clone());
        }
        if live == LiveSessions::End {
            ending.extend(self.kept_before(caller, by, &usernames).await?);
        }
        let mut notices: Vec<Notice> =
            usernames.iter().map(|name| refused(name, now.saturating_add(UNDER_WAY))).collect();
        let sessions = match live {
            LiveSessions::End => {
                notices.extend(ending.iter().map(|name| Notice::EndSessionsOf { username: name.clone() }));
                self.end_sessions_of(caller.project, &ending, now).await?
            }
            LiveSessions::Keep => 0,
        };
        self.store.tell(&notices, now).await?;
        for username in &usernames {
            let event = DomainEvent::CredentialRevoked { username: Arc::from(username.as_str()) };
            self.sink.emit(now, caller.project, event);
        }
        let revoked = Revoked { credentials: usernames.len() as u64, sessions };
        let detail = format!(r#"{{"credentials":{},"sessions":{}}}"#, revoked.credentials, revoked.sessions);
        self.note(caller, "credential.revoke", describe(by), detail, now).await?;
        Ok(revoked)
    }

    /// Takes back the credential of this name: an issued one of the caller's project, or a TURN REST name when the caller
    /// stands for the project that owns those. `None` when there is none that is the caller's.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn take_back(
        &self,
        caller: ApiCaller,
        username: &str,
        live: LiveSessions,
        now: UnixTime,
    ) -> StoreResult<Option<Revoked>> {
        if issued::is_issued_form(username) {
            if !self.owns(caller, username).await? {
                return Ok(None);
            }
            return self.revoke(caller, &RevokeBy::Username(username.to_owned()), live, now).await.map(Some);
        }
        let is_rest = turn_rest::expiry_of(username, self.directory.config().rest_separator).is_some();
        if !is_rest || caller.project != ProjectId::DEFAULT {
            return Ok(None);
        }
        self.refuse_name(caller, username, live, now).await.map(Some)
    }

    /// Refuses a TURN REST name until the expiry written in it, whether it was ever seen or not.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn refuse_name(
        &self,
        caller: ApiCaller,
        username: &str,
        live: LiveSessions,
        now: UnixTime,
    ) -> StoreResult<Revoked> {
        let separator = self.directory.config().rest_separator;
        let until = turn_rest::expiry_of(username, separator).unwrap_or_else(|| now.saturating_add(REFUSED_FOR));
        self.store.refuse_name(caller.project, username, until).await?;
        self.directory.refuse_name(username, until);
        let mut notices = vec![refused(username, until)];
        let sessions = match live {
            LiveSessions::End => {
                notices.push(Notice::EndSessionsOf { username: username.to_owned() });
                self.end_sessions_of(caller.project, &[username.to_owned()], now).await?
            }
            LiveSessions::Keep => 0,
        };
        self.store.tell(&notices, now).await?;
        self.sink.emit(now, caller.project, DomainEvent::CredentialRevoked { username: Arc::from(username) });
        self.note(caller, "credential.revoke", username.to_owned(), "{}".to_owned(), now).await?;
        Ok(Revoked { credentials: 1, sessions })
    }

    /// Ends one live session of the caller's project; whether there was one.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn end_session(&self, caller: ApiCaller, session: AllocationId, now: UnixTime) -> StoreResult<bool> {
        let Some(known) = self.store.session(caller.project, session).await? else { return Ok(false) };
        if known.ended_at.is_some() {
            return Ok(false);
        }
        if known.node != self.node {
            self.store.tell(&[Notice::EndSession { session }], now).await?;
        } else if !self.relay.end_session(session) {
            return Ok(false);
        }
        self.note(caller, "session.end", session.to_string(), "{}".to_owned(), now).await?;
        Ok(true)
    }

    /// Credentials of a room or client that were revoked before and whose sessions were left alone then.
    async fn kept_before(&self, caller: ApiCaller, by: &RevokeBy, now: &[String]) -> StoreResult<Vec<String>> {
        let filter = match by {
            RevokeBy::Room(room) => SessionFilter { room: Some(room.clone()), ..SessionFilter::default() },
            RevokeBy::Client(client) => SessionFilter { client: Some(client.clone()), ..SessionFilter::default() },
            RevokeBy::Username(_) | RevokeBy::Token(_) | RevokeBy::IssuedBefore(_) => return Ok(Vec::new()),
        };
        let filter = SessionFilter { active: Some(true), ..filter };
        let known: BTreeSet<&str> = now.iter().map(String::as_str).collect();
        let mut others = BTreeSet::new();
        let mut page = PageRequest { limit: 200, after: None };
        loop {
            let sessions = self.store.sessions(caller.project, &filter, &page).await?;
            let names = sessions.items.into_iter().map(|session| session.username);
            others.extend(names.filter(|name| !known.contains(name.as_str())));
            page.after = sessions.next;
            if page.after.is_none() {
                break;
            }
        }
        let mut kept = Vec::new();
        for username in others {
            // One that was minted since is not meant.
            if self.store.credential(&username).await?.is_some_and(|record| record.revoked_at.is_some()) {
                kept.push(username);
            }
        }
        Ok(kept)
    }

    /// Ends them here, and counts them everywhere: other servers are asked by what they have written, not waited for.
    async fn end_sessions_of(&self, project: ProjectId, usernames: &[String], now: UnixTime) -> StoreResult<u64> {
        let elsewhere = self.store.live_elsewhere(project, usernames, now).await?;
        Ok(elsewhere + u64::from(self.relay.end_sessions_of(usernames)))
    }

    async fn owns(&self, caller: ApiCaller, username: &str) -> StoreResult<bool> {
        let record = self.store.credential(username).await?;
        Ok(record.is_some_and(|record| record.project == caller.project))
    }

    async fn note(
        &self,
        caller: ApiCaller,
        action: &str,
        subject: String,
        detail: String,
        at: UnixTime,
    ) -> StoreResult<()> {
        self.store.audit(&AuditEntry::by(caller, action, subject, detail, at)).await
    }
}

fn describe(by: &RevokeBy) -> String {
    match by {
        RevokeBy::Username(username) => format!("username {username}"),
        RevokeBy::Room(room) => format!("room {room}"),
        RevokeBy::Client(client) => format!("client {client}"),
        RevokeBy::Token(token) => format!("token {}", token.0),
        RevokeBy::IssuedBefore(time) => format!("issued before {time}"),
    }
}

fn refused(username: &str, until: UnixTime) -> Notice {
    Notice::Refused { username: username.to_owned(), until }
}
