//! The roofline (Williams et al. 2009): what a step computes and moves, and the measured peaks of this machine.

use std::hint::black_box;
use std::time::Instant;

use df_engine::NetworkConfig;
use pulp::{Arch, Simd, WithSimd};

/// Readings of a peak; the best counts.
const READINGS: usize = 20;
/// Consecutive fused multiply-adds, and the vectors that each works on: enough to hide its latency.
const ROUNDS: usize = 1 << 20;
const VECTORS: usize = 12;
/// Values that each thread reads: more than its caches hold.
const VALUES: usize = 1 << 27;

/// What a step needs.
pub struct Cost {
    pub flop: f64,
    /// Weights, inputs and outputs, once per pass over the network. Values between layers can stay in a cache.
    pub bytes: f64,
}

impl Cost {
    /// Multiplications and additions of the matrix products; the rest is small beside them.
    ///
    /// `guided`: adds the gradient of the predicted tokens with respect to the inputs. Its products are as large again
    /// for layers, and twice as large for attention.
    pub fn of_step(sizes: &NetworkConfig, batch: usize, guided: bool) -> Self {
        let features = sizes.features();
        let NetworkConfig { width, layers, channels, tokens, .. } = *sizes;
        let rows = batch * tokens;
        let of_layers = layers * 12 * width * width;
        let of_ends = 2 * channels * width + features * width + width * width;
        let products = 2 * rows * (of_layers + of_ends);
        let attention = layers * 4 * batch * tokens * tokens * width;
        let (passes, more) = if guided { (2, 3 * attention) } else { (1, attention) };
        let values = of_layers + of_ends + rows * (2 * channels + features);
        Self { flop: (passes * products + more) as f64, bytes: (4 * passes * values) as f64 }
    }

    /// Maximum FLOP per second.
    pub fn roof(&self, machine: &Machine) -> f64 {
        machine.flop_per_s.min(self.flop / self.bytes * machine.bytes_per_s)
    }
}

/// Peaks of all threads together.
pub struct Machine {
    pub flop_per_s: f64,
    /// Read from memory.
    pub bytes_per_s: f64,
}

impl Machine {
    /// On all threads of the global pool.
    pub fn measured() -> Self {
        let threads = rayon::current_num_threads();
        let arch = Arch::new();
        let lanes = arch.dispatch(Lanes);
        let flop = (threads * ROUNDS * VECTORS * lanes * 2) as f64;
        let values: Vec<Vec<f32>> = (0..threads).map(|_| vec![1.0; VALUES]).collect();
        let bytes = (threads * VALUES * size_of::<f32>()) as f64;
        Self {
            flop_per_s: flop / best(|| arch.dispatch(MultiplyAdd { factor: black_box(0.5) })),
            bytes_per_s: bytes / best(|| arch.dispatch(Sum(&values[rayon::current_thread_index().unwrap_or(0)]))),
        }
    }
}

/// The shortest time, seconds, in which every thread has run it.
fn best(run: impl Fn() -> f32 + Sync) -> f64 {
    let once = |_| {
        let started = Instant::now();
        black_box(rayon::broadcast(|_| run()));
        started.elapsed().as_secs_f64()
    };
    (0..READINGS).map(once).fold(f64::INFINITY, f64::min)
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

struct MultiplyAdd {
    factor: f32,
}

impl WithSimd for MultiplyAdd {
    type Output = f32;

    /// Counting loops, here and below: with a closure the sums go through memory.
    #[inline(always)]
    #[expect(clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let factor = simd.splat_f32s(self.factor);
        let mut sums = [simd.splat_f32s(1.0); VECTORS];
        for _ in 0..ROUNDS {
            for k in 0..VECTORS {
                sums[k] = simd.mul_add_e_f32s(sums[k], factor, factor);
            }
        }
        total(simd, sums)
    }
}

struct Sum<'a>(&'a [f32]);

impl WithSimd for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat_f32s(0.0); VECTORS];
        let (vectors, _) = S::as_simd_f32s(self.0);
        for some in vectors.chunks_exact(VECTORS) {
            for k in 0..VECTORS {
                sums[k] = simd.add_f32s(sums[k], some[k]);
            }
        }
        total(simd, sums)
    }
}

#[inline(always)]
#[expect(clippy::needless_range_loop)]
fn total<S: Simd>(simd: S, sums: [S::f32s; VECTORS]) -> f32 {
    let mut total = 0.0;
    for k in 0..VECTORS {
        total += simd.reduce_sum_f32s(sums[k]);
    }
    total
}
