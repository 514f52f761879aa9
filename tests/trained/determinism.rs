//! The same seed gives the same checkpoint, byte for byte.

use std::fs;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::fixture::{config, episode, trained, turn};

#[test]
fn training_twice_with_one_seed_gives_the_same_bytes_under_every_noise_pattern() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let weights = |name: &str, seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
        let episodes = (0..5).map(|_| episode((0..40).map(|_| [normal(), normal()]))).collect();
        let noise_levels = "{independent: 0.1, shared: 0.1, planning: 0.2, hidden_modality: 0.1, variable_length: 0.2, \
                   noisy_history: 0.1, queries: 0.2}";
        let mut config = config(5, 30, noise_levels);
        config.training.seed = seed;
        let out = folder.path().join(name);
        trained(&config, episodes, &out);
        fs::read(out.join("weights.bpk")).unwrap()
    };
    let first = weights("a", 1);
    assert!(first == weights("b", 1), "the same seed");
    assert!(first != weights("c", 2), "another seed");
}
