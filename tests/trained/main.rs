//! Trained networks on data whose answer is known: both modes of a fork in the right odds, a hidden channel filled in from
//! its delayed copy. Trains with `train` on the backend `flex`, as `df_train` does.

mod bench;
mod copy;
mod fork;
mod same;
