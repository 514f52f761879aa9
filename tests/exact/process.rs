//! A Gaussian process over tokens whose ideal denoiser is known in closed form.

use std::collections::HashMap;

use df_diffusion::{Denoiser, DenoiserError, Levels, NoiseSchedule, TokenSpec, Tokens};
use nalgebra::{DMatrix, DVector};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Tokens of a random stable linear system: `z' = F z + w`, `token = C z + v`, started in its stationary state and
/// standardised.
#[derive(Clone)]
pub struct Process {
    pub mean: DVector<f64>,
    /// Over all channels of all tokens, `[token][channel]`.
    pub covariance: DMatrix<f64>,
    pub channels: usize,
}

/// Hidden states of the system.
const STATES: usize = 3;
/// Bound of the spectral norm of `F`: neighbouring tokens correlate clearly, distant ones hardly.
const STABILITY: f64 = 0.9;
/// Variance of `v`: no value is fully determined by the others.
const OWN_NOISE: f64 = 0.1;

impl Process {
    pub fn draw(tokens: usize, channels: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |rows, columns| DMatrix::from_fn(rows, columns, |_, _| StandardNormal.sample(&mut rng));
        let raw: DMatrix<f64> = normal(STATES, STATES);
        // Scaled by the largest singular value, which bounds every eigenvalue.
        let forward = raw.clone() * (STABILITY / raw.svd(false, false).singular_values.max());
        let read: DMatrix<f64> = normal(channels, STATES);
        // Stationary covariance: P = F P F' + I, by iteration (0.9^400 is below 1e-18).
        let mut state = DMatrix::identity(STATES, STATES);
        for _ in 0..400 {
            state = &forward * state * forward.transpose() + DMatrix::identity(STATES, STATES);
        }
        let mut covariance = DMatrix::zeros(tokens * channels, tokens * channels);
        for later in 0..tokens {
            for earlier in 0..=later {
                // Cov(z_later, z_earlier) = F^(later - earlier) P.
                let mut block = state.clone();
                (earlier..later).for_each(|_| block = &forward * &block);
                let mut block = &read * block * read.transpose();
                if later == earlier {
                    block += DMatrix::identity(channels, channels) * OWN_NOISE;
                }
                covariance.view_mut((later * channels, earlier * channels), (channels, channels)).copy_from(&block);
                covariance
                    .view_mut((earlier * channels, later * channels), (channels, channels))
                    .copy_from(&block.transpose());
            }
        }
        // Channels with unit variance, as a normaliser makes them.
        let scale = DVector::from_fn(tokens * channels, |i, _| 1.0 / covariance[(i, i)].sqrt());
        let covariance =
            DMatrix::from_fn(covariance.nrows(), covariance.ncols(), |i, j| covariance[(i, j)] * scale[i] * scale[j]);
        let mean = DVector::from_fn(tokens * channels, |i, _| 0.3 * ((i % channels) as f64 + 1.0));
        Self { mean, covariance, channels }
    }

    /// One draw of all tokens.
    pub fn sample(&self, rng: &mut ChaCha8Rng) -> DVector<f64> {
        let noise = DVector::from_fn(self.mean.len(), |_, _| StandardNormal.sample(rng));
        &self.mean + self.covariance.clone().cholesky().expect("a covariance").l() * noise
    }

    /// Mean and covariance of the values `wanted`, given measurements `value + normal noise of that variance` of
    /// others.
    pub fn given(&self, known: &[(usize, f64, f64)], wanted: &[usize]) -> (DVector<f64>, DMatrix<f64>) {
        let at = |rows: &[usize], columns: &[usize]| {
            DMatrix::from_fn(rows.len(), columns.len(), |i, j| self.covariance[(rows[i], columns[j])])
        };
        let places: Vec<usize> = known.iter().map(|(i, ..)| *i).collect();
        let measured = at(&places, &places) + DMatrix::from_diagonal(&DVector::from_fn(known.len(), |i, _| known[i].2));
        let inverse = measured.try_inverse().expect("a covariance");
        let gain = at(wanted, &places) * inverse;
        let off = DVector::from_fn(known.len(), |i, _| known[i].1 - self.mean[known[i].0]);
        let mean = DVector::from_fn(wanted.len(), |i, _| self.mean[wanted[i]]) + &gain * off;
        (mean, at(wanted, wanted) - gain * at(&places, wanted))
    }

