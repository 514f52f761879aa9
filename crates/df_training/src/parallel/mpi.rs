//! Ranks that are the processes of an MPI program, on one machine or many. Only this file names the crate `mpi`.
//!
//! A separate thread makes all calls of MPI, so that a wait can time out: MPI itself waits forever for a rank that
//! hangs. If a rank dies, the launcher names it and ends the others.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::environment::{Threading, initialize_with_threading};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Equivalence};

use super::{ParallelError, Ranks, launched};

/// How often a waiting rank checks whether it was asked to stop.
const POLL_PERIOD: Duration = Duration::from_millis(50);
/// How long rank 0 waits for late ranks after it was asked to stop. OpenMPI's launcher ends the surviving ranks two
/// seconds later (twice odls_base_sigkill_timeout); the remaining time is for the last checkpoint. Other ranks save
/// nothing.
const LAST_PATIENCE: Duration = Duration::from_millis(300);

/// A call on the communicator of all processes. `None` ends the thread and finalises MPI.
type Job = Option<Box<dyn FnOnce(&SimpleCommunicator) + Send>>;

/// This process among the processes of the run.
pub struct Mpi {
    rank: usize,
    size: usize,
    patience: Duration,
    stop: Arc<AtomicBool>,
    /// The time of the last sum.
    answered: Cell<Instant>,
    waited: Cell<Duration>,
    jobs: Sender<Job>,
    left: Receiver<()>,
}

impl Mpi {
    /// Joins the other processes. `patience` is the longest wait for the other ranks. `stop` is set when this process
    /// is asked to end.
    ///
    /// # Errors
    /// MPI does not start, or sees another number of processes than the launcher started.
    pub fn start(patience: Duration, stop: Arc<AtomicBool>) -> Result<Self, ParallelError> {
        let (jobs, incoming) = channel();
        let (greet, greeting) = channel();
        let (leave, left) = channel();
        Builder::new()
            .name("mpi".into())
            .spawn(move || {
                serve(&incoming, &greet);
                let _ = leave.send(());
            })
            .map_err(|e| ParallelError::Mpi(e.to_string()))?;
        let (rank, size) = greeting.recv().map_err(|_| ParallelError::Mpi("it does not start".into()))?;
        match launched() {
            Some((_, started)) if started != size => Err(ParallelError::Mpi(format!(
                "it sees {size} ranks, {started} were started: Slurm needs `srun --mpi=pmix`, and mpirun must belong to the MPI that this program was built with"
            ))),
            _ => Ok(Self {
                rank,
                size,
                patience,
                stop,
                answered: Cell::new(Instant::now()),
                waited: Cell::default(),
                jobs,
                left,
            }),
        }
    }

    /// Finalises MPI when all ranks are done. If a process ends without it, the launcher ends the others.
    pub fn finish(self) {
        // Wait until rank 0 has written its files.
        let _ = self.any(false);
        let _ = self.jobs.send(None);
        // After a signal, OpenMPI's launcher does not let ranks finalise. So do not wait long.
        let patience = if self.stop.load(Ordering::Relaxed) { LAST_PATIENCE } else { self.patience };
        let _ = self.left.recv_timeout(patience);
    }

    fn sum_of<T>(&self, values: &mut [T]) -> Result<(), ParallelError>
    where
        T: Equivalence + Copy + Send + 'static,
    {
        let (sender, receiver) = channel();
        let mine = values.to_vec();
        let job: Job = Some(Box::new(move |world| {
            let mut sum = mine.clone();
            world.all_reduce_into(&mine[..], &mut sum[..], SystemOperation::sum());
            let _ = sender.send(sum);
        }));
        self.jobs.send(job).map_err(|_| ended())?;
        values.copy_from_slice(&self.wait(&receiver)?);
        Ok(())
    }

    fn wait<T>(&self, receiver: &Receiver<T>) -> Result<T, ParallelError> {
        // Since the last sum, the others had as much work as this rank.
        let last_patience = LAST_PATIENCE + self.answered.get().elapsed();
        let started = Instant::now();
        let mut stop_seen = None;
        loop {
            match receiver.recv_timeout(POLL_PERIOD) {
                Ok(value) => {
                    self.answered.set(Instant::now());
                    self.waited.set(self.waited.get() + started.elapsed());
                    return Ok(value);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stop_seen.is_none() && self.rank == 0 && self.stop.load(Ordering::Relaxed) {
                stop_seen = Some(Instant::now());
            }
            let waited = started.elapsed();
            if waited >= self.patience || stop_seen.is_some_and(|seen| seen.elapsed() >= last_patience) {
                return Err(ParallelError::Silent { rank: self.rank, waited_s: waited.as_secs_f64() });
            }
        }
    }
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), ParallelError> {
        self.sum_of(values)
    }

    fn sum_f64(&self, values: &mut [f64]) -> Result<(), ParallelError> {
        self.sum_of(values)
    }

    fn waited(&self) -> Duration {
        self.waited.get()
    }
}

fn ended() -> ParallelError {
    ParallelError::Mpi("its thread has ended".into())
}

/// All calls of MPI.
fn serve(jobs: &Receiver<Job>, greet: &Sender<(usize, usize)>) {
    let Some((universe, _)) = initialize_with_threading(Threading::Funneled) else { return };
    let world = universe.world();
    let _ = greet.send((world.rank() as usize, world.size() as usize));
    while let Ok(job) = jobs.recv() {
        match job {
            Some(job) => job(&world),
            None => return,
        }
    }
    // This process has failed. Finalising MPI would wait for the others, which wait for this one.
    std::mem::forget(universe);
}
