//! The sum of gradients over parts and ranks, and a checksum of weights. Gradients travel as one vector in the order
//! of the module's parameters.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::{ParallelError, Ranks, on_host};

/// The sum of the gradients of a batch's parts, over all ranks.
///
/// Parts are summed in pairs, then pairs of pairs: `((0 + 1) + (2 + 3))`. So 1, 2 or 4 ranks give the same bits, if
/// they sum over ranks in this order too.
pub struct GradientSum<'a, M> {
    module: &'a M,
    /// Partial sums, each with its number of parts: falling powers of two.
    sums: Vec<(usize, Tensor<1>)>,
}

impl<'a, M: Module> GradientSum<'a, M> {
    /// A sum without parts.
    pub fn new(module: &'a M) -> Self {
        Self { module, sums: Vec::new() }
    }

    /// Adds the next part of this rank. A missing gradient counts as 0.
    pub fn add(&mut self, gradients: GradientsParams) {
        let (mut count, mut sum) = (1, flatten(self.module, gradients));
        while let Some((before, other)) = self.sums.pop_if(|(before, _)| *before == count) {
            (count, sum) = (before + count, other + sum);
        }
        self.sums.push((count, sum));
    }

    /// The sum over all ranks, the same on each.
    ///
    /// # Errors
    /// As [`Ranks::sum`].
    pub fn over(self, ranks: &dyn Ranks) -> Result<GradientsParams, ParallelError> {
        let sum = self.sums.into_iter().rev().map(|(_, sum)| sum).reduce(|later, earlier| earlier + later);
        let sum = sum.unwrap_or_else(|| flatten(self.module, GradientsParams::new()));
        Ok(unflatten(self.module, ranks.sum_tensor(sum)?))
    }
}

/// A checksum (CRC-32) of all weights.
///
/// # Errors
/// The weights cannot be read from the device.
pub fn fingerprint<M: Module>(module: &M) -> Result<u32, ParallelError> {
    let mut visitor = Fingerprint { hasher: crc32fast::Hasher::new(), failed: None };
    module.visit(&mut visitor);
    visitor.failed.map_or(Ok(visitor.hasher.finalize()), Err)
}

/// All gradients as one vector `[value]`.
fn flatten<M: Module>(module: &M, gradients: GradientsParams) -> Tensor<1> {
    let mut visitor = Flatten { gradients, parts: Vec::new() };
    module.visit(&mut visitor);
    Tensor::cat(visitor.parts, 0)
}

/// The inverse of [`flatten`].
fn unflatten<M: Module>(module: &M, flat: Tensor<1>) -> GradientsParams {
    let mut visitor = Unflatten { flat, from: 0, gradients: GradientsParams::new() };
    module.visit(&mut visitor);
    visitor.gradients
}

struct Fingerprint {
    hasher: crc32fast::Hasher,
    failed: Option<ParallelError>,
}

impl ModuleVisitor for Fingerprint {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match on_host(param.val().inner()) {
            Ok(values) => values.iter().for_each(|value| self.hasher.update(&value.to_le_bytes())),
            Err(error) => self.failed = Some(error),
        }
    }
}

struct Flatten {
    gradients: GradientsParams,
    parts: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flatten {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let gradient = self.gradients.remove::<D>(param.id).unwrap_or_else(|| value.zeros_like());
        self.parts.push(gradient.flatten::<1>(0, D - 1));
    }
}

struct Unflatten {
    flat: Tensor<1>,
    from: usize,
    gradients: GradientsParams,
}

impl ModuleVisitor for Unflatten {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.val().dims();
        let count = shape.iter().product();
        self.gradients.register(param.id, self.flat.clone().narrow(0, self.from, count).reshape(shape));
        self.from += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::Alone;
    use crate::{InitNetwork, Network};
    use burn::module::ModuleMapper;
    use burn::nn::LinearConfig;
    use burn::optim::AdamWConfig;
    use burn::tensor::Device;
    use df_engine::NetworkConfig;