    pub fn denoiser(&self, schedule: NoiseSchedule, spec: &TokenSpec) -> Exact {
        Exact {
            process: self.clone(),
            schedule,
            noise_group_of_channel: spec.noise_group_of_channel.clone(),
            gains: HashMap::new(),
        }
    }
}

/// The ideal denoiser: `E[x0 | x]` with `x = alpha x0 + sigma noise` per value, for sequences up to the process's
/// length.
pub struct Exact {
    process: Process,
    schedule: NoiseSchedule,
    noise_group_of_channel: Vec<usize>,
    /// Cached by the bits of the levels, because streaming repeats them.
    gains: HashMap<Vec<u32>, Gain>,
}

/// `E[x0 | x] = offset + gain x` for one row of levels.
#[derive(Clone)]
struct Gain {
    gain: DMatrix<f64>,
    offset: DVector<f64>,
}

impl Exact {
    fn gain(&mut self, levels: &[f32], tokens: usize) -> Gain {
        let key: Vec<u32> = levels.iter().map(|level| level.to_bits()).collect();
        if self.gains.len() > 500 {
            self.gains.clear();
        }
        let (process, schedule, noise_group_of_channel) = (&self.process, self.schedule, &self.noise_group_of_channel);
        let made = || {
            let channels = process.channels;
            let noise_groups = levels.len() / tokens;
            let size = tokens * channels;
            let amplitudes: Vec<(f64, f64)> = (0..size)
                .map(|i| {
                    let noise_group = noise_group_of_channel[i % channels];
                    let (alpha, sigma) = schedule.alpha_sigma(levels[i / channels * noise_groups + noise_group]);
                    (f64::from(alpha), f64::from(sigma))
                })
                .collect();
            let covariance = process.covariance.view((0, 0), (size, size)).clone_owned();
            let mean = process.mean.rows(0, size).clone_owned();
            let alpha = DMatrix::from_diagonal(&DVector::from_fn(size, |i, _| amplitudes[i].0));
            let noise = DMatrix::from_diagonal(&DVector::from_fn(size, |i, _| amplitudes[i].1.powi(2)));
            let measured = &alpha * &covariance * &alpha + noise;
            let gain = &covariance * &alpha * measured.try_inverse().expect("a covariance");
            let offset = &mean - &gain * &alpha * &mean;
            Gain { gain, offset }
        };
        self.gains.entry(key).or_insert_with(made).clone()
    }

    /// Applies `f` to the sequences, `[value, sequence]`, all those in a row that have the same levels at once.
    fn each(&mut self, x: &Tokens, levels: &Levels, f: impl Fn(&Gain, DMatrix<f64>) -> DMatrix<f64>) -> Tokens {
        let mut out = x.clone();
        let of_levels = levels.tokens * levels.noise_groups;
        let size = x.tokens * x.channels;
        let row = |b: usize| &levels.data[b * of_levels..(b + 1) * of_levels];
        let mut b = 0;
        while b < x.batch {
            let end = (b..x.batch).find(|&other| row(other) != row(b)).unwrap_or(x.batch);
            let gain = self.gain(row(b), x.tokens);
            let values = x.data[b * size..end * size].iter().map(|&v| f64::from(v));
            let result = f(&gain, DMatrix::from_iterator(size, end - b, values));
            out.data[b * size..end * size].iter_mut().zip(result.iter()).for_each(|(to, from)| *to = *from as f32);
            b = end;
        }
        out
    }
}

impl Denoiser for Exact {
    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError> {
        Ok(self.each(x, levels, |gain, x| {
            let mut clean = &gain.gain * x;
            clean.column_iter_mut().for_each(|mut column| column += &gain.offset);
            clean
        }))
    }

    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        cotangent: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError> {
        let clean = self.denoise(x, levels)?;
        let slope = cotangent(&clean);
        let gradient = self.each(&slope, levels, |gain, slope| gain.gain.transpose() * slope);
        Ok((clean, gradient))
    }
}
