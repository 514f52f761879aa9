//! Gradients of a module as one vector, in the order in which the module lists its parameters, and back; its weights as one
//! number.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::{ParallelError, Ranks, on_host};

/// The gradients summed over the ranks. One that a rank lacks counts as 0; a parameter without a gradient on a single rank alone
/// stays without one.
///
/// # Errors
/// As [`Ranks::sum`].
pub fn sum_gradients<M: Module>(
    ranks: &dyn Ranks,
    module: &M,
    gradients: GradientsParams,
) -> Result<GradientsParams, ParallelError> {
    if ranks.size() == 1 {
        return Ok(gradients);
    }
    Ok(spread(module, ranks.sum_tensor(flatten(module, gradients))?))
}

/// A checksum of all weights: ranks with equal ones hold equal weights.
///
/// # Errors
/// The weights cannot be read from the device.
pub fn fingerprint<M: Module>(module: &M) -> Result<u32, ParallelError> {
    let mut visitor = Fingerprint { hasher: crc32fast::Hasher::new(), failed: None };
    module.visit(&mut visitor);
    visitor.failed.map_or(Ok(visitor.hasher.finalize()), Err)
}

/// Every gradient behind the other: `[value]`, as many as `module` has parameters.
fn flatten<M: Module>(module: &M, gradients: GradientsParams) -> Tensor<1> {
    let mut visitor = Flatten { gradients, parts: Vec::new() };
    module.visit(&mut visitor);
    Tensor::cat(visitor.parts, 0)
}

/// The opposite of [`flatten`].
fn spread<M: Module>(module: &M, flat: Tensor<1>) -> GradientsParams {
    let mut visitor = Spread { flat, from: 0, gradients: GradientsParams::new() };
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

struct Spread {
    flat: Tensor<1>,
    from: usize,
    gradients: GradientsParams,
}

impl ModuleVisitor for Spread {
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
    use crate::model::{Network, NetworkConfig};
    use burn::module::ModuleMapper;
    use burn::optim::AdamWConfig;
    use burn::tensor::Device;

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

    /// Two ranks in one: whatever is given is summed with itself.
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
        let twice = sum_gradients(&Twice, &network, gradients(&network)).unwrap();
        let doubled: Vec<Vec<f32>> = alone.iter().map(|g| g.iter().map(|v| 2.0 * v).collect()).collect();
        assert_eq!(values(&network, &twice), doubled);
    }

    #[test]
    fn a_fingerprint_tells_one_weight_from_another() {
        let network = NetworkConfig::new(8, 1, 2, 3, 2, 4).init(&Device::flex().autodiff());
        let nudged = network.clone().map(&mut Nudge(true));
        assert_eq!(fingerprint(&network), fingerprint(&network.clone()));
        assert_ne!(fingerprint(&network), fingerprint(&nudged));
    }

    /// The least change of one weight of the first parameter.
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

    #[test]
    fn a_missing_gradient_counts_as_zero() {
        let network = NetworkConfig::new(8, 1, 2, 3, 2, 4).init(&Device::flex().autodiff());
        let summed = sum_gradients(&Twice, &network, GradientsParams::new()).unwrap();
        assert!(values(&network, &summed).into_iter().flatten().all(|v| v == 0.0));
    }
}
