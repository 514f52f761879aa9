//! Devices by name: which are built in, which are present, and why a name is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};

/// All kinds of Burn devices, with the Cargo feature of each.
const BACKENDS: [Backend; 4] = [
    Backend { name: "flex", feature: None, built_in: true, indexed: false },
    Backend { name: "tch", feature: Some("tch"), built_in: cfg!(feature = "tch"), indexed: false },
    Backend { name: "cuda", feature: Some("cuda"), built_in: cfg!(feature = "cuda"), indexed: true },
    Backend { name: "wgpu", feature: Some("wgpu"), built_in: cfg!(feature = "wgpu"), indexed: true },
];
/// The name of the evaluation by df_engine, which plans and cannot train.
const NATIVE: &str = "cpu";

struct Backend {
    name: &'static str,
    feature: Option<&'static str>,
    built_in: bool,
    /// True if a machine may have several devices of the kind, numbered from 0.
    indexed: bool,
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No device has this name.
    #[error("there is no device `{got}`; available here: {available}")]
    Unknown {
        /// The name.
        got: String,
        /// The devices that are built in and present.
        available: String,
    },
    /// The program is built without this kind of device.
    #[error(
        "device `{got}`: this program was built without the Cargo feature `{feature}`; available here: {available}"
    )]
    NotBuilt {
        /// The name.
        got: String,
        /// The missing Cargo feature.
        feature: &'static str,
        /// The devices that are built in and present.
        available: String,
    },
    /// The machine has no such device.
    #[error("device `{got}` is not present: {found}; available here: {available}")]
    NotPresent {
        /// The name.
        got: String,
        /// What was found instead.
        found: String,
        /// The devices that are built in and present.
        available: String,
    },
    /// The device has no bf16 numbers.
    #[error("training.precision: bf16: device `{got}` does not support bf16; use f32")]
    Precision {
        /// The name.
        got: String,
    },
    /// The device is present, and its first computation failed.
    #[error("device `{got}` is present and fails: {message}")]
    Fails {
        /// The name.
        got: String,
        /// The error of the backend.
        message: String,
    },
}

/// The evaluation of a network in planning.
#[derive(Clone, Debug)]
pub enum Engine {
    /// df_engine on the CPU. Weights are read through `flex`.
    Native,
    /// A Burn backend.
    Burn(Device),
}

impl Engine {
    /// The Burn device that weights are loaded to.
    pub fn device(&self) -> Device {
        match self {
            Self::Native => Device::flex(),
            Self::Burn(device) => device.clone(),
        }
    }
}

/// The engine of a name: `cpu` (the default of the programs), or a Burn device as for [`device`].
///
/// # Errors
/// As [`device`].
pub fn engine(name: &str) -> Result<Engine, DeviceError> {
    match name {
        NATIVE => Ok(Engine::Native),
        _ => open(name, Some(NATIVE)).map(Engine::Burn),
    }
}

/// The Burn device of a name: `flex` (pure Rust, always built in), `tch`, `cuda` or `cuda:N`, `wgpu` or `wgpu:N`, each
/// with its Cargo feature. Without a number it is the first device of the kind.
///
/// # Errors
/// [`DeviceError`]: the device is unknown, not built in or not present, or a test sum on it fails.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    open(name, None)
}

/// The names of all devices that are built in and present.
pub fn devices() -> Vec<String> {
    let of_backend = |backend: &Backend| {
        let numbered = |i| if backend.indexed { format!("{}:{i}", backend.name) } else { backend.name.into() };
        (0..present(backend.name).len()).map(numbered).collect::<Vec<_>>()
    };
    BACKENDS.iter().flat_map(of_backend).collect()
}

