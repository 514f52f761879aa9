//! Backends by name.

use burn::tensor::Device;

/// A backend that is unknown or not built in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device `{got}` is not available; this build has: {available}")]
pub struct DeviceError {
    pub got: String,
    pub available: String,
}

/// What evaluates a network while planning.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Our own evaluation on the CPU, see `native.rs`; weights are read through `flex`.
    Native,
    /// A Burn backend.
    Burn(Device),
}

impl Engine {
    /// Where weights are loaded to.
    pub fn device(&self) -> Device {
        match self {
            Self::Native => Device::flex(),
            Self::Burn(device) => device.clone(),
        }
    }
}

/// What plans under that name: `cpu` (the default of the programs), or a backend as for [`device`].
///
/// # Errors
/// As [`device`].
pub fn engine(name: &str) -> Result<Engine, DeviceError> {
    if name == "cpu" {
        return Ok(Engine::Native);
    }
    device(name)
        .map(Engine::Burn)
        .map_err(|error| DeviceError { available: format!("cpu, {}", error.available), ..error })
}

/// The Burn device of that name: `flex` (pure Rust, always there), `tch` (feature `tch`), `cuda` or `cuda:N` (feature `cuda`).
///
/// # Errors
/// The name is unknown or its feature is not built in.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    match name {
        "flex" => return Ok(Device::flex()),
        // burn-tch is deprecated upstream, and still the fastest backend for training on CPUs (docs/performance.md).
        #[cfg(feature = "tch")]
        #[allow(deprecated)]
        "tch" => return Ok(Device::libtorch()),
        #[cfg(feature = "cuda")]
        _ if name == "cuda" || name.starts_with("cuda:") => {
            if let Ok(index) = name.strip_prefix("cuda:").unwrap_or("0").parse::<usize>() {
                return Ok(Device::cuda(index));
            }
        }
        _ => {}
    }
    let available: Vec<&str> =
        [Some("flex"), cfg!(feature = "tch").then_some("tch"), cfg!(feature = "cuda").then_some("cuda:N")]
            .into_iter()
            .flatten()
            .collect();
    Err(DeviceError { got: name.into(), available: available.join(", ") })
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_unknown_device_is_named_with_what_there_is() {
        let message = super::device("tpu").unwrap_err().to_string();
        assert!(message.contains("`tpu`") && message.contains("flex"), "{message}");
    }
}
