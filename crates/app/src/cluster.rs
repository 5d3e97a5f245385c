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

/// An entry that another living node posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Whose.
    pub node: NodeAddress,
    /// Under which name.
    pub name: String,
    /// Which of that node's under this name.
    pub entry: u64,
    /// What it says.
    pub text: String,
}

/// The answer of [`Cluster::posted`].
pub type Finding<'a> = Pin<Box<dyn Future<Output = Result<Vec<Posted>, ClusterUnavailable>> + Send + 'a>>;

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

    /// Posts an entry under a name on a shelf, or with none takes it back. It counts as long as this node lives. Never waits; an
    /// entry that cannot be written now is written later.
    fn post(&self, shelf: &str, name: &str, entry: u64, text: Option<String>);

    /// What other living nodes posted under a name, or with none under every name of a shelf, in no order.
    fn posted<'a>(&'a self, shelf: &'a str, name: Option<&'a str>) -> Finding<'a>;

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
