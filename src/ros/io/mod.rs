//! The topics of the contract: observations, goal, maps and transforms in, action out.
//! Decoded samples enter the control loop through [`SampleSink`].

mod action_publisher;
mod geometry;
mod goals;
mod grid_message;
mod mailbox;
mod maps;
mod sample_sink;
mod subscriptions;
mod tf_listener;

pub(super) use action_publisher::{ActionError, ActionPublisher};
pub(super) use mailbox::Mailbox;
pub(super) use maps::Maps;
pub(super) use sample_sink::{LastReceived, SampleSink};
pub(super) use subscriptions::Subscriptions;
