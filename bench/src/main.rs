//! Compares causeway with coturn on the machine it runs on. Empty until its first load exists.

fn main() {}