    struct Collect<'a>(&'a GradientsParams, Vec<Vec<f32>>);

    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id).unwrap();
            assert_eq!(gradient.dims(), param.val().dims());
            self.1.push(gradient.into_data().try_to_vec::<f32>().unwrap());
        }
    }

    fn values(network: &Network, gradients: &GradientsParams) -> Vec<Vec<f32>> {
        let mut collect = Collect(gradients, Vec::new());
        network.visit(&mut collect);
        collect.1
    }

    /// Two ranks with equal values: a sum doubles them.
    struct Twice;

    impl Ranks for Twice {
        fn rank(&self) -> usize {
            0
        }

        fn size(&self) -> usize {
            2
        }

        fn sum(&self, values: &mut [f32]) -> Result<(), ParallelError> {
            values.iter_mut().for_each(|v| *v *= 2.0);
            Ok(())
        }

        fn sum_f64(&self, values: &mut [f64]) -> Result<(), ParallelError> {
            values.iter_mut().for_each(|v| *v *= 2.0);
            Ok(())
        }
    }

    #[test]
    fn every_gradient_comes_back_to_its_parameter() {
        let device = Device::flex().autodiff();
        let network = NetworkConfig::new(8, 1, 2, 3, 2, 4).init(&device);
        // The output layer starts at zero: only its own gradient differs from zero, in all its 3 columns.
        let gradients = |network: &Network| {
            let x = Tensor::<3>::from_data([[[1.0f32, -2.0, 3.0]; 4]], &device);
            let error = network.forward(x.clone(), Tensor::ones([1, 4, 8], &device)) - x;
            GradientsParams::from_grads((error.clone() * error).sum().backward(), network)
        };
        let network = AdamWConfig::new().init().step(1e-2, network.clone(), gradients(&network));
        let alone = values(&network, &gradients(&network));
        assert!(alone.iter().all(|g| g.iter().any(|v| *v != 0.0)), "after a step every parameter has one");
        let times = |ranks: &dyn Ranks, parts: usize| {
            let mut sum = GradientSum::new(&network);
            (0..parts).for_each(|_| sum.add(gradients(&network)));
            values(&network, &sum.over(ranks).unwrap())
        };
        let scaled = |by: f32| alone.iter().map(|g| g.iter().map(|v| by * v).collect()).collect::<Vec<Vec<f32>>>();
        assert_eq!(times(&Alone, 1), alone);
        // Doubling is exact.
        assert_eq!(times(&Alone, 4), scaled(4.0));
        assert_eq!(times(&Twice, 2), scaled(4.0));
        assert_eq!(times(&Twice, 0), scaled(0.0));
    }

    #[test]
    fn the_parts_of_a_gradient_are_summed_in_pairs() {
        let layer = LinearConfig::new(2, 3).init(&Device::flex().autodiff());
        let mut sum = GradientSum::new(&layer);
        // In f32, (1e8 + 1) + (-1e8 + 1) is 0; summed from left to right the result is 1. The fifth part is added
        // last. The bias has no gradient.
        for value in [1e8, 1.0, -1e8, 1.0, 5.0] {
            let mut gradients = GradientsParams::new();
            gradients.register(layer.weight.id, layer.weight.val().inner().full_like(value));
            sum.add(gradients);
        }
        let total = sum.over(&Alone).unwrap();
        assert_eq!(on_host(total.get::<2>(layer.weight.id).unwrap()).unwrap(), [5.0; 6]);
        assert_eq!(on_host(total.get::<1>(layer.bias.unwrap().id).unwrap()).unwrap(), [0.0; 3]);
    }

    #[test]
    fn the_smallest_change_of_a_weight_changes_the_fingerprint() {
        let network = NetworkConfig::new(8, 1, 2, 3, 2, 4).init(&Device::flex().autodiff());
        let nudged = network.clone().map(&mut Nudge(true));
        assert_eq!(fingerprint(&network), fingerprint(&network.clone()));
        assert_ne!(fingerprint(&network), fingerprint(&nudged));
    }

    /// Changes one weight of the first parameter by its last bit.
    struct Nudge(bool);

    impl ModuleMapper for Nudge {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !std::mem::take(&mut self.0) {
                return param;
            }
            param.map(|weights| {
                let mut values = on_host(weights.clone().inner()).unwrap();
                values[0] = values[0].next_up();
                Tensor::<1>::from_data(&values[..], &weights.device()).reshape(weights.dims())
            })
        }
    }
}
