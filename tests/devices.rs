//! Compares every available device with `flex`: clean tokens, gradients of the input, and gradients of the weights. The
//! networks are the shipped checkpoint and random ones of both architectures.

mod support;

use std::path::Path;

use df_diffusion::{Denoiser, Levels, NoiseSchedule, Objective, TokenSpec, Tokens};
use df_diffusion::{NoiseScheduleKind, ObjectiveKind};
use df_engine::{Architecture, ConditioningFeatures, NetworkConfig, ReferenceConfig};
use df_training::burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use df_training::burn::optim::GradientsParams;
use df_training::burn::tensor::{Device, Tensor, TensorData};
use df_training::{AnyNetwork, Checkpoint, Engine, Network, denoiser, device, devices, engine, features_tensor};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::tools::skipped;

/// The largest allowed error, relative to the largest value.
const TOLERANCE: f32 = 1e-4;
const SCHEDULE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);

/// The devices to compare with `flex`. Prints the reason for each device that is skipped.
fn devices_beside_flex() -> Vec<(String, Device)> {
    let present = devices();
    for kind in ["tch", "cuda", "wgpu"] {
        if !present.iter().any(|name| name.split(':').next() == Some(kind)) {
            println!("skipped: {}", device(kind).expect_err("it is not among the devices"));
        }
    }
    present.into_iter().filter(|name| name != "flex").map(|name| (name.clone(), device(&name).unwrap())).collect()
}

fn agree(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let off = got.iter().zip(expected).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(largest > 1e-6, "{what}: nothing to compare");
    println!("{what}: {:.1e} of {largest:.3}", off / largest);
    assert!(off <= TOLERANCE * largest, "{what}: {off} of {largest}");
}

/// Fills a network with weights of the scale that training gives them. Burn's generator is shared by all tests, so this
/// has its own.
struct Fill(ChaCha8Rng);

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let shape = tensor.dims();
            // Keeps the variance of the input: std 1 / sqrt(inputs), so a uniform bound of sqrt(3 / inputs).
            let bound = if D == 2 { (3.0 / shape[0] as f32).sqrt() } else { 0.5 };
            let middle = if D == 1 { 0.5 } else { 0.0 };
            let values = (0..shape.iter().product()).map(|_| middle + self.0.random_range(-bound..bound)).collect();
            Tensor::from_data(TensorData::new(values, shape), &tensor.device())
        })
    }
}

fn values(count: usize, rng: &mut impl Rng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-2.0f32..2.0)).collect()
}

/// Noisy tokens `[batch, token, channel]`, levels of every kind (known, unknown, between), and an output gradient.
fn inputs(spec: &TokenSpec, batch: usize, tokens: usize) -> (Tokens, Levels, Tokens) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let channels = spec.channels();
    let mut of = |count| Tokens { batch, tokens, channels, data: values(count, &mut rng) };
    let (x, cotangent) = (of(batch * tokens * channels), of(batch * tokens * channels));
    let mut levels = Levels::filled(batch, tokens, spec.noise_groups(), 0.0);
    levels.data.iter_mut().enumerate().for_each(|(i, level)| *level = [0.0, 0.3, 0.7, 1.0, 0.05][i % 5]);
    (x, levels, cotangent)
}

fn outputs(
    denoiser: &mut Box<dyn Denoiser + Send>,
    (x, levels, cotangent): &(Tokens, Levels, Tokens),
) -> [Vec<f32>; 3] {
    let plain = denoiser.denoise(x, levels).unwrap();
    let (clean, gradient) = denoiser.denoise_with_gradient(x, levels, &mut |_| cotangent.clone()).unwrap();
    [plain.data, clean.data, gradient.data]
}

fn all_agree(what: &str, inputs: &(Tokens, Levels, Tokens), on: impl Fn(&Engine) -> Box<dyn Denoiser + Send>) {
    let expected = outputs(&mut on(&Engine::Burn(Device::flex())), inputs);
    let others = devices_beside_flex().into_iter().map(|(name, device)| (name, Engine::Burn(device)));
    let mut compared = 0;
    for (name, engine) in others.chain([("cpu".to_string(), engine("cpu").unwrap())]) {
        let got = outputs(&mut on(&engine), inputs);
        for ((got, expected), which) in got.iter().zip(&expected).zip(["clean", "clean (guided)", "gradient"]) {
            agree(&format!("{what}, {name}, {which}"), got, expected);
            compared += 1;
        }
    }
    // The engine `cpu` is always available.
    assert!(compared >= 3, "{what}: nothing was compared with flex");
}

