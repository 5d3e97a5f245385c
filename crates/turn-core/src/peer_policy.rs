//! Which peers a client may reach.

/// Ordered rules and the server's own addresses.
#[derive(Clone, Debug, Default)]
pub struct PeerPolicy {}
