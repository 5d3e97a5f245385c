//! The port between nodes: who owns a thing, and sending to its owner. It knows nothing of what the things are.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A node as others address it: its name and which start of it this is.
pub type NodeAddress = Arc<str>;

/// Who owns a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This node.
    Here,
    /// Another.
    Node(NodeAddress),
}

/// The others cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other nodes cannot be asked")]
pub struct ClusterUnavailable;

/// The answer of [`Cluster::claim`].
pub type Claiming<'a> = Pin<Box<dyn Future<Output = Result<Owner, ClusterUnavailable>> + Send + 'a>>;

/// The answer of [`Cluster::has_note`].
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<bool, ClusterUnavailable>> + Send + 'a>>;

/// What a node may ask of the cluster.
pub trait Cluster: Send + Sync + 'static {
    /// Who owns a thing; this node, from here on, if no living node did. Asking twice changes nothing.
    fn claim<'a>(&'a self, what: &'a str) -> Claiming<'a>;

    /// Gives a thing back; done before any later claim of it is asked.
    fn release(&self, what: &str);

    /// Writes something down that every node can read, for a while. Never waits; what is not written is not missed.
    fn note(&self, what: &str, lasts: Duration);

    /// Erases what was written down. Never waits.
    fn erase(&self, what: &str);

    /// Whether something is written down.
    fn has_note<'a>(&'a self, what: &'a str) -> Reading<'a>;

    /// Sends to a node. Messages to one node arrive in order and at most once; when one may be lost,
    /// [`ClusterListener::node_lost`] tells. Never waits.
    fn send(&self, to: &NodeAddress, message: Vec<u8>);
}

/// What a node is told.
pub trait ClusterListener: Send + Sync + 'static {
    /// A message of another node.
    fn heard(&self, from: &NodeAddress, message: &[u8]);

    /// A node this one sent to or heard from is gone, or messages between the two may be lost.
    fn node_lost(&self, node: &NodeAddress);

    /// Things this node owned are another's.
    fn claims_lost(&self, what: &[String]);
}
