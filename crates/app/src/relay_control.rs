//! The port to the data plane.

use causeway_types::AllocationId;

/// What the control plane may tell the relay. Each call is done on every data-plane thread when it returns; none takes
/// longer than a second.
pub trait RelayControl: Send + Sync + 'static {
    /// Ends one allocation; whether it was there.
    fn end_session(&self, session: AllocationId) -> bool;

    /// Ends every allocation of these users; how many there were.
    fn end_sessions_of(&self, usernames: &[String]) -> u32;
}
