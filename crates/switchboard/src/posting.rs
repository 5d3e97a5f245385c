//! A binding as other servers read it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use causeway_app::{CallBook, ClientPlace, NodeAddress, Posted, Registration, admission};
use causeway_call_core::{AccountId, Binding, BindingRef, ConnectionId, Identity, LegRoute, LegTraits, NodeId};
use causeway_types::UnixTime;
use serde::{Deserialize, Serialize};

/// Dialects by name: a name of another server is one of these.
const DIALECTS: [&str; 3] = ["sip", "verto", "telnyx"];

/// The text of a posted binding. Names are short: there is one per client, in memory and in Redis.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    /// Connection.
    c: u64,
    /// Traits: candidates, transfer, grace in milliseconds.
    t: (bool, bool, Option<u64>),
    /// Contact.
    k: String,
    /// Grant.
    g: String,
    /// Ringable.
    r: bool,
    /// Since, updated, expires: milliseconds.
    w: (u64, u64, u64),
    /// Dialect, address, program.
    p: (String, Option<IpAddr>, Option<String>),
    /// Note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
}

/// A binding of another server.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    pub(crate) node: NodeAddress,
    pub(crate) id: u64,
    pub(crate) since: UnixTime,
    pub(crate) is_ringable: bool,
    pub(crate) binding: BindingRef,
    updated: UnixTime,
    expires_at: UnixTime,
    grant: Arc<str>,
    place: ClientPlace,
}

/// As it is posted.
pub(crate) fn text(binding: &Binding, place: ClientPlace, note: Option<Arc<str>>) -> Option<String> {
    let LegTraits { takes_candidates, takes_transfer, grace } = binding.traits;
    let text = Text {
        c: binding.connection.number,
        t: (takes_candidates, takes_transfer, grace.map(millis)),
        k: binding.contact.to_string(),
        g: binding.grant.to_string(),
        r: binding.is_ringable,
        w: (binding.since.as_millis(), binding.updated.as_millis(), binding.expires_at.as_millis()),
        p: (place.dialect.to_owned(), place.address, place.user_agent.map(|agent| agent.to_string())),
        n: note.map(|note| note.to_string()),
    };
    serde_json::to_string(&text).ok()
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Reads what another server posted; none for what is not understood or over.
pub(crate) fn read(account: AccountId, node: NodeId, posted: Posted, now: UnixTime) -> Option<Elsewhere> {
    let Text { c, t, k, g, r, w, p, n } = serde_json::from_str(&posted.text).ok()?;
    let (since, updated, expires_at) =
        (UnixTime::from_millis(w.0), UnixTime::from_millis(w.1), UnixTime::from_millis(w.2));
    if expires_at <= now {
        return None;
    }
    let traits = LegTraits { takes_candidates: t.0, takes_transfer: t.1, grace: t.2.map(Duration::from_millis) };
    let route = LegRoute { connection: ConnectionId { node, number: c }, traits };
    let dialect = DIALECTS.into_iter().find(|dialect| *dialect == p.0).unwrap_or_default();
    Some(Elsewhere {
        binding: BindingRef {
            identity: Identity::new(account, &posted.name),
            route,
            contact: Arc::from(k),
            note: n.map(Arc::from),
        },
        node: posted.node,
        id: posted.entry,
        since,
        is_ringable: r,
        updated,
        expires_at,
        grant: Arc::from(g),
        place: ClientPlace { dialect, address: p.1, user_agent: p.2.map(Arc::from) },
    })
}

impl Elsewhere {
    pub(crate) fn registration(self) -> Registration {
        let BindingRef { identity, route, .. } = self.binding;
        Registration {
            id: format!("{}-{}", route.connection.node.0, self.id),
            project: CallBook::project(identity.account),
            client: identity.name,
            dialect: self.place.dialect,
            is_ringable: self.is_ringable,
            since: self.since,
            updated: self.updated,
            expires_at: self.expires_at,
            address: self.place.address,
            user_agent: self.place.user_agent,
            admission: admission(&self.grant),
        }
    }
}
