//! Ranks that are threads of this process, each with its own device: several GPUs of one machine.
//!
//! Host values are summed on the host. NCCL sums tensors on CUDA devices, through the collective of Burn that its
//! `DistributedDataParallel` uses.

use std::cell::Cell;
use std::ops::AddAssign;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};

use super::{ParallelError, Ranks, sum_on_host};
use crate::{DeviceError, device};

/// One thread as a rank.
pub struct Devices {
    rank: usize,
    names: Arc<[String]>,
    devices: Arc<[Device]>,
    singles: Arc<Table<f32>>,
    doubles: Arc<Table<f64>>,
    waited: Cell<Duration>,
}

impl Devices {
    /// One rank for each device of a list such as `cuda:0,cuda:1`.
    ///
    /// # Errors
    /// A device is unknown, not built in or not present.
    pub fn group(names: &str) -> Result<Vec<Self>, DeviceError> {
        let names: Arc<[String]> = names.split(',').map(|name| name.trim().to_owned()).collect();
        let devices: Arc<[Device]> = names.iter().map(|name| device(name)).collect::<Result<_, _>>()?;
        let size = names.len();
        let (singles, doubles) = (Arc::new(Table::new(size)), Arc::new(Table::new(size)));
        let rank = |rank| Self {
            rank,
            names: names.clone(),
            devices: devices.clone(),
            singles: singles.clone(),
            doubles: doubles.clone(),
            waited: Cell::default(),
        };
        Ok((0..size).map(rank).collect())
    }

    /// Runs `work` for every rank, rank 0 in this thread, and returns the result of rank 0.
    ///
    /// # Errors
    /// The error of the rank that ended first. The errors of the other ranks only follow from it.
    pub fn run<T: Send, E: Send>(group: Vec<Self>, work: impl Fn(&Self) -> Result<T, E> + Sync) -> Result<T, E> {
        let table = group.first().map(|first| first.doubles.clone());
        let work = &work;
        let mut results: Vec<Result<T, E>> = thread::scope(|scope| {
            let mut group = group.into_iter();
            let first = group.next();
            let others: Vec<_> = group.map(|rank| scope.spawn(move || work(&rank))).collect();
            let first = first.map(|rank| work(&rank));
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p))
            };
            first.into_iter().chain(others.into_iter().map(join)).collect()
        });
        let left = table.and_then(|table| table.lock().left).filter(|&rank| results[rank].is_err());
        let reported = left.or_else(|| results.iter().position(Result::is_err)).unwrap_or(0);
        results.swap_remove(reported)
    }

    /// The name of this rank's device.
    pub fn name(&self) -> &str {
        &self.names[self.rank]
    }

    /// This rank's device.
    pub fn device(&self) -> &Device {
        &self.devices[self.rank]
    }

    fn timed<T>(&self, sum: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let summed = sum();
        self.waited.set(self.waited.get() + started.elapsed());
        summed
    }

    /// True if NCCL can sum: all ranks are on CUDA, each on its own device.
    fn on_cuda(&self) -> bool {
        cfg!(feature = "cuda")
            && self
                .names
                .iter()
                .enumerate()
                .all(|(i, name)| name.starts_with("cuda") && !self.devices[..i].contains(&self.devices[i]))
    }
}

impl Ranks for Devices {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.devices.len()
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), ParallelError> {
        self.timed(|| self.singles.sum(self.rank, values))
    }

    fn sum_f64(&self, values: &mut [f64]) -> Result<(), ParallelError> {
        self.timed(|| self.doubles.sum(self.rank, values))
    }

    fn waited(&self) -> Duration {
        self.waited.get()
    }

    fn sum_tensor(&self, values: Tensor<1>) -> Result<Tensor<1>, ParallelError> {
        use burn::tensor::distributed::{ReduceOperation, all_reduce};
        if !self.on_cuda() {
            return sum_on_host(self, values);
        }
        Ok(all_reduce(values, ReduceOperation::Sum, self.devices.to_vec()).resolve())
    }
}

