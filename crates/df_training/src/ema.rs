//! Exponential moving average of weights: what is validated and saved.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::Network;

/// The averaged network.
pub struct Ema {
    network: Network,
    decay: f64,
    updates: u64,
}

impl Ema {
    /// Starts from the network as it is; `network` may be on an autodiff device.
    pub fn new(network: &Network, decay: f64) -> Self {
        Self { network: network.valid(), decay, updates: 0 }
    }

    /// Goes on with an average of so many updates.
    pub fn resumed(network: Network, decay: f64, updates: usize) -> Self {
        Self { network, decay, updates: updates as u64 }
    }

    /// Moves the average towards `network`. The decay grows to its value over the first updates, `(1 + n) / (10 + n)`,
    /// so that the random start is forgotten.
    pub fn update(&mut self, network: &Network) {
        self.updates += 1;
        let warm = (1 + self.updates) as f64 / (10 + self.updates) as f64;
        let mut collect = Collect(HashMap::new());
        network.visit(&mut collect);
        let mut blend = Blend { current: collect.0, decay: self.decay.min(warm) };
        self.network = self.network.clone().map(&mut blend);
    }

    pub fn network(&self) -> &Network {
        &self.network
    }
}

struct Collect(HashMap<ParamId, Tensor<1>>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, param.val().inner().flatten::<1>(0, D - 1));
    }
}

struct Blend {
    current: HashMap<ParamId, Tensor<1>>,
    decay: f64,
}

impl ModuleMapper for Blend {
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
    use df_engine::NetworkConfig;
    use burn::tensor::Device;

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
    fn the_average_follows_with_the_stated_decay() {
        let device = Device::flex();
        let network = NetworkConfig::new(8, 1, 1, 2, 1, 3).init(&device.clone().autodiff());
        let start = first(&network.valid());
        let mut ema = Ema::new(&network, 0.999);
        ema.update(&network.map(&mut Add(1.0)));
        // First update: decay (1 + 1) / (10 + 1) = 2/11, so the average moves by 9/11 of the change of 1.
        assert!((first(ema.network()) - start - 9.0 / 11.0).abs() < 1e-5);
    }
}
