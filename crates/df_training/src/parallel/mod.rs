//! Training by several processes or devices at once: every rank works on its share of each batch, the gradients are summed,
//! and every rank does the same step. Knows no data and no loss.

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

/// One of the ranks that train together. All ranks call the same methods in the same order.
///
/// A sum has the same bits on every rank: equal weights stay equal.
pub trait Ranks {
    /// From 0; rank 0 writes what is written.
    fn rank(&self) -> usize;

    fn size(&self) -> usize;

    /// The sum over the ranks, in place; all give as many values.
    ///
    /// # Errors
    /// A rank has gone or is silent. What this rank holds is whole, as of its last step.
    fn sum(&self, values: &mut [f32]) -> Result<(), ParallelError>;

    /// As [`Self::sum`], for counts, losses and flags.
    ///
    /// # Errors
    /// As [`Self::sum`].
    fn sum_f64(&self, values: &mut [f64]) -> Result<(), ParallelError>;

    /// As [`Self::sum`], for a tensor `[value]`, on its own device where ranks can do that.
    ///
    /// # Errors
    /// As [`Self::sum`].
    fn sum_tensor(&self, values: Tensor<1>) -> Result<Tensor<1>, ParallelError> {
        sum_on_host(self, values)
    }

    /// Whether any rank says so; also the way to stop all at the same step, and to wait for each other.
    ///
    /// # Errors
    /// As [`Self::sum`].
    fn any(&self, here: bool) -> Result<bool, ParallelError> {
        let mut count = [f64::from(u8::from(here))];
        self.sum_f64(&mut count)?;
        Ok(count[0] > 0.0)
    }

    /// Refuses to go on when the ranks no longer hold the same: `fingerprint` of the weights, of the data.
    ///
    /// # Errors
    /// They differ, or as [`Self::sum`].
    fn same(&self, what: &'static str, fingerprint: u32) -> Result<(), ParallelError> {
        let mut all = vec![0.0; self.size()];
        all[self.rank()] = f64::from(fingerprint);
        self.sum_f64(&mut all)?;
        match all.iter().position(|&other| other != all[0]) {
            None => Ok(()),
            Some(rank) => Err(ParallelError::Differ { what, rank }),
        }
    }

    /// Time spent on sums of values so far, waiting for the others included.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Those of `count` things that are this rank's; the ranks differ by at most one in number.
    fn share(&self, count: usize) -> Range<usize> {
        let at = |rank: usize| count * rank / self.size();
        at(self.rank())..at(self.rank() + 1)
    }
}

/// One process on one device.
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

/// Rank and number of ranks, if a launcher of MPI programs or a Slurm step has started this process.
pub fn launched() -> Option<(usize, usize)> {
    let number = |name| std::env::var(name).ok()?.parse::<usize>().ok();
    // OpenMPI's mpirun; Hydra (MPICH, Intel MPI) and Slurm's pmi2; Slurm's steps, with pmix and without any.
    [
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        ("PMI_RANK", "PMI_SIZE"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ]
    .into_iter()
    .find_map(|(rank, size)| Some((number(rank)?, number(size)?)))
}

/// Why ranks cannot go on together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParallelError {
    #[error("rank {rank} has left")]
    Left { rank: usize },
    #[error("rank {rank} waited {waited_s:.1} s for the other ranks in vain: one of them has died or hangs")]
    Silent { rank: usize, waited_s: f64 },
    #[error(
        "rank {rank} and rank 0 differ in {what}: they must run the same program with the same arguments on the same data and kind of processor"
    )]
    Differ { what: &'static str, rank: usize },
    #[error(
        "a batch of {batch} windows cannot be shared by {ranks} ranks in {parts} parts: training.batch must be at least {parts}"
    )]
    TooManyParts { batch: usize, parts: usize, ranks: usize },
    #[error("values could not be read from the device: {0}")]
    Tensor(String),
    #[error("MPI: {0}")]
    Mpi(String),
    #[error(
        "this is rank {rank} of {size}, but this build has no MPI: build with `cargo build --features mpi` (docs/src/how-to/several-machines.md)"
    )]
    NotBuilt { rank: usize, size: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Of(usize, usize);
    impl Ranks for Of {
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
    fn shares_cover_the_batch_once_and_evenly() {
        for (batch, size) in [(64, 1), (64, 4), (10, 4), (7, 7), (3, 2)] {
            let shares: Vec<usize> = (0..size).flat_map(|rank| Of(rank, size).share(batch)).collect();
            assert_eq!(shares, (0..batch).collect::<Vec<_>>());
            assert!(
                (0..size)
                    .all(|rank| (batch / size..=batch.div_ceil(size)).contains(&Of(rank, size).share(batch).len()))
            );
        }
    }
}
