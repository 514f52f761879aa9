//! Import of weights from PyTorch. Imported weights give the same outputs as in PyTorch; damaged and unknown files are
//! refused with the reason. `weights.py` made the files beside this test. With a Python that has torch
//! (`DF_TEST_TORCH`) the test makes them again, and safetensors files too.
#![cfg(feature = "formats")]

mod program;
mod refusals;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use df_core::Layout;
use df_diffusion::{Levels, NoiseSchedule, Objective, TokenSpec, Tokens};
use df_diffusion::{NoiseScheduleKind, ObjectiveKind};
use df_engine::{ConditioningFeatures, NetworkConfig};
use df_training::burn::tensor::Device;
use df_training::import::{ForeignWeights, ReferenceOptions, import_native, import_reference};
use df_training::{AnyNetwork, Engine, denoiser};
use serde_json::Value;
use support::tools::{TORCH, require_tool};

/// Sizes of `weights.py`.
const TOKENS: usize = 8;
const BATCH: usize = 3;
const LENGTH: usize = 5;
const HEADS: usize = 2;
const OWN: [usize; 6] = [16, 2, HEADS, 6, 4, TOKENS];

fn layout() -> Layout {
    let labels = |labels: &[&str]| labels.iter().map(ToString::to_string).collect::<Vec<_>>();
    Layout::new(2, [("action".into(), labels(&["a"])), ("seen".into(), labels(&["x", "y"]))])
}

fn own_sizes() -> NetworkConfig {
    let [width, layers, heads, channels, noise_groups, tokens] = OWN;
    NetworkConfig::new(width, layers, heads, channels, noise_groups, tokens)
}

fn options(causal: bool) -> ReferenceOptions<'static> {
    ReferenceOptions { prefix: None, channels: &[], heads: HEADS, tokens: TOKENS, causal }
}

fn beside() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign_weights"))
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

/// The largest allowed error, relative to the largest value.
fn farthest(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    got.iter().zip(expected).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / largest
}

/// Compares the outputs of a network with those of PyTorch.
fn compare(what: &str, network: &AnyNetwork, engine: &Engine, expected: &Value, key: &str) {
    let (spec, schedule) = (TokenSpec::new(&[0, 1, 1], 2), NoiseSchedule(NoiseScheduleKind::Cosine));
    let features = ConditioningFeatures { spec, schedule, condition_on_clean_values: false };
    let mut denoiser = denoiser(network, engine, features, Objective(ObjectiveKind::X0), &own_sizes()).unwrap();
    let x = Tokens { batch: BATCH, tokens: LENGTH, channels: 6, data: numbers(&expected["x"]) };
    let levels = Levels { batch: BATCH, tokens: LENGTH, noise_groups: 4, data: numbers(&expected["levels"]) };
    let clean = denoiser.denoise(&x, &levels).unwrap();
    let (off, size) = (farthest(&clean.data, &numbers(&expected[key])), clean.data.len());
    println!("{what}: {off:.1e} of the largest of {size} values");
    assert!(off < 1e-4, "{what}: {off}");
}

fn all_agree(directory: &Path, own: &[&str], reference: &[&str]) {
    let text = std::fs::read_to_string(directory.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    for file in own {
        let weights = ForeignWeights::open(&directory.join(file)).unwrap();
        let network = import_native(&weights, None, &own_sizes(), &Device::flex()).unwrap().into();
        for engine in [Engine::Native, Engine::Burn(Device::flex())] {
            compare(&format!("{file}, {engine:?}"), &network, &engine, &expected["own"], "clean");
        }
    }
    for (file, causal) in reference.iter().flat_map(|file| [(file, false), (file, true)]) {
        let weights = ForeignWeights::open(&directory.join(file)).unwrap();
        let imported = import_reference(&weights, &options(causal), &layout(), &Device::flex()).unwrap();
        // The order of channels is x, y, a in PyTorch and a, x, y here.
        let normaliser = imported.normaliser.unwrap();
        assert_eq!((normaliser.mean, normaliser.std), (vec![0.5, 3.5, 3.25], vec![0.75, 1.5, 2.0]));
        assert!(imported.unseen.is_empty());
        let key = if causal { "causal" } else { "clean" };
        compare(
            &format!("{file}, {key}"),
            &AnyNetwork::Reference(imported.network),
            &Engine::Native,
            &expected["reference"],
            key,
        );
    }
}

#[test]
fn weights_that_pytorch_saved_give_the_outputs_that_pytorch_gave() {
    all_agree(beside(), &["own.pt"], &["reference.ckpt"]);
}

#[test]
fn weights_that_the_installed_pytorch_saves_give_its_outputs() {
    let Some(python) = require_tool(&TORCH) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(&python).arg(beside().join("weights.py")).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{python:?}: {}", String::from_utf8_lossy(&output.stderr));
    all_agree(folder.path(), &["own.pt", "own.safetensors"], &["reference.ckpt", "reference.safetensors"]);
}
