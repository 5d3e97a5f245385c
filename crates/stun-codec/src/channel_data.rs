//! ChannelData messages (RFC 8656 §12.4).
//!
//! ```text
//! |        channel number         |            length             |
//! |                      application data …                       |
//! ```

/// First channel number; all of `0x4000..=0x7FFF` is accepted since clients of RFC 5766 choose above 0x4FFF.
pub const NUMBER_MIN: u16 = 0x4000;
/// Last channel number (see [`NUMBER_MIN`]).
pub const NUMBER_MAX: u16 = 0x7FFF;
/// Length of the header.
pub const HEADER_LEN: usize = 4;

/// A parsed ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// The channel.
    pub number: u16,
    /// The application data without padding.
    pub data: &'a [u8],
}

/// Why bytes are not ChannelData.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelDataError {
    /// Fewer than four bytes.
    #[error("too short for a ChannelData header")]
    TooShort,
    /// The number is outside 0x4000–0x7FFF.
    #[error("{0:#06x} is no channel number")]
    NotAChannel(u16),
    /// The length field reaches over the end.
    #[error("length field says {declared}, {actual} bytes follow")]
    BadLength {
        /// The length field.
        declared: usize,
        /// Bytes after the header.
        actual: usize,
    },
}

/// Whether `number` may be a channel.
#[must_use]
pub const fn is_channel_number(number: u16) -> bool {
    number >= NUMBER_MIN && number <= NUMBER_MAX
}

/// Reads a ChannelData message; bytes after the declared length (padding) are passed over.
///
/// # Errors
/// See [`ChannelDataError`].
pub fn parse(bytes: &[u8]) -> Result<ChannelData<'_>, ChannelDataError> {
    let Some((&[n0, n1, l0, l1], rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(ChannelDataError::TooShort);
    };
    let number = u16::from_be_bytes([n0, n1]);
    if !is_channel_number(number) {
        return Err(ChannelDataError::NotAChannel(number));
    }
    let declared = usize::from(u16::from_be_bytes([l0, l1]));
    match rest.get(..declared) {
        Some(data) => Ok(ChannelData { number, data }),
        None => Err(ChannelDataError::BadLength { declared, actual: rest.len() }),
    }
}

/// The header that goes before `len` bytes of application data.
#[must_use]
pub const fn header(number: u16, len: u16) -> [u8; HEADER_LEN] {
    let [n0, n1] = number.to_be_bytes();
    let [l0, l1] = len.to_be_bytes();
    [n0, n1, l0, l1]
}
