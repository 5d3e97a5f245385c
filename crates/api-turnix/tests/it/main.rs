//! The credential API on the wire: a real listener, raw bytes in, raw bytes out (`docs/compat/turnix.md`).

mod connections;
mod encodings;
mod errors;
mod fields;
mod golden;
mod identifiers;
mod memory;
mod noise;
mod promises;
mod regions;
mod turn_rest;
mod world;
