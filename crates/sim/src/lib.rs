//! A world in virtual time for tests, and what the fuzz targets do with their input.
//!
//! No product code uses it. Everything here runs in one thread, from a seed or from given bytes, and asks no clock:
//! the same input gives the same run.
//!
//! Entry points: [`World`]; [`Shell`], the watched TURN server in it; [`fuzz`].

#![forbid(unsafe_code)]

pub mod books;
pub mod fuzz;
mod model;
pub mod settings;
mod shell;
pub mod users;
pub mod world;

pub use shell::{Answer, HandedOver, ScopeNews, Shell};
pub use world::{Conditions, World};
