//! Frames as the libraries send them, and what comes back.

mod calls;
mod leaks;
mod login;
mod rings;
mod tolerance;
mod world;