fn open(name: &str, native: Option<&str>) -> Result<Device, DeviceError> {
    let got = || name.to_string();
    let available = || native.map(String::from).into_iter().chain(devices()).collect::<Vec<_>>().join(", ");
    let (kind, number) = name.split_once(':').map_or((name, None), |(kind, number)| (kind, Some(number)));
    let index = number.map_or(Some(0), |number| number.parse::<usize>().ok());
    let known = BACKENDS.iter().find(|known| known.name == kind && (known.indexed || number.is_none()));
    let (Some(known), Some(index)) = (known, index) else {
        return Err(DeviceError::Unknown { got: got(), available: available() });
    };
    if let Some(feature) = known.feature.filter(|_| !known.built_in) {
        return Err(DeviceError::NotBuilt { got: got(), feature, available: available() });
    }
    let mut present = present(kind);
    if index >= present.len() {
        let found = match (present.len(), kind) {
            (0, "cuda") => "no NVIDIA driver (libcuda) that knows of a GPU".to_string(),
            (0, _) => "no graphics driver (Vulkan, Metal, Direct3D or OpenGL) that knows of an adapter".to_string(),
            (count, _) => format!("{count} of its kind, counted from 0"),
        };
        return Err(DeviceError::NotPresent { got: got(), found, available: available() });
    }
    let device = present.swap_remove(index);
    catch_panic(|| sum_on(&device)).map_err(|message| DeviceError::Fails { got: got(), message })?;
    Ok(device)
}

/// The devices of a kind that drivers report. Empty if the kind is not built in.
fn present(kind: &str) -> Vec<Device> {
    let found = catch_unwind(|| match kind {
        "flex" => vec![Device::flex()],
        // burn-tch is deprecated upstream. It is still the fastest of Burn's CPU backends for planning with many
        // rollouts (docs/src/reference/results/beside-pytorch.md).
        #[cfg(feature = "tch")]
        #[allow(deprecated)]
        "tch" => vec![Device::libtorch()],
        #[cfg(feature = "cuda")]
        "cuda" => Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec(),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec(),
        _ => Vec::new(),
    });
    // A driver may panic when it lists its devices. Then there are none.
    found.unwrap_or_default()
}

/// Computes one sum on the device. Drivers may fail only at the first kernel.
fn sum_on(device: &Device) -> Result<(), String> {
    let sum = (Tensor::<1>::ones([4], device) + Tensor::<1>::ones([4], device)).sum();
    match sum.into_data().try_to_vec::<f32>() {
        Ok(sum) if sum == [8.0] => Ok(()),
        Ok(sum) => Err(format!("the sum of four times 1 + 1 should be 8 and is {sum:?}")),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// Runs a function that may panic inside a backend. Returns the message of a panic as an error.
fn catch_panic(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        Err(text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_and_cpu_are_always_available() {
        assert!(device("flex").is_ok() && matches!(engine("cpu"), Ok(Engine::Native)));
        assert_eq!(devices()[0], "flex");
    }

    #[test]
    fn a_refused_name_is_cited_with_the_available_devices() {
        for name in ["tpu", "flex:0", "cuda:", "cuda:-1", "wgpu:x", "tch:1", "", "cpu"] {
            let error = device(name).unwrap_err();
            assert!(matches!(error, DeviceError::Unknown { .. }), "{name}: {error:?}");
            let message = error.to_string();
            assert!(message.contains(&format!("`{name}`")) && message.contains("flex"), "{message}");
        }
        // `cpu` can plan and cannot train.
        let message = engine("tpu").unwrap_err().to_string();
        assert!(message.contains("available here: cpu, flex"), "{message}");
        // No machine has a thousand devices.
        for (name, feature) in [("cuda:1000", "cuda"), ("wgpu:1000", "wgpu")] {
            let error = device(name).unwrap_err();
            if BACKENDS.iter().any(|backend| backend.name == feature && backend.built_in) {
                assert!(matches!(error, DeviceError::NotPresent { .. }), "{error:?}");
            } else {
                assert!(error.to_string().contains(&format!("the Cargo feature `{feature}`")), "{error}");
            }
        }
    }

    #[test]
    fn a_panic_inside_a_backend_is_an_error_with_its_message() {
        let error =
            DeviceError::Fails { got: "x".into(), message: catch_panic(|| panic!("no {}", "kernel")).unwrap_err() };
        assert_eq!(error.to_string(), "device `x` is present and fails: no kernel");
    }
}
