//! REGISTER (RFC 3261 §10.3): bindings belong to the connection they were made on.

use std::time::Duration;

use causeway_call_core::{Identity, RegisterRefusal};
use causeway_sip_core::{AskId, Contact, RegisterAsk, auth::Credentials};
use causeway_types::Now;

use crate::{
    LimitReached,
    client::Client,
    proof::{Claim, Doubt, Proven},
};

/// Shortest registration. Some clients register again 3 s before its end, in a tight loop if that is now.
const REGISTRATION_SECS_MIN: u32 = 30;

impl Client {
    pub(crate) async fn register(&mut self, ask: RegisterAsk) {
        let is_removal = ask.is_all || !ask.contacts.is_empty() && ask.contacts.iter().all(|c| c.expires == Some(0));
        if is_removal && ask.credentials.is_none() && self.remove_own(&ask) {
            return;
        }
        if (&ask.from.user, &ask.from.host) != (&ask.to.user, &ask.to.host) || ask.to.user.is_empty() {
            // Nobody registers somebody else.
            self.note_refusal();
            self.agent.handle_refused(ask.ask, 403, &[]);
            return;
        }
        let claim = Claim {
            method: "REGISTER",
            request_uri: &ask.registrar,
            from: &ask.from,
            credentials: ask.credentials.as_ref(),
        };
        let outcome = match self.prove(claim).await {
            Ok(proven) => self.bind(&ask, &proven),
            Err(doubt) => {
                // A client whose token is not taken any more knows that it is not registered. One that is asked for its password
                // answers in a moment.
                if matches!(ask.credentials, Some(Credentials::Bearer(_))) {
                    self.unbind(&ask);
                }
                Err(doubt)
            }
        };
        match outcome {
            Ok(identity) => self.tell_bindings(ask.ask, &identity),
            Err(doubt) => self.refuse(ask.ask, doubt),
        }
    }

    /// A request goes no further.
    pub(crate) fn refuse(&mut self, ask: AskId, doubt: Doubt) {
        match doubt {
            Doubt::Answer(status, headers) => {
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                self.agent.handle_refused(ask, status, &headers);
            }
            // Some clients take a 503 for the end: they do come back after a closed connection.
            Doubt::Unavailable => self.send_away(),
        }
    }

    /// Takes back bindings of this very connection; no proof is needed. False when none is meant.
    fn remove_own(&mut self, ask: &RegisterAsk) -> bool {
        let is_named = |uri: &str| ask.is_all || ask.contacts.iter().any(|contact| contact.uri == uri);
        let own = self.bound.iter().filter(|(identity, uri)| *identity.name == *ask.to.user && is_named(uri));
        let own: Vec<(Identity, String)> = own.cloned().collect();
        let Some(identity) = own.first().map(|(identity, _)| identity.clone()) else { return false };
        for (identity, uri) in own {
            self.connection.unregister(&identity, &uri);
            self.bound.remove(&(identity, uri));
        }
        self.tell_bindings(ask.ask, &identity);
        true
    }

    /// The bindings this REGISTER names are this connection's: they go.
    fn unbind(&mut self, ask: &RegisterAsk) {
        let is_meant = |(identity, uri): &&(Identity, String)| {
            *identity.name == *ask.to.user && ask.contacts.iter().any(|contact| contact.uri == *uri)
        };
        let meant: Vec<(Identity, String)> = self.bound.iter().filter(is_meant).cloned().collect();
        for (identity, uri) in meant {
            self.connection.unregister(&identity, &uri);
            self.bound.remove(&(identity, uri));
        }
    }

    fn bind(&mut self, ask: &RegisterAsk, proven: &Proven) -> Result<Identity, Doubt> {
        let identity = proven.identity.clone();
        let is_wanted = |contact: &&Contact| contact.expires != Some(0);
        if ask.contacts.iter().filter(is_wanted).count() > 0 && !proven.may_receive {
            return Err(self.insufficient_scope());
        }
        let is_brief =
            |contact: &Contact| contact.expires.is_some_and(|secs| (1..REGISTRATION_SECS_MIN).contains(&secs));
        if ask.contacts.iter().any(is_brief) {
            return Err(Doubt::Answer(423, vec![("Min-Expires", REGISTRATION_SECS_MIN.to_string())]));
        }
        if ask.is_all {
            let held = self.service.board.with_registrar(|registrar| {
                registrar.bindings_of(&identity).map(|binding| binding.contact.to_string()).collect::<Vec<_>>()
            });
            held.iter().for_each(|contact| self.forget(&identity, contact));
        }
        for contact in &ask.contacts {
            if contact.expires == Some(0) {
                self.forget(&identity, &contact.uri);
                continue;
            }
            let longest = self.service.settings.registration_max;
            let lifetime = contact.expires.map_or(longest, |secs| Duration::from_secs(secs.into()).min(longest));
            let grant = proven.grant.clone();
            let made = self.connection.register_with(identity.clone(), &contact.uri, lifetime, true, grant);
            made.map_err(|refusal| self.too_many(refusal))?;
            self.bound.insert((identity.clone(), contact.uri.clone()));
        }
        Ok(identity)
    }

    /// Whoever proved who it is may take back a binding that is on another connection: that one is lost, or another device's.
    fn forget(&mut self, identity: &Identity, uri: &str) {
        self.service.board.unregister(identity, uri);
        self.bound.remove(&(identity.clone(), uri.to_owned()));
    }

    fn too_many(&self, refusal: RegisterRefusal) -> Doubt {
        self.service.counters.limit(LimitReached::Registrations);
        match refusal {
            RegisterRefusal::TooMany => Doubt::Answer(503, vec![("Retry-After", "30".to_owned())]),
            RegisterRefusal::TooManyOfIdentity
            | RegisterRefusal::TooManyOnConnection
            | RegisterRefusal::TooManyOfGrant => Doubt::Answer(403, Vec::new()),
        }
    }

    /// Every binding of an identity with its remaining time, as the client looks for its own.
    fn tell_bindings(&mut self, ask: AskId, identity: &Identity) {
        let now = Now::read().unix;
        let bindings: Vec<(String, u32)> = self.service.board.with_registrar(|registrar| {
            let left = |at: causeway_types::UnixTime| u32::try_from(at.as_secs().saturating_sub(now.as_secs()));
            let all = registrar.bindings_of(identity);
            all.map(|binding| (binding.contact.to_string(), left(binding.expires_at).unwrap_or(u32::MAX))).collect()
        });
        self.agent.handle_registered(ask, &bindings);
    }
}
