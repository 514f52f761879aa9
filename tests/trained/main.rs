//! Trains networks on data with a known distribution: bimodal data, a delayed copy, and the metrics of validation. Also
//! tests determinism, initialisation from a checkpoint, and several devices. Trains with `train` on the backend `flex`,
//! as `df_train` does.

mod bimodal;
mod delayed_copy;
mod determinism;
mod devices;
mod fixture;
mod init_from;
#[path = "../support/mod.rs"]
mod support;
mod validation_metrics;
