//! Training by several processes or devices. Every rank computes its share of each batch, the gradients are summed, and
//! every rank takes the same step. This module knows neither data nor loss.

mod devices;
mod gradients;
#[cfg(feature = "mpi")]
mod mpi;

use std::ops::Range;
use std::time::Duration;

use burn::tensor::{Tensor, TensorData};

pub use devices::Devices;
pub use gradients::{GradientSum, fingerprint};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;

/// One of the ranks that train together. All ranks must call the same methods in the same order.
///
/// A sum has the same bits on every rank, so that equal weights stay equal.
pub trait Ranks {
    /// The number of this rank, from 0. Only rank 0 writes files.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Replaces `values` by their sum over the ranks. All ranks must give the same number of values.
    ///
    /// # Errors
    /// Another rank has gone or does not answer. The state of this rank is that of its last complete step.
    fn sum(&self, values: &mut [f32]) -> Result<(), ParallelError>;

    /// As [`Self::sum`], for counts, losses and flags.
    ///
    /// # Errors
    /// As [`Self::sum`].
    fn sum_f64(&self, values: &mut [f64]) -> Result<(), ParallelError>;

    /// As [`Self::sum`], for a tensor `[value]`. It stays on its device if the ranks can sum there.
    ///
    /// # Errors
    /// As [`Self::sum`].
    fn sum_tensor(&self, values: Tensor<1>) -> Result<Tensor<1>, ParallelError> {
        sum_on_host(self, values)
    }

    /// True on all ranks if `here` is true on any rank. Ranks also use it to stop at the same step and to wait for each
    /// other.
    ///
    /// # Errors
    /// As [`Self::sum`].
    fn any(&self, here: bool) -> Result<bool, ParallelError> {
        let mut count = [f64::from(u8::from(here))];
        self.sum_f64(&mut count)?;
        Ok(count[0] > 0.0)
    }

    /// Checks that all ranks have the same fingerprint of `what`.
    ///
    /// # Errors
    /// [`ParallelError::Differ`], or as [`Self::sum`].
    fn check_equal(&self, what: &'static str, fingerprint: u32) -> Result<(), ParallelError> {
        let mut all = vec![0.0; self.size()];
        all[self.rank()] = f64::from(fingerprint);
        self.sum_f64(&mut all)?;
        match all.iter().position(|&other| other != all[0]) {
            None => Ok(()),
            Some(rank) => Err(ParallelError::Differ { what, rank }),
        }
    }

    /// The time spent on sums so far, including waiting for the other ranks.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// The indices below `count` that belong to this rank. The shares of two ranks differ by at most one.
    fn share(&self, count: usize) -> Range<usize> {
        let start = |rank: usize| count * rank / self.size();
        start(self.rank())..start(self.rank() + 1)
    }
}

/// The only rank: one process on one device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn sum(&self, _: &mut [f32]) -> Result<(), ParallelError> {
        Ok(())
    }

    fn sum_f64(&self, _: &mut [f64]) -> Result<(), ParallelError> {
        Ok(())
    }

    fn sum_tensor(&self, values: Tensor<1>) -> Result<Tensor<1>, ParallelError> {
        Ok(values)
    }
}

fn sum_on_host(ranks: &(impl Ranks + ?Sized), values: Tensor<1>) -> Result<Tensor<1>, ParallelError> {
    let (device, shape) = (values.device(), values.dims());
    let mut host = on_host(values)?;
    ranks.sum(&mut host)?;
    Ok(Tensor::from_data(TensorData::new(host, shape), &device))
}

fn on_host<const D: usize>(values: Tensor<D>) -> Result<Vec<f32>, ParallelError> {
    values.into_data().try_to_vec::<f32>().map_err(|e| ParallelError::Tensor(format!("{e:?}")))
}

/// Rank and number of ranks if an MPI launcher or a Slurm step has started this process.
pub fn launched() -> Option<(usize, usize)> {
    let number = |name| std::env::var(name).ok()?.parse::<usize>().ok();
    // In this order: OpenMPI's mpirun; Hydra (MPICH, Intel MPI) and Slurm's pmi2; Slurm steps.
    [
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        ("PMI_RANK", "PMI_SIZE"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ]
    .into_iter()
    .find_map(|(rank, size)| Some((number(rank)?, number(size)?)))
}

/// Why ranks cannot train together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParallelError {
    /// A rank of this process has ended.
    #[error("rank {rank} has ended; its own error says why")]
    Left {
        /// The rank that ended.
        rank: usize,
    },
    /// The other ranks did not answer in time.
    #[error(
        "rank {rank} waited {waited_s:.1} s for the other ranks and gave up: one of them has died or hangs. If they are only \
         slow, increase --wait-s"
    )]
    Silent {
        /// The rank that waited.
        rank: usize,
        /// How long it waited, seconds.
        waited_s: f64,
    },
    /// Ranks that must agree do not.
    #[error(
        "rank {rank} and rank 0 differ in {what}: all ranks must run the same program with the same arguments on the same \
         data and kind of processor"
    )]
    Differ {
        /// What differs.
        what: &'static str,
        /// The first rank that differs from rank 0.
        rank: usize,
    },
    /// The batch has fewer windows than parts.
    #[error(
        "training.batch: {batch}: must be at least {parts}, because {ranks} ranks compute it in {parts} parts \
         (training.accumulate, rounded up to a multiple of the ranks)"
    )]
    TooManyParts {
        /// `training.batch`.
        batch: usize,
        /// Parts of a batch.
        parts: usize,
        /// The number of ranks.
        ranks: usize,
    },
    /// Burn cannot read a tensor.
    #[error("values could not be read from the device: {0}")]
    Tensor(String),
    /// MPI reported an error.
    #[error("MPI: {0}")]
    Mpi(String),
    /// An MPI launcher has started a program that is built without MPI.
    #[error(
        "this is rank {rank} of {size}, but this build has no MPI: build with `cargo build --features mpi` \
         (docs/src/how-to/several-machines.md)"
    )]
    NotBuilt {
        /// The rank of this process.
        rank: usize,
        /// The number of ranks.
        size: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rank and the number of ranks.
    struct RankOf(usize, usize);
    impl Ranks for RankOf {
        fn rank(&self) -> usize {
            self.0
        }
        fn size(&self) -> usize {
            self.1
        }
        fn sum(&self, _: &mut [f32]) -> Result<(), ParallelError> {
            Ok(())
        }
        fn sum_f64(&self, _: &mut [f64]) -> Result<(), ParallelError> {
            Ok(())
        }
    }

    #[test]
    fn the_shares_of_the_ranks_cover_the_batch_once_and_evenly() {
        for (batch, size) in [(64, 1), (64, 4), (10, 4), (7, 7), (3, 2)] {
            let shares: Vec<usize> = (0..size).flat_map(|rank| RankOf(rank, size).share(batch)).collect();
            assert_eq!(shares, (0..batch).collect::<Vec<_>>());
            assert!(
                (0..size)
                    .all(|rank| (batch / size..=batch.div_ceil(size)).contains(&RankOf(rank, size).share(batch).len()))
            );
        }
    }
}
