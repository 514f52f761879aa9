//! Trained networks on data whose answer is known: both modes of a fork in the right odds, a hidden channel filled in from
//! its delayed copy, and what validation says. Trains with `train` on the backend `flex`, as `df_train` does.

mod bench;
mod copy;
mod devices;
mod fork;
mod from;
mod measured;
mod same;
#[path = "../support/mod.rs"]
mod support;
