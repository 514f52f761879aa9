//! The optimizer of a run: AdamW, or Muon for the matrices of the blocks.

use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamWConfig, AdjustLrFn, ModuleOptimizer, MuonConfig};

use crate::{OptimizerKind, TrainingConfig};

/// The parts of the paths of the blocks' matrices. The gain of a layer norm is called `gamma`, not `weight`.
const MATRICES: [&str; 2] = ["blocks", "weight"];

/// The optimizer of a configuration: AdamW (Loshchilov and Hutter 2019) for all weights, or Muon (Jordan et al. 2024,
/// <https://kellerjordan.github.io/posts/muon/>) for the matrices of the blocks.
///
/// The steps of Muon are scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4),
/// so that one learning rate and one decay serve both.
pub(crate) fn optimizer(config: &TrainingConfig) -> ModuleOptimizer {
    let decay = config.weight_decay as f32;
    let adam = AdamWConfig::new().with_weight_decay(decay).with_epsilon(1e-8).init();
    match config.optimizer {
        OptimizerKind::AdamW => adam,
        OptimizerKind::Muon => {
            let muon = MuonConfig::new()
                .with_weight_decay(Some(WeightDecayConfig::new(decay)))
                .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
            adam.with_group(ParamGroup::from_predicates(MATRICES.into()), muon.build(), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burn_denoiser::tests::Fill;
    use crate::{InitNetwork, Network, numbered};
    use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor, TensorData};
    use df_engine::NetworkConfig;
    use nalgebra::DMatrix;
    use std::collections::BTreeMap;

    const RATE: f64 = 1e-3;

    /// Every matrix by its path: rows, columns, values.
    #[derive(Default)]
    struct Matrices {
        path: Vec<String>,
        found: BTreeMap<String, DMatrix<f32>>,
    }

    impl ModuleVisitor for Matrices {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            if let [rows, columns] = tensor.dims()[..] {
                let values = tensor.into_data().try_to_vec::<f32>().unwrap();
                self.found.insert(self.path.join("."), DMatrix::from_row_slice(rows, columns, &values));
            }
        }
    }

    fn matrices(network: &Network) -> BTreeMap<String, DMatrix<f32>> {
        let mut matrices = Matrices::default();
        network.visit(&mut matrices);
        matrices.found
    }

    /// The change of every matrix in the first step, divided by the learning rate.
    fn moved(kind: OptimizerKind) -> BTreeMap<String, DMatrix<f32>> {
        // Tests run in parallel and share Burn's random generator. So all numbers come from fixed sequences.
        let device = Device::flex().autodiff();
        let network = NetworkConfig::new(16, 2, 2, 3, 2, 4).init(&Device::flex()).map(&mut Fill(0.0));
        let network = numbered(network).train();
        let wave = |channels: usize, step: f32| {
            let values = (0..32 * channels).map(|i| (i as f32 * step).sin()).collect();
            Tensor::<3>::from_data(TensorData::new::<f32, _>(values, [8, 4, channels]), &device)
        };
        let error = network.forward(wave(3, 0.7), wave(8, 1.1)) - wave(3, 1.3);
        let gradients = GradientsParams::from_grads((error.clone() * error).mean().backward(), &network);
        let before = matrices(&network);
        let settings = TrainingConfig { optimizer: kind, weight_decay: 0.0, ..TrainingConfig::default() };
        let after = matrices(&optimizer(&settings).step(ModuleLearningRate::from(RATE), network, gradients));
        after.into_iter().map(|(path, matrix)| (path.clone(), (matrix - &before[&path]) / RATE as f32)).collect()
    }

    /// A step of Muon is a nearly orthogonal matrix times 0.2 sqrt(larger side). By its source, five iterations take
    /// singular values to 0.68 to 1.13.
    #[test]
    fn muon_moves_the_matrices_of_the_blocks_and_adamw_the_rest() {
        let (adam, muon) = (moved(OptimizerKind::AdamW), moved(OptimizerKind::Muon));
        let blocks = muon.keys().filter(|path| path.starts_with("blocks")).count();
        assert_eq!(blocks, 8, "{:?}", muon.keys());
        for (path, step) in &muon {
            if path.starts_with("blocks") {
                let scale = 0.2 * (step.nrows().max(step.ncols()) as f32).sqrt();
                let singular = step.clone().svd(false, false).singular_values / scale;
                assert!(singular.max() < 1.25, "{path}: {singular}");
                // The gradient of this small network has low rank. Along its main directions the step has full size.
                assert!(singular.iter().filter(|value| **value > 0.6).count() >= 2, "{path}: {singular}");
                assert_ne!(step, &adam[path]);
            } else {
                assert_eq!(step, &adam[path], "{path}");
            }
        }
    }
}
