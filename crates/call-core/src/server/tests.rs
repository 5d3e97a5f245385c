//! Calls, rule by rule, in virtual time. The random walk at the end mixes them.

mod answering;
mod in_call;
mod losses;
mod walk;
mod world;