#[test]
fn the_shipped_checkpoint_gives_the_same_outputs_on_every_device() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/point_maze");
    let spec = Checkpoint::load(&path, &Device::flex()).unwrap().description.spec();
    all_agree("shipped", &inputs(&spec, 4, 14), |engine| {
        Checkpoint::load(&path, &engine.device()).unwrap().denoiser(engine).unwrap()
    });
}

/// 5 channels in 3 modalities, 2 frames a token.
fn spec() -> TokenSpec {
    TokenSpec::new(&[0, 0, 1, 1, 2], 2)
}

fn random(architecture: &Architecture, sizes: &NetworkConfig) -> AnyNetwork {
    AnyNetwork::init(architecture, sizes, &Device::flex()).map(&mut Fill(ChaCha8Rng::seed_from_u64(5)))
}

fn sizes() -> NetworkConfig {
    NetworkConfig::new(256, 6, 8, spec().channels(), spec().noise_groups(), 32)
}

#[test]
fn large_networks_of_both_architectures_give_the_same_outputs_on_every_device() {
    let signal = (1..=100).map(|k| (-6.0 * (k as f32 / 100.0).powi(2)).exp()).collect();
    let reference = ReferenceConfig { hidden: 512, causal: false, signal, seen: vec![true; spec().noise_groups()] };
    let causal = ReferenceConfig { causal: true, ..reference.clone() };
    let condition_on_clean_values = NetworkConfig { condition_on_clean_values: true, ..sizes() };
    let networks = [
        ("native", Architecture::Native, sizes()),
        ("native, conditioned on clean values", Architecture::Native, condition_on_clean_values),
        ("reference", Architecture::Reference(reference), sizes()),
        ("reference, causal", Architecture::Reference(causal), sizes()),
    ];
    for (what, architecture, sizes) in networks {
        let network = random(&architecture, &sizes);
        all_agree(what, &inputs(&spec(), 3, 20), |engine| {
            let condition_on_clean_values = sizes.condition_on_clean_values && architecture.is_native();
            let features = ConditioningFeatures { spec: spec(), schedule: SCHEDULE, condition_on_clean_values };
            denoiser(&network, engine, features, Objective(ObjectiveKind::V), &sizes).unwrap()
        });
    }
}

/// The gradient of every parameter, in the order of the network.
struct Collect<'a> {
    gradients: &'a GradientsParams,
    found: Vec<Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.get::<D>(param.id).expect("every parameter has a gradient");
        self.found.push(gradient.into_data().try_to_vec::<f32>().unwrap());
    }
}

/// Loss and gradients of one training step, as `training` computes them.
fn step(network: &Network, device: &Device) -> (f32, Vec<Vec<f32>>) {
    let network = network.clone().to_device(device).train();
    let device = device.clone().autodiff();
    let (x, levels, target) = inputs(&spec(), 8, 16);
    let tensor = |of: &Tokens| {
        Tensor::<3>::from_data(TensorData::new(of.data.clone(), [of.batch, of.tokens, of.channels]), &device)
    };
    let conditioning = ConditioningFeatures {
        spec: spec(),
        schedule: SCHEDULE,
        condition_on_clean_values: network.condition_on_clean_values,
    };
    let features = features_tensor(&conditioning, &x, &levels, &device);
    let error = network.forward(tensor(&x), features) - tensor(&target);
    let loss = (error.clone() * error).mean();
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    let mut collect = Collect { gradients: &gradients, found: Vec::new() };
    network.valid().visit(&mut collect);
    (loss.into_data().try_to_vec::<f32>().unwrap()[0], collect.found)
}

#[test]
fn a_training_step_has_the_same_gradients_on_every_device() {
    let AnyNetwork::Native(network) = random(&Architecture::Native, &sizes()) else { unreachable!() };
    let (loss, expected) = step(&network, &Device::flex());
    // Three layers and the position, two norms and four layers in each block, a norm and a layer: 7 + 6 * 12 + 4.
    assert_eq!(expected.len(), 83);
    if devices_beside_flex().is_empty() {
        skipped("`flex` is the only available device that trains; the features tch, cuda and wgpu add others");
    }
    for (name, device) in devices_beside_flex() {
        let (on_device, got) = step(&network, &device);
        agree(&format!("{name}, loss"), &[on_device], &[loss]);
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            agree(&format!("{name}, gradient of parameter {i}"), got, expected);
        }
    }
}
