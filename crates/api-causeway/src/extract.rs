//! What handlers take from a request.

pub(crate) use causeway_api_http::{Asked, Caller, Segment, Sent};
