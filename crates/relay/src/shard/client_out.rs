//! Messages to a client, whatever it came by.

use std::io::IoSlice;

use causeway_turn_core::{ClientLeg, DropReason};
use causeway_types::Now;

use super::Shard;
use crate::{command::Command, leg::Leg};

/// Whether a message may be dropped for a slow reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Relayed data: old packets give way.
    Data,
    /// An answer: kept.
    Control,
    /// Bytes of a spliced stream: kept, in order; the sender is held back instead.
    Stream,
}

impl Shard {
    /// Sends one whole message.
    pub(super) fn send_to_client(&mut self, now: Now, client: ClientLeg, message: &[u8], weight: Weight) {
        match Leg::of(client.leg) {
            Leg::Udp(index) => {
                let Some(listener) = self.listeners.udp.get(index) else { return };
                let (to, source) = (client.five_tuple.client, Some(client.five_tuple.server.ip()));
                if let Err(error) = listener.socket.send(to, source, &[IoSlice::new(message)], None) {
                    let full = error.kind() == std::io::ErrorKind::WouldBlock;
                    self.count_drop(if full { DropReason::SendQueueFull } else { DropReason::SendFailed }, 1);
                }
            }
            Leg::Stream(key) => self.stream_send(now, key, client.five_tuple, message, weight),
            Leg::Dtls(key) => self.dtls_send(now, key, client.five_tuple, message),
            Leg::Remote(via, leg) => {
                let command = Command::RemoteTransmit {
                    from: self.index,
                    leg,
                    five_tuple: client.five_tuple,
                    bytes: message.to_vec(),
                    weight,
                };
                if !self.shared.send(via, command) {
                    self.count_drop(DropReason::SendQueueFull, 1);
                }
            }
        }
    }

    /// Closes a client's connection or association.
    pub(super) fn close_client(&mut self, client: ClientLeg) {
        match Leg::of(client.leg) {
            Leg::Stream(key) => self.close_stream(key),
            Leg::Dtls(key) => self.close_association(key),
            Leg::Udp(_) | Leg::Remote(..) => {}
        }
    }
}
