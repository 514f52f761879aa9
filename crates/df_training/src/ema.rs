//! Exponential moving average of the weights. Validation and checkpoints use the average.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::Network;

/// The averaged network.
pub(crate) struct Ema {
    network: Network,
    decay: f64,
    updates: u64,
}

impl Ema {
    /// Starts from the weights of `network`, which may be on an autodiff device.
    pub(crate) fn new(network: &Network, decay: f64) -> Self {
        Self { network: network.valid(), decay, updates: 0 }
    }

    /// Continues an average after this number of updates.
    pub(crate) fn resumed(network: Network, decay: f64, updates: usize) -> Self {
        Self { network, decay, updates: updates as u64 }
    }

    /// Moves the average towards `network`. In update n the decay is at most `(1 + n) / (10 + n)`, so that the random
    /// initial weights lose their influence early (as TensorFlow's `ExponentialMovingAverage` with `num_updates`).
    pub(crate) fn update(&mut self, network: &Network) {
        self.updates += 1;
        let warm_up = (1 + self.updates) as f64 / (10 + self.updates) as f64;
        let mut collect = Collect(HashMap::new());
        network.visit(&mut collect);
        let mut average = Average { current: collect.0, decay: self.decay.min(warm_up) };
        self.network = self.network.clone().map(&mut average);
    }

    /// The averaged network, without autodiff.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }
}

struct Collect(HashMap<ParamId, Tensor<1>>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, param.val().inner().flatten::<1>(0, D - 1));
    }
}

struct Average {
    current: HashMap<ParamId, Tensor<1>>,
    decay: f64,
}

impl ModuleMapper for Average {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(current) = self.current.remove(&param.id) else { return param };
        let decay = self.decay;
        param.map(|average| {
            let shape = average.dims();
            average.mul_scalar(decay) + current.reshape(shape).mul_scalar(1.0 - decay)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InitNetwork;
    use burn::tensor::Device;
    use df_engine::NetworkConfig;

    struct Add(f64);
    impl ModuleMapper for Add {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let by = self.0;
            param.map(|t| t.add_scalar(by))
        }
    }

    fn first(network: &Network) -> f32 {
        let mut collect = Collect(HashMap::new());
        network.visit(&mut collect);
        let mut all: Vec<(ParamId, f32)> =
            collect.0.into_iter().map(|(id, t)| (id, t.into_data().try_to_vec::<f32>().unwrap()[0])).collect();
        all.sort_by_key(|(id, _)| id.val());
        all[0].1
    }

    #[test]
    fn the_first_update_moves_the_average_with_the_warm_up_decay() {
        let device = Device::flex();
        let network = NetworkConfig::new(8, 1, 1, 2, 1, 3).init(&device.clone().autodiff());
        let start = first(&network.valid());
        let mut ema = Ema::new(&network, 0.999);
        ema.update(&network.map(&mut Add(1.0)));
        // First update: decay (1 + 1) / (10 + 1) = 2/11, so the average moves by 9/11 of the change of 1.
        assert!((first(ema.network()) - start - 9.0 / 11.0).abs() < 1e-5);
    }
}
