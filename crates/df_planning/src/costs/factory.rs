//! The trait by which the configuration makes a cost.

use serde::de::DeserializeOwned;

use super::binding::Binding;
use super::cost::Cost;
use super::error::CostError;

/// A cost that the configuration can name.
pub(super) trait CostFactory: Cost + Sized + 'static {
    /// The value of the key `kind`.
    const NAME: &'static str;
    /// The keys beside `kind`, `weight` and `gate`, with their defaults.
    type Config: DeserializeOwned;

    /// Makes the cost: turns names into channels and checks every value.
    ///
    /// # Errors
    /// [`CostError`]: a value breaks a rule, or a channel is unknown.
    fn bind(config: Self::Config, binding: &Binding) -> Result<Self, CostError>;
}
