//! The planner node.
//!
//! ```text
//! run -> Supervisor (life cycle) -> Assembly (what `configure` builds)
//!   \-> Reporter (log, diagnostics)      \-> subscriptions, publishers, threads
//! ```

mod arguments;
mod assembly;
mod context;
mod error;
mod lifecycle;
mod parameters;
mod planner;
mod reporter;
mod run;
mod settings;
mod shutdown;
mod supervisor;

pub use arguments::own_arguments;
pub use error::NodeError;
pub use run::{NODE_NAME, run};
pub use settings::{NodeSettings, Options, SettingsError};
