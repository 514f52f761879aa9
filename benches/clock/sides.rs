//! The two sides: our engines here, PyTorch in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use df_diffusion::{Denoiser, NoiseSchedule, Solver, SolverConfig, Step, Tokens, sample};
use df_training::model::{Checkpoint, NetworkDenoiser, engine};

use crate::problem::{Case, PULL, Problem};

/// Each is run this often beforehand, and then timed for at least as long as this.
const WARM_UP: usize = 3;
const MIN_S: f64 = 0.25;

/// What one side needed, and what came out.
#[derive(Default, serde::Deserialize)]
pub struct Measured {
    /// The median, by what was done.
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

/// Our planner's evaluation on an engine.
pub fn ours(problem: &Problem, name: &str) -> Result<Measured> {
    let engine = engine(name)?;
    let checkpoint = problem.checkpoint(&engine)?;
    let mut denoiser = checkpoint.denoiser(&engine);
    let mut measured = Measured::default();
    for case in &problem.cases {
        let rollouts = case.rollouts;
        measured.time(format!("plain step, futures {rollouts}"), || Ok(denoiser.denoise(&case.x, &case.levels)?))?;
        measured.time(format!("guided step, futures {rollouts}"), || {
            Ok(denoiser.denoise_with_gradient(&case.x, &case.levels, &mut |_| case.cotangent.clone())?.1)
        })?;
        for guided in [false, true] {
            let what = if guided { "guided" } else { "plain" };
            measured.time(format!("{what} plan, futures {rollouts}"), || {
                plan(&mut denoiser, &checkpoint, case, problem, guided)
            })?;
        }
    }
    Ok(measured)
}

/// From noise to clean tokens down the rows of the matrix (DDIM). Guided: each predicted clean token moves against the gradient
/// of the cost through the network.
fn plan(
    denoiser: &mut NetworkDenoiser,
    checkpoint: &Checkpoint,
    case: &Case,
    problem: &Problem,
    guided: bool,
) -> Result<Tokens> {
    let mut x = case.x.clone();
    let schedule = NoiseSchedule(checkpoint.model.noise_schedule);
    let mut solver = Solver::new(SolverConfig::ddim(0.0), schedule, &checkpoint.spec());
    sample(&mut x, &case.known, &problem.matrix, &mut solver, &mut |_| (), &mut |Step { x, levels, .. }| {
        if !guided {
            return denoiser.denoise(x, levels).map(Some);
        }
        let (mut clean, gradient) = denoiser.denoise_with_gradient(x, levels, &mut |_| case.cotangent.clone())?;
        clean.data.iter_mut().zip(&gradient.data).for_each(|(clean, gradient)| *clean -= PULL * gradient);
        Ok::<_, df_diffusion::DenoiserError>(Some(clean))
    })?;
    Ok(x)
}

/// The same in PyTorch, eager.
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
