//! Holds the tests about the repository itself, in `tests/it`: layers, compliance tables, documents.
//!
//! It has no code of its own and nothing uses it.
