//! A delayed copy.
