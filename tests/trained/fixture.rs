//! Shared by the tests: training a checkpoint from episodes, and sampling queries of it.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use df_core::{Frame, Layout};
use df_data::{Episode, Recording};
use df_diffusion::MatrixKind;
use df_diffusion::{ConditioningMask, SchedulingMatrix, Solver, SolverConfig, Tokens, sample};
use df_planner::config::Config;
use df_training::parallel::Alone;
use df_training::{Checkpoint, Engine};
use df_training::{Event, NamedDevice, Run, Start, TrainingSetup, Validation, train};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::support::contract::ContractYaml;

/// Frames in a token.
const FRAME_STACK: usize = 2;

/// Serialises the trainings, because Burn has one random generator per process.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One action channel and one observation channel; a small network with settings that train in seconds.
pub fn config(window: usize, steps: usize, noise_levels: &str) -> Config {
    let training = format!(
        "{{window: {window}, batch: 64, steps: {steps}, learning_rate: 3.0e-3, warmup_steps: 50, ema_decay: 0.99,
          validation_share: 0, seed: 1, noise_levels: {noise_levels}}}"
    );
    let yaml = ContractYaml::new().observing("seen", &["data"]).acting(&["data"]);
    let yaml = yaml.with("frame_stack", FRAME_STACK).with("training", training).with_all(&[
        ("observations.seen.type", "std_msgs/msg/Float64"),
        ("observations.seen.max_age_s", "0.1"),
        ("action.type", "std_msgs/msg/Float64"),
        ("action.max_age_s", "0.1"),
        ("model", "{width: 32, layers: 2, heads: 2}"),
    ]);
    Config::parse(yaml.text(), Path::new("test.yaml")).unwrap()
}

/// An episode from `[action, observation]` per tick.
pub fn episode(frames: impl IntoIterator<Item = [f32; 2]>) -> Episode {
    let frame = |values: [f32; 2]| Frame { values: values.into(), present: vec![true; 2], std: Vec::new() };
    Episode { start_ns: 0, frames: frames.into_iter().map(frame).collect() }
}

/// Trains on the backend `flex` and loads the checkpoint from `out`.
pub fn trained(config: &Config, episodes: Vec<Episode>, out: &Path) -> Checkpoint {
    trained_and_validated(config, episodes, out).0
}

/// As [`trained`], with the last validation.
pub fn trained_and_validated(config: &Config, episodes: Vec<Episode>, out: &Path) -> (Checkpoint, Option<Validation>) {
    let data = || vec!["data".to_string()];
    let layout = Layout::new(FRAME_STACK, [("action".into(), data()), ("seen".into(), data())]);
    let (device, stop) = (Engine::Native.device(), AtomicBool::new(false));
    let episodes = episodes.into_iter().map(|episode| (episode.frames, 1.0)).collect();
    let recording = Recording::of(&layout, episodes).unwrap();
    let run = Run::open(out, Start::New, &Alone).unwrap();
    let mut newest = None;
    let mut report = |event: Event| {
        if let Event::Validated { validation, .. } = event {
            newest = Some(validation);
        }
    };
    let setup = TrainingSetup {
        config: &config.trainer(),
        recording: &recording,
        run: &run,
        device: NamedDevice { name: "flex", device: &device },
        ranks: &Alone,
        stop: &stop,
    };
    train(&setup, &mut report).unwrap();
    (Checkpoint::load(out, &device).unwrap(), newest)
}

/// One frame of a query, `[action, observation]`; `None` marks a queried value.
pub type QueryFrame = [Option<f32>; 2];

/// Samples the queried values of queries of one length, with `steps` rows per token. Returns the completed frames of
/// each query.
pub fn sample_queries(
    checkpoint: &Checkpoint,
    queries: &[Vec<QueryFrame>],
    (matrix, steps): (MatrixKind, usize),
    rng: &mut impl Rng,
) -> Vec<Vec<[f32; 2]>> {
    let (spec, schedule) = (checkpoint.description.spec(), checkpoint.description.schedule());
    let (batch, tokens) = (queries.len(), queries[0].len() / FRAME_STACK);
    let mut known = ConditioningMask::unconditioned(batch, tokens, &spec);
    for (b, query) in queries.iter().enumerate() {
        for (k, given) in query.iter().enumerate() {
            for (c, value) in given.iter().enumerate().filter_map(|(c, value)| Some((c, (*value)?))) {
                let noise_group = k % FRAME_STACK * given.len() + c;
                known
                    .condition(
                        (b, k / FRAME_STACK, noise_group),
                        0.0,
                        [checkpoint.description.normaliser.apply(c, value)],
                    )
                    .unwrap();
            }
        }
    }
    let first_queried = queries[0].iter().position(|given| given.contains(&None)).unwrap() / FRAME_STACK;
    let matrix = SchedulingMatrix::new(matrix, tokens - first_queried, steps, 1.0).unwrap();
    let mut x = Tokens::zeros(batch, tokens, spec.channels());
    x.data.iter_mut().for_each(|value| *value = StandardNormal.sample(rng));
    known.apply(&mut x, schedule);
    let mut denoiser = checkpoint.denoiser(&Engine::Native).unwrap();
    let mut solver = Solver::new(SolverConfig::ddim(0.0), schedule, &spec);
    sample(&mut x, &known, &matrix, &mut solver, &mut |_| (), &mut |step| {
        denoiser.denoise(step.x, step.levels).map(Some)
    })
    .unwrap();
    let unit = |frame: &[f32]| [0, 1].map(|c| checkpoint.description.normaliser.invert(c, frame[c]));
    (0..batch).map(|b| x.sequence(b).chunks(2).map(unit).collect()).collect()
}

/// The root mean square of all errors.
pub fn root_mean_square(errors: impl IntoIterator<Item = f32>) -> f32 {
    let (sum, count) = errors.into_iter().fold((0.0, 0.0), |(sum, count), e| (sum + e * e, count + 1.0));
    (sum / count).sqrt()
}
