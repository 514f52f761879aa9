//! The problem that every side computes: the network of a checkpoint, inputs, and the rows of a plan.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use df_diffusion::{ConditioningMask, Levels, MatrixKind, SchedulingMatrix, Tokens};
use df_engine::{CheckpointDescription, NetworkConfig};
use df_training::burn::store::{ModuleSnapshot, SafetensorsStore};
use df_training::{AnyNetwork, Checkpoint, Engine};

use crate::roofline::Cost;

/// Sequences of a step: a candidate with one rollout, and with sixteen.
const ROLLOUTS: [usize; 2] = [1, 16];
/// Known tokens.
const HISTORY: usize = 1;
/// Denoising steps of a token, and rows between one token and the next: the defaults of the planner.
const STEPS: usize = 6;
const SLOPE: f64 = 0.5;
/// Step along the gradient of the cost in guided plans.
pub const GUIDANCE_SCALE: f32 = 1e-2;

/// Inputs of one number of rollouts.
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
}

impl Problem {
    pub fn of_environment() -> Result<Self> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/point_maze");
        let model = std::env::var_os("DF_MODEL").map_or(shipped, PathBuf::from);
        let checkpoint = CheckpointDescription::load(&model)?;
        if !checkpoint.architecture.is_native() {
            bail!("only the native network is compared");
        }
        let (spec, tokens) = (checkpoint.spec(), checkpoint.network.tokens);
        let matrix = SchedulingMatrix::new(MatrixKind::Pyramid, tokens - HISTORY, STEPS, SLOPE)?;
        let waves = |rollouts: usize, speed: f32| Tokens {
            data: (0..rollouts * tokens * spec.channels()).map(|i| (i as f32 * speed).sin()).collect(),
            ..Tokens::zeros(rollouts, tokens, spec.channels())
        };
        let case = |rollouts: usize| -> Result<Case> {
            let mut x = waves(rollouts, 0.7);
            let mut known = ConditioningMask::unconditioned(rollouts, tokens, &spec);
            for (b, t) in (0..rollouts).flat_map(|b| (0..HISTORY).map(move |t| (b, t))) {
                for group in 0..spec.noise_groups() {
                    let channels = (0..spec.channels()).filter(|&c| spec.noise_group_of_channel[c] == group);
                    known.condition((b, t, group), 0.0, channels.map(|c| x.at(b, t)[c]))?;
                }
            }
            known.apply(&mut x, checkpoint.schedule());
            let row = matrix.row(matrix.steps() / 2);
            let row: Vec<f32> = std::iter::repeat_n(0.0, HISTORY).chain(row.iter().copied()).collect();
            Ok(Case { rollouts, x, levels: known.levels(&row), known, cotangent: waves(rollouts, 1.3) })
        };
        let cases = ROLLOUTS.into_iter().map(case).collect::<Result<Vec<_>>>()?;
        Ok(Self { model, matrix, cases, sizes: checkpoint.network })
    }

    /// The cost of a case; `None` if it is a whole plan.
    pub fn cost(&self, what: &str) -> Option<Cost> {
        let (kind, rollouts) = what.split_once(" step, rollouts ")?;
        Some(Cost::of_step(&self.sizes, rollouts.parse().ok()?, kind == "guided"))
    }

    pub fn checkpoint(&self, engine: &Engine) -> Result<Checkpoint> {
        Ok(Checkpoint::load(&self.model, &engine.device())?)
    }

    /// For the Python side: `weights.safetensors` and `problem.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let checkpoint = self.checkpoint(&Engine::Native)?;
        let mut store = SafetensorsStore::from_file(folder.join("weights.safetensors"));
        let AnyNetwork::Native(network) = &checkpoint.network else { bail!("only the native network is compared") };
        network.save_into(&mut store).map_err(|e| anyhow!("{e}"))?;
        let rows: Vec<Vec<f32>> = (0..=self.matrix.steps())
            .map(|row| {
                let known = std::iter::repeat_n(0.0, HISTORY);
                known.chain(self.matrix.row(row).iter().copied()).collect()
            })
            .collect();
        let case = |case: &Case| {
            serde_json::json!({
                "rollouts": case.rollouts, "x": case.x.data, "levels": case.levels.data, "cotangent": case.cotangent.data,
            })
        };
        let problem = serde_json::json!({
            "sizes": checkpoint.description.network,
            "schedule": checkpoint.description.model.noise_schedule,
            "objective": checkpoint.description.model.objective,
            "noise_group_of_channel": checkpoint.description.spec().noise_group_of_channel,
            "rows": rows,
            "guidance_scale": GUIDANCE_SCALE,
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
