//! What the tests share: episodes to a checkpoint, and questions to it.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use df_planner::config::{Config, MatrixKind};
use df_planner::data::Episode;
use df_planner::diffusion::{Denoiser, Levels, NoiseSchedule, SchedulingMatrix, Solver, SolverKind, Tokens};
use df_planner::model::{Checkpoint, Engine};
use df_planner::signal::{Frame, Layout};
use df_planner::training::train;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Burn's random generator is one for the process: runs take turns.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One action channel and one observation channel, two frames in a token.
pub fn config(model: &str, training: &str) -> Config {
    let topic = |name: &str| format!("topic: {name}, type: std_msgs/msg/Float64, fields: [data], max_age_s: 0.1");
    let text = format!(
        "period_s: 0.1\nframe_stack: 2\nobservations:\n  seen: {{{}}}\naction: {{{}, min: [-9], max: [9], safe: [0]}}\nmodel: {model}\ntraining: {training}\n",
        topic("seen"),
        topic("command"),
    );
    Config::parse(&text, Path::new("test.yaml")).unwrap()
}

/// An episode from `(action, observation)` per tick.
pub fn episode(frames: impl IntoIterator<Item = (f32, f32)>) -> Episode {
    let frame = |(action, seen)| Frame { values: vec![action, seen], present: vec![true, true] };
    Episode { start_ns: 0, frames: frames.into_iter().map(frame).collect() }
}

/// Trains, and writes the checkpoint to `out`.
pub fn trained(config: &Config, episodes: Vec<Episode>, out: &Path) -> Checkpoint {
    let layout = Layout::new(2, [("action".into(), vec!["data".into()]), ("seen".into(), vec!["data".into()])]);
    let (engine, stop) = (Engine::Native, AtomicBool::new(false));
    let device = engine.device();
    train(config, &layout, episodes, Vec::new(), ("flex", &device), out, &stop, &mut |_| ()).unwrap();
    Checkpoint::load(out, &device).unwrap()
}

/// Samples sequences of which some slots are known. `known`: one list of frames per sequence, all of one length, each
/// `[action, observation]` in units, `None` where it is asked for. Returns the same with every value given.
pub fn sample(
    checkpoint: &Checkpoint,
    known: &[Vec<[Option<f32>; 2]>],
    matrix: MatrixKind,
    steps: usize,
    rng: &mut impl Rng,
) -> Vec<Vec<[f32; 2]>> {
    let (spec, schedule) = (checkpoint.spec(), NoiseSchedule(checkpoint.model.noise_schedule));
    let (batch, tokens) = (known.len(), known[0].len() / 2);
    let asked = known[0].iter().position(|f| f.contains(&None)).unwrap() / 2;
    let matrix = SchedulingMatrix::new(matrix, tokens - asked, steps, 1.0).unwrap();
    let mut x = Tokens::zeros(batch, tokens, spec.channels());
    x.data.iter_mut().for_each(|v| *v = StandardNormal.sample(rng));
    // One frame is two values, one per slot: tokens, values and slots are all in the order of `flat`.
    let flat: Vec<(usize, Option<f32>)> = known.iter().flatten().flat_map(|f| [(0, f[0]), (1, f[1])]).collect();
    for (x, (channel, value)) in x.data.iter_mut().zip(&flat) {
        if let Some(value) = value {
            *x = checkpoint.normaliser.apply(*channel, *value);
        }
    }
    let levels = |row: &[f32]| {
        let mut levels = Levels::filled(batch, tokens, spec.slots(), 0.0);
        for (i, (level, (_, value))) in levels.data.iter_mut().zip(&flat).enumerate() {
            if value.is_none() {
                *level = row[i / spec.slots() % tokens - asked];
            }
        }
        levels
    };
    let mut denoiser = checkpoint.denoiser(&Engine::Native);
    let mut solver = Solver::new(SolverKind::Ddim { eta: 0.0 }, schedule, &spec);
    let nothing = Tokens::zeros(batch, tokens, spec.channels());
    for row in 0..matrix.steps() {
        let (from, to) = (levels(matrix.row(row)), levels(matrix.row(row + 1)));
        let clean = denoiser.denoise(&x, &from).unwrap();
        solver.step(&mut x, &clean, &from, &to, &nothing);
    }
    let unit = |channel: usize, value: f32| checkpoint.normaliser.invert(channel, value);
    (0..batch).map(|b| x.sequence(b).chunks(2).map(|f| [unit(0, f[0]), unit(1, f[1])]).collect()).collect()
}
