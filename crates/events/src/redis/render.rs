//! Keys, channels and values, byte for byte as coturn writes them (`docs/events.md#keys-and-channels`).

use std::time::Duration;

use causeway_app::SessionStart;
use causeway_types::{ClientSecurity, ClientTransport, FiveTuple, TrafficCount, TrafficCounters};

/// The last part of a key or channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Status,
    Traffic,
    PeerTraffic,
    TotalTraffic,
    TotalPeerTraffic,
}

impl Leaf {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Traffic => "traffic",
            Self::PeerTraffic => "traffic/peer",
            Self::TotalTraffic => "total_traffic",
            Self::TotalPeerTraffic => "total_traffic/peer",
        }
    }
}

/// The first word of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    New,
    Refreshed,
}

/// Key and channel of one leaf of a session. Names go in verbatim: coturn escapes nothing.
pub(crate) fn object(session: &SessionStart, leaf: Leaf) -> String {
    let (realm, username, number, leaf) = (&session.realm, &session.username, session.number, leaf.as_str());
    if realm.is_empty() {
        format!("turn/user/{username}/allocation/{number:018}/{leaf}")
    } else {
        format!("turn/realm/{realm}/user/{username}/allocation/{number:018}/{leaf}")
    }
}

/// The value of a status key and message.
pub(crate) fn status(word: Word, lifetime: Duration, leg: &FiveTuple, security: Option<ClientSecurity>) -> String {
    let word = match word {
        Word::New => "new",
        Word::Refreshed => "refreshed",
    };
    let transport = match leg.transport {
        ClientTransport::Udp => "UDP",
        ClientTransport::Tcp => "TCP",
        ClientTransport::Tls => "TLS/TCP",
        ClientTransport::Dtls => "DTLS",
    };
    let (version, cipher) = security.map_or(("NONE", "NONE"), |security| (security.version, security.cipher));
    let (secs, local, remote) = (lifetime.as_secs(), leg.server, leg.client);
    format!("{word} lifetime={secs}, type={transport}, local={local}, remote={remote}, ssl={version}, cipher={cipher}")
}

/// The value of a traffic message: what this side of the relay received and sent.
pub(crate) fn traffic(received: TrafficCount, sent: TrafficCount) -> String {
    format!("rcvp={}, rcvb={}, sentp={}, sentb={}", received.packets, received.bytes, sent.packets, sent.bytes)
}

/// Figures of both legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Payload on the leg of the peers.
    pub(crate) payload: TrafficCounters,
    /// Whole messages on the leg of the client.
    pub(crate) messages: TrafficCounters,
}

impl Figures {
    /// What was counted since `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self { payload: since(self.payload, earlier.payload), messages: since(self.messages, earlier.messages) }
    }

    /// As the server sees its client.
    pub(crate) fn client_leg(self) -> String {
        traffic(self.messages.from_client, self.messages.to_client)
    }

    /// As the server sees the peers.
    pub(crate) fn peer_leg(self) -> String {
        traffic(self.payload.to_client, self.payload.from_client)
    }
}

const fn since(now: TrafficCounters, earlier: TrafficCounters) -> TrafficCounters {
    TrafficCounters {
        from_client: difference(now.from_client, earlier.from_client),
        to_client: difference(now.to_client, earlier.to_client),
    }
}

const fn difference(now: TrafficCount, earlier: TrafficCount) -> TrafficCount {
    TrafficCount {
        packets: now.packets.saturating_sub(earlier.packets),
        bytes: now.bytes.saturating_sub(earlier.bytes),
    }
}

#[cfg(test)]
mod tests;
