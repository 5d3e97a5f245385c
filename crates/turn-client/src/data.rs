//! Data to and from peers: Send and Data indications, ChannelData (RFC 8656 §11, §12).

use std::net::SocketAddr;

use causeway_stun_codec::{
    Class, Message, MessageBuilder, Method, TransactionId,
    attributes::{Data, DontFragment, Icmp, XorPeerAddress},
    channel_data,
};

use crate::{
    TurnClient,
    io::{Ignored, Received, Via},
};

/// Largest payload of an indication: the length field less an IPv6 XOR-PEER-ADDRESS, DONT-FRAGMENT and the DATA header,
/// rounded down to a multiple of four.
const INDICATION_PAYLOAD_MAX: usize = 65_500;

/// Why data cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendDataError {
    /// More than a message holds: 65 535 bytes in ChannelData, 65 500 in an indication.
    #[error("{len} bytes do not fit into one message")]
    TooLong {
        /// Payload bytes.
        len: usize,
    },
}

impl TurnClient {
    /// Appends `data` for `peer` to `out`: over its channel when one is bound, else as a Send indication. The caller
    /// sends `out` as one datagram, or as the next bytes of the stream.
    ///
    /// # Errors
    /// [`SendDataError::TooLong`].
    ///
    /// Source: RFC 8656 §11.1, §12.5.
    pub fn write_data(&mut self, peer: SocketAddr, data: &[u8], out: &mut Vec<u8>) -> Result<Via, SendDataError> {
        match self.channel_to(peer) {
            Some(number) => self.write_channel_data(number, data, out).map(|()| Via::Channel(number)),
            None => self.write_indication(peer, data, out).map(|()| Via::Indication),
        }
    }

    /// Appends a Send indication.
    ///
    /// # Errors
    /// [`SendDataError::TooLong`].
    ///
    /// Source: RFC 8656 §11.1.
    pub fn write_indication(&mut self, peer: SocketAddr, data: &[u8], out: &mut Vec<u8>) -> Result<(), SendDataError> {
        if data.len() > INDICATION_PAYLOAD_MAX {
            return Err(SendDataError::TooLong { len: data.len() });
        }
        let id = TransactionId(self.random_bytes());
        let dont_fragment = self.dont_fragment.then_some(&DontFragment);
        let message = MessageBuilder::new(Class::Indication, Method::SEND, id)
            .attribute(&XorPeerAddress(peer))
            .maybe(dont_fragment)
            .attribute(&Data(data))
            .finish();
        out.extend_from_slice(&message);
        Ok(())
    }

    /// Appends a ChannelData message, padded on a stream. Whether the channel is bound is not looked at.
    ///
    /// # Errors
    /// [`SendDataError::TooLong`].
    ///
    /// Source: RFC 8656 §12.4, §12.5.
    pub fn write_channel_data(&self, number: u16, data: &[u8], out: &mut Vec<u8>) -> Result<(), SendDataError> {
        let len = u16::try_from(data.len()).map_err(|_| SendDataError::TooLong { len: data.len() })?;
        out.extend_from_slice(&channel_data::header(number, len));
        out.extend_from_slice(data);
        if !self.config.transport.is_datagram() {
            let padding = data.len().next_multiple_of(4) - data.len();
            out.extend(std::iter::repeat_n(0, padding));
        }
        Ok(())
    }

    pub(crate) fn channel_data<'a>(&self, bytes: &'a [u8]) -> Received<'a> {
        let Ok(message) = channel_data::parse(bytes) else { return Received::Ignored(Ignored::Malformed) };
        match self.peer_of(message.number) {
            Some(peer) => Received::Data { peer, via: Via::Channel(message.number), data: message.data },
            None => Received::Ignored(Ignored::UnknownChannel),
        }
    }

    /// A Data indication: with DATA it carries a payload, with ICMP an error (RFC 8656 §11.4, §11.5).
    pub(crate) fn indication<'a>(message: &Message<'a>) -> Received<'a> {
        if message.method() != Method::DATA {
            return Received::Ignored(Ignored::NotForClient);
        }
        let attributes = (message.attribute(), message.attribute(), message.attribute());
        let (Ok(Some(XorPeerAddress(peer))), Ok(data), Ok(icmp)) = attributes else {
            return Received::Ignored(Ignored::Malformed);
        };
        match (data, icmp) {
            (Some(Data(data)), None) => Received::Data { peer, via: Via::Indication, data },
            (None, Some(icmp)) => Received::Icmp { peer, icmp },
            (None::<Data<'_>>, None::<Icmp>) | (Some(_), Some(_)) => Received::Ignored(Ignored::Malformed),
        }
    }
}
