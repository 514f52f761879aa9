//! The two sides: df_planner in this process, PyTorch in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use df_diffusion::{Denoiser, DenoisingStep, Solver, SolverConfig, Tokens, sample};
use df_training::{Checkpoint, engine};

use crate::problem::{Case, GUIDANCE_SCALE, Problem};

/// Untimed runs, and then the minimum time of timed runs, seconds.
const WARM_UP: usize = 3;
const MIN_S: f64 = 0.25;

/// Times and outputs of one side.
#[derive(Default, serde::Deserialize)]
pub struct Measured {
    /// Median by case.
    pub milliseconds: Vec<(String, f64)>,
    pub outputs: BTreeMap<String, Vec<f32>>,
}

impl Measured {
    fn time(&mut self, what: String, mut run: impl FnMut() -> Result<Tokens>) -> Result<()> {
        for _ in 0..WARM_UP {
            run()?;
        }
        let mut seconds = Vec::new();
        while seconds.iter().sum::<f64>() < MIN_S || seconds.len() < 5 {
            let started = Instant::now();
            self.outputs.insert(what.clone(), run()?.data);
            seconds.push(started.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        self.milliseconds.push((what, 1e3 * seconds[seconds.len() / 2]));
        Ok(())
    }
}

/// The evaluation of df_planner on a device.
pub fn ours(problem: &Problem, name: &str) -> Result<Measured> {
    let engine = engine(name)?;
    let checkpoint = problem.checkpoint(&engine)?;
    let mut denoiser = checkpoint.denoiser(&engine)?;
    let mut measured = Measured::default();
    for case in &problem.cases {
        let rollouts = case.rollouts;
        measured.time(format!("plain step, rollouts {rollouts}"), || Ok(denoiser.denoise(&case.x, &case.levels)?))?;
        measured.time(format!("guided step, rollouts {rollouts}"), || {
            Ok(denoiser.denoise_with_gradient(&case.x, &case.levels, &mut |_| case.cotangent.clone())?.1)
        })?;
        for guided in [false, true] {
            let what = if guided { "guided" } else { "plain" };
            measured.time(format!("{what} plan, rollouts {rollouts}"), || {
                plan(&mut *denoiser, &checkpoint, case, problem, guided)
            })?;
        }
    }
    Ok(measured)
}

/// From noise to clean tokens down the rows of the matrix (DDIM).
///
/// `guided`: each prediction moves against the gradient of the cost through the network.
fn plan(
    denoiser: &mut dyn Denoiser,
    checkpoint: &Checkpoint,
    case: &Case,
    problem: &Problem,
    guided: bool,
) -> Result<Tokens> {
    let mut x = case.x.clone();
    let (schedule, spec) = (checkpoint.description.schedule(), checkpoint.description.spec());
    let mut solver = Solver::new(SolverConfig::ddim(0.0), schedule, &spec);
    sample(
        &mut x,
        &case.known,
        &problem.matrix,
        &mut solver,
        &mut |_| (),
        &mut |DenoisingStep { x, levels, .. }| {
            if !guided {
                return denoiser.denoise(x, levels).map(Some);
            }
            let (mut clean, gradient) = denoiser.denoise_with_gradient(x, levels, &mut |_| case.cotangent.clone())?;
            clean.data.iter_mut().zip(&gradient.data).for_each(|(clean, gradient)| *clean -= GUIDANCE_SCALE * gradient);
            Ok::<_, df_diffusion::DenoiserError>(Some(clean))
        },
    )?;
    Ok(x)
}

/// The same in PyTorch, in eager mode.
pub fn python(folder: &Path, threads: usize) -> Result<Measured> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pytorch_reference.py");
    let python = std::env::var_os("DF_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python)
        .arg(script)
        .arg(folder)
        .arg(threads.to_string())
        .output()
        .with_context(|| format!("{}", python.display()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{}", message.lines().last().unwrap_or("no message").to_owned());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
