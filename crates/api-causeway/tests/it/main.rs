//! The routes over a listener and a database of their own.

mod authorization;
mod deliveries;
mod golden;
mod world;