/// A rank that ends, with or without an error, wakes the ranks that wait for a sum.
impl Drop for Devices {
    fn drop(&mut self) {
        self.singles.leave(self.rank);
        self.doubles.leave(self.rank);
    }
}

/// The place where threads exchange their values for the sum.
struct Table<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    given: Vec<Option<Vec<T>>>,
    sum: Arc<Vec<T>>,
    round: u64,
    left: Option<usize>,
}

impl<T: Copy + AddAssign> Table<T> {
    fn new(size: usize) -> Self {
        let state = State { given: (0..size).map(|_| None).collect(), sum: Arc::default(), round: 0, left: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, rank: usize, values: &mut [T]) -> Result<(), ParallelError> {
        let mut state = self.lock();
        let round = state.round;
        state.given[rank] = Some(values.to_vec());
        if state.given.iter().all(Option::is_some) {
            let given = state.given.iter_mut().filter_map(Option::take).collect();
            let sum = in_pairs(given);
            state.sum = Arc::new(sum);
            state.round += 1;
            self.changed.notify_all();
        }
        while state.round == round {
            if let Some(rank) = state.left {
                return Err(ParallelError::Left { rank });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let sum = state.sum.clone();
        drop(state);
        values.copy_from_slice(&sum);
        Ok(())
    }

    fn leave(&self, rank: usize) {
        self.lock().left.get_or_insert(rank);
        self.changed.notify_all();
    }
}

/// The sum `((0 + 1) + (2 + 3))`, in this order whichever thread comes last; see `GradientSum`.
fn in_pairs<T: Copy + AddAssign>(mut given: Vec<Vec<T>>) -> Vec<T> {
    while given.len() > 1 {
        let mut pairs = Vec::with_capacity(given.len().div_ceil(2));
        let mut values = given.into_iter();
        while let Some(mut sum) = values.next() {
            for other in values.next().iter() {
                sum.iter_mut().zip(other).for_each(|(sum, value)| *sum += *value);
            }
            pairs.push(sum);
        }
        given = pairs;
    }
    given.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_get_the_sum_in_pairs_with_the_same_bits() {
        // In f32, (1e8 + 1) + (-1e8 + 1) is 0; summed from left to right the result is 1.
        let given = [1e8f32, 1.0, -1e8, 1.0];
        let group = Devices::group("flex, flex,flex,flex").unwrap();
        let seen = Devices::run(group, |ranks| -> Result<_, ParallelError> {
            for round in 0..200 {
                let mut values = [given[ranks.rank()], round as f32];
                ranks.sum(&mut values)?;
                assert_eq!(values, [0.0, 4.0 * round as f32]);
            }
            let tensor = Tensor::<1>::from_data([ranks.rank() as f32, 1.0], ranks.device());
            assert_eq!(ranks.sum_tensor(tensor)?.into_data().try_to_vec::<f32>().unwrap(), [6.0, 4.0]);
            assert!(ranks.any(ranks.rank() == 2)? && !ranks.any(false)?);
            ranks.check_equal("nothing", 7)?;
            assert_eq!(
                ranks.check_equal("rank", ranks.rank() as u32 / 2),
                Err(ParallelError::Differ { what: "rank", rank: 2 })
            );
            Ok((ranks.rank(), ranks.name().to_owned()))
        });
        assert_eq!(seen, Ok((0, "flex".into())));
    }

    #[test]
    fn the_error_of_the_rank_that_ends_first_is_reported() {
        let work = |ranks: &Devices| -> Result<(), String> {
            ranks.any(false).map_err(|e| e.to_string())?;
            if ranks.rank() == 1 {
                return Err("disk is full".into());
            }
            let error = ranks.any(false).unwrap_err();
            assert_eq!(error, ParallelError::Left { rank: 1 });
            Err(error.to_string())
        };
        assert_eq!(Devices::run(Devices::group("flex,flex,flex").unwrap(), work), Err("disk is full".into()));
        assert!(Devices::group("flex,tpu").err().unwrap().to_string().contains("`tpu`"));
    }
}
