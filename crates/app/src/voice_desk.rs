//! Who logs in to a voice connection, and whom its users reach.

use std::{fmt, sync::Arc};

use aws_lc_rs::{constant_time, digest};
use causeway_credentials::voice_token::{self, VoiceTokenFault};
use causeway_types::{Secret, UnixTime};

use crate::{ProjectId, StoreError, StoreResult, UriCalls, VoiceConnectionKind, VoiceStore, VoiceUser};

/// By what somebody proves who they are.
#[derive(Debug)]
pub enum VoiceProof {
    /// Of a connection or a credential.
    Password {
        /// Name.
        user: String,
        /// Password.
        password: Secret<String>,
    },
    /// Of a credential.
    Token(Secret<String>),
}

/// Somebody who proved who they are.
#[derive(Clone, Debug)]
pub struct VoiceLogin {
    /// What they are called by, and call as.
    pub name: String,
    /// Connection and credential.
    pub user: VoiceUser,
    /// When the proof stops counting.
    pub good_until: Option<UnixTime>,
}

/// Why a login was refused. The client is told the same for all but the last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoiceLoginRefusal {
    /// No such user, or another password; a token that is not ours or was taken back.
    #[error("wrong user name, password or token")]
    Wrong,
    /// The credential or token expired.
    #[error("the credential or token expired")]
    Expired,
    /// The connection or project does not work at the moment.
    #[error("the connection is not active")]
    Inactive,
    /// It cannot be judged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a dial goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceRoute {
    /// To this name, at its newest client or at all of them.
    Name {
        /// Name.
        name: String,
        /// Whether all ring.
        rings_all: bool,
        /// How long.
        ring_for: Option<std::time::Duration>,
        /// Whether it is a voice user; otherwise it is one only if it is registered.
        is_known: bool,
    },
    /// Nowhere: not allowed.
    Forbidden,
    /// Nowhere: no such name can be.
    NotFound,
}

/// The use-cases.
pub struct VoiceDesk<S> {
    store: Arc<S>,
}

impl<S> fmt::Debug for VoiceDesk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoiceDesk")
    }
}

