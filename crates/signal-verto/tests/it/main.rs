//! The dialect over a real WebSocket: floods, what makes no sense, and what is left of many calls.

mod floods;
mod leaks;
mod world;
