//! The program as packages use it.

mod packaging;