impl<S: VoiceStore> VoiceDesk<S> {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Arc<S>) -> Self {
        Self { store }
    }

    /// Judges a login.
    ///
    /// # Errors
    /// See [`VoiceLoginRefusal`].
    pub async fn login(&self, proof: &VoiceProof, now: UnixTime) -> Result<VoiceLogin, VoiceLoginRefusal> {
        let login = match proof {
            VoiceProof::Password { user, password } => self.by_password(user, password).await?,
            VoiceProof::Token(token) => self.by_token(token, now).await?,
        };
        if login.user.credential.as_ref().is_some_and(|credential| credential.is_expired(now)) {
            return Err(VoiceLoginRefusal::Expired);
        }
        if !login.user.connection.is_active || login.user.is_project_disabled {
            return Err(VoiceLoginRefusal::Inactive);
        }
        Ok(login)
    }

    async fn by_password(&self, name: &str, password: &Secret<String>) -> Result<VoiceLogin, VoiceLoginRefusal> {
        let found = self.store.voice_user_by_name(name).await?;
        let user = found.filter(|user| user.connection.kind == VoiceConnectionKind::Clients);
        let user = user.ok_or(VoiceLoginRefusal::Wrong)?;
        let expected = match &user.credential {
            Some(credential) => Some(&credential.password),
            None => user.connection.password.as_ref(),
        };
        if !expected.is_some_and(|expected| is_same(expected, password)) {
            return Err(VoiceLoginRefusal::Wrong);
        }
        let good_until = user.credential.as_ref().and_then(|credential| credential.expires_at);
        Ok(VoiceLogin { name: name.to_owned(), user, good_until })
    }

    /// A token has no name of its own: its client is its credential's.
    async fn by_token(&self, token: &Secret<String>, now: UnixTime) -> Result<VoiceLogin, VoiceLoginRefusal> {
        let id = voice_token::credential_of(token.expose()).ok_or(VoiceLoginRefusal::Wrong)?;
        let user = self.store.voice_user_by_credential(&id).await?.ok_or(VoiceLoginRefusal::Wrong)?;
        let credential = user.credential.as_ref().ok_or(VoiceLoginRefusal::Wrong)?;
        let claims =
            voice_token::verify(token.expose(), &credential.token_secret, now).map_err(|fault| match fault {
                VoiceTokenFault::Expired => VoiceLoginRefusal::Expired,
                VoiceTokenFault::Malformed | VoiceTokenFault::Forged => VoiceLoginRefusal::Wrong,
            })?;
        let good_until = credential.expires_at.into_iter().chain([claims.expires_at]).min();
        Ok(VoiceLogin { name: credential.user_name.clone(), user, good_until })
    }

    /// The connection and credential as they are at the moment.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn user(&self, name: &str) -> StoreResult<Option<VoiceUser>> {
        self.store.voice_user_by_name(name).await
    }

    /// Where a caller of this project gets when it dials a user name, `sip:user@host`, or a number.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn route(&self, project: ProjectId, destination: &str, now: UnixTime) -> StoreResult<VoiceRoute> {
        let Some(dialled) = Dialled::parse(destination) else { return Ok(VoiceRoute::NotFound) };
        let name = dialled.name.to_owned();
        let found = self.store.voice_user_by_name(&name).await?.filter(|user| user.connection.project == project);
        let Some(VoiceUser { connection, credential, .. }) = found else {
            return Ok(VoiceRoute::Name { name, rings_all: true, ring_for: None, is_known: false });
        };
        let is_expired = credential.is_some_and(|credential| credential.is_expired(now));
        if !connection.is_active || is_expired {
            return Ok(VoiceRoute::NotFound);
        }
        if dialled.is_uri && connection.uri_calls == UriCalls::Nobody
            || dialled.is_number() && !connection.is_dialled_by_number
        {
            return Ok(VoiceRoute::Forbidden);
        }
        let ring_for = Some(connection.ring_for);
        Ok(VoiceRoute::Name { name, rings_all: connection.rings_all, ring_for, is_known: true })
    }
}

/// A destination as a client wrote it.
#[derive(Debug, PartialEq, Eq)]
struct Dialled<'a> {
    name: &'a str,
    is_uri: bool,
}

impl<'a> Dialled<'a> {
    fn parse(destination: &'a str) -> Option<Self> {
        let trimmed = destination.trim();
        let scheme = trimmed
            .split_once(':')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips"));
        let (rest, is_uri) = scheme.map_or((trimmed, false), |(_, rest)| (rest, true));
        let user = rest.split(['@', ';', '?']).next().unwrap_or_default();
        let name = user.split(':').next().unwrap_or_default();
        let is_name = !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then_some(Self { name, is_uri: is_uri || rest.contains('@') })
    }

    fn is_number(&self) -> bool {
        let digits = self.name.strip_prefix('+').unwrap_or(self.name);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// Compares what both hash to, so that neither length nor content shows in the time it takes.
fn is_same(expected: &Secret<String>, given: &Secret<String>) -> bool {
    let hash = |secret: &Secret<String>| digest::digest(&digest::SHA256, secret.expose().as_bytes());
    constant_time::verify_slices_are_equal(hash(expected).as_ref(), hash(given).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_as_clients_write_them() {
        for (text, name, is_uri, is_number) in [
            ("bob", "bob", false, false),
            ("sip:gencredAbc@sip.example.org", "gencredAbc", true, false),
            ("SIP:bob@host;transport=tcp", "bob", true, false),
            ("sip:bob:5060@host", "bob", true, false),
            ("bob@host", "bob", true, false),
            ("+493012345", "+493012345", false, true),
            ("100", "100", false, true),
        ] {
            let dialled = Dialled::parse(text).unwrap();
            assert_eq!((dialled.name, dialled.is_uri, dialled.is_number()), (name, is_uri, is_number), "{text}");
        }
        for text in ["", "sip:", "sip:@host", "two words", &"x".repeat(129)] {
            assert_eq!(Dialled::parse(text), None, "{text}");
        }
    }
}
