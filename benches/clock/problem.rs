//! What every side computes: a checkpoint's network, inputs, and the rows of a plan.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use burn::store::{ModuleSnapshot, SafetensorsStore};
use df_diffusion::MatrixKind;
use df_diffusion::{ConditioningMask, Levels, NoiseSchedule, SchedulingMatrix, Tokens};
use df_training::model::{AnyNetwork, Checkpoint, Engine, NetworkConfig};

use crate::roofline::Cost;

/// Sequences of a step: a candidate with one future, and with sixteen.
const FUTURES: [usize; 2] = [1, 16];
/// Tokens that are known.
const HISTORY: usize = 1;
/// Rows of a token, and rows between one token and the next: the planner's defaults.
const STEPS: usize = 6;
const SLOPE: f64 = 0.5;
/// How strongly the plan that is guided is pulled.
pub const PULL: f32 = 1e-2;

/// Inputs of one number of futures.
pub struct Case {
    pub rollouts: usize,
    /// `[batch, token, channel]`; known tokens clean, the others noise.
    pub x: Tokens,
    /// In the middle of the matrix.
    pub levels: Levels,
    pub known: ConditioningMask,
    /// The gradient of the cost with respect to the clean tokens.
    pub cotangent: Tokens,
}

pub struct Problem {
    model: PathBuf,
    pub matrix: SchedulingMatrix,
    pub cases: Vec<Case>,
    sizes: NetworkConfig,
    /// Numbers by which a token is told of its levels.
    features: usize,
}

impl Problem {
    pub fn of_environment() -> Result<Self> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/point_maze");
        let model = std::env::var_os("DF_MODEL").map_or(shipped, PathBuf::from);
        let checkpoint = Checkpoint::load(&model, &Engine::Native.device())?;
        let (spec, tokens) = (checkpoint.spec(), checkpoint.sizes.tokens);
        let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, tokens - HISTORY, STEPS, SLOPE)?;
        let waves = |rollouts: usize, speed: f32| Tokens {
            data: (0..rollouts * tokens * spec.channels()).map(|i| (i as f32 * speed).sin()).collect(),
            ..Tokens::zeros(rollouts, tokens, spec.channels())
        };
        let case = |rollouts: usize| -> Result<Case> {
            let mut x = waves(rollouts, 0.7);
            let mut known = ConditioningMask::nothing(rollouts, tokens, &spec);
            for noise_group in (0..rollouts).flat_map(|b| (0..HISTORY * spec.noise_groups()).map(move |noise_group| (b, noise_group))) {
                let (b, t, noise_group) = (noise_group.0, noise_group.1 / spec.noise_groups(), noise_group.1 % spec.noise_groups());
                let values = (0..spec.channels()).filter(|&c| spec.noise_group_of_channel[c] == noise_group).map(|c| x.at(b, t)[c]);
                known.hold((b, t, noise_group), 0.0, values.collect::<Vec<f32>>())?;
            }
            known.put(&mut x, NoiseSchedule(checkpoint.model.noise_schedule));
            let row = matrix.row(matrix.steps() / 2);
            let row: Vec<f32> = std::iter::repeat_n(0.0, HISTORY).chain(row.iter().copied()).collect();
            Ok(Case { rollouts, x, levels: known.levels(&row), known, cotangent: waves(rollouts, 1.3) })
        };
        let cases = FUTURES.into_iter().map(case).collect::<Result<Vec<_>>>()?;
        let AnyNetwork::Own(network) = &checkpoint.network else { bail!("only our own network is compared") };
        let told = network.told(spec.clone(), NoiseSchedule(checkpoint.model.noise_schedule));
        let features = told.features(&cases[0].x, &cases[0].levels).len() / (cases[0].rollouts * tokens);
        Ok(Self { model, matrix, cases, sizes: checkpoint.sizes.clone(), features })
    }

    /// Of a case that is a single step.
    pub fn cost(&self, what: &str) -> Option<Cost> {
        let (kind, rollouts) = what.split_once(" step, futures ")?;
        Some(Cost::of_step(&self.sizes, self.features, rollouts.parse().ok()?, kind == "guided"))
    }

    pub fn checkpoint(&self, engine: &Engine) -> Result<Checkpoint> {
        Ok(Checkpoint::load(&self.model, &engine.device())?)
    }

    /// For the Python side: `weights.safetensors` and `problem.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let checkpoint = self.checkpoint(&Engine::Native)?;
        let mut store = SafetensorsStore::from_file(folder.join("weights.safetensors"));
        let AnyNetwork::Own(network) = &checkpoint.network else { bail!("only our own network is compared") };
        network.save_into(&mut store).map_err(|e| anyhow!("{e}"))?;
        let rows: Vec<Vec<f32>> = (0..=self.matrix.steps())
            .map(|row| {
                let known = std::iter::repeat_n(0.0, HISTORY);
                known.chain(self.matrix.row(row).iter().copied()).collect()
            })
            .collect();
        let case = |case: &Case| {
            serde_json::json!({
                "futures": case.rollouts, "x": case.x.data, "levels": case.levels.data, "cotangent": case.cotangent.data,
            })
        };
        let problem = serde_json::json!({
            "sizes": checkpoint.sizes,
            "schedule": checkpoint.model.noise_schedule,
            "objective": checkpoint.model.objective,
            "slot_of_channel": checkpoint.spec().noise_group_of_channel,
            "rows": rows,
            "pull": PULL,
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        });
        Ok(std::fs::write(folder.join("problem.json"), problem.to_string())?)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let NetworkConfig { layers, width, heads, tokens, .. } = self.sizes;
        let (model, steps) = (self.model.display(), self.matrix.steps());
        write!(
            f,
            "{model}: {layers} layers of width {width}, {heads} heads, {tokens} tokens; plans of {steps} denoising steps"
        )
    }
}
