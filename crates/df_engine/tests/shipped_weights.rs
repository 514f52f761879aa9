//! The shipped models' weights: read whole, and damaged in every way that a disk or a stranger may think of.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use df_engine::burnpack::{BurnpackError, StoredTensor, parse};
use df_engine::{CpuNetwork, NamedTensors, NetworkConfig};

const MODELS: [&str; 4] = ["maze2d_large", "maze2d_medium", "maze2d_u", "point_maze"];
/// Bytes beside the values: names, shapes, messages, and the buffer of the CBOR reader.
const SMALL: usize = 64 << 10;

/// Counts the bytes that are allocated, and their peak.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests measure memory: one at a time.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name)
}

fn weights(name: &str) -> Vec<u8> {
    std::fs::read(model(name).join("weights.bpk")).unwrap()
}

fn sizes(name: &str) -> NetworkConfig {
    let text = std::fs::read_to_string(model(name).join("checkpoint.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(description["network"].clone()).unwrap()
}

/// Reads damaged bytes: an error with a byte of the file, or finite values. Never a panic, never more memory than
/// twice the file.
fn read_damaged(bytes: &[u8]) -> Result<Vec<StoredTensor>, BurnpackError> {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = parse(bytes);
    let taken = PEAK.load(Ordering::Relaxed) - before;
    assert!(taken <= 2 * bytes.len() + SMALL, "{taken} bytes for a file of {}", bytes.len());
    match &result {
        Ok(tensors) => assert!(tensors.iter().flat_map(|tensor| &tensor.values).all(|value| value.is_finite())),
        Err(error) => assert!(error.to_string().starts_with("byte "), "{error}"),
    }
    result
}

/// Numbers below `end`, always the same.
fn places(end: usize) -> impl FnMut() -> usize {
    // Knuth's generator (MMIX): the high bits are random enough for places.
    let mut state = 1u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    }
}

#[test]
fn every_tensor_of_the_shipped_models_has_the_shape_in_checkpoint_json() {
    let _turn = turn();
    for name in MODELS {
        let (sizes, tensors) = (sizes(name), NamedTensors::read(&model(name).join("weights.bpk")).unwrap());
        let mut expected: Vec<(String, Vec<usize>)> = sizes.tensors().collect();
        expected.sort();
        let found: Vec<_> = tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.shape.clone())).collect();
        assert_eq!(found, expected, "{name}");
        assert!(tensors.iter().all(|(_, tensor)| tensor.values.len() == tensor.shape.iter().product::<usize>()));
        // Trained weights: not all zeros, and none of absurd size.
        let largest = tensors.iter().flat_map(|(_, tensor)| &tensor.values).fold(0.0f32, |max, v| max.max(v.abs()));
        assert!((0.1..100.0).contains(&largest), "{name}: {largest}");
    }
}

#[test]
fn the_shipped_models_predict_finite_values() {
    let _turn = turn();
    for name in MODELS {
        let (sizes, tensors) = (sizes(name), NamedTensors::read(&model(name).join("weights.bpk")).unwrap());
        let mut network = CpuNetwork::new(&tensors, &sizes).unwrap();
        let x: Vec<f32> = (0..sizes.tokens * sizes.channels).map(|i| (i as f32 * 0.7).sin()).collect();
        let features = vec![0.5; sizes.tokens * sizes.features()];
        let (prediction, gradient) = network.forward_and_gradient(&x, &features, sizes.tokens, |p| p.to_vec());
        assert!(prediction.iter().chain(&gradient).all(|value| value.is_finite() && value.abs() < 1e4), "{name}");
        assert!(prediction.iter().any(|value| value.abs() > 0.01), "{name}");
    }
}

#[test]
fn a_model_does_not_load_with_the_sizes_of_another() {
    let _turn = turn();
    let tensors = NamedTensors::read(&model("point_maze").join("weights.bpk")).unwrap();
    for name in ["maze2d_large", "maze2d_medium", "maze2d_u"] {
        assert!(CpuNetwork::new(&tensors, &sizes(name)).is_err(), "{name}");
    }
}

#[test]
fn a_file_cut_at_any_of_200_places_is_refused() {
    let _turn = turn();
    for name in MODELS {
        let whole = weights(name);
        assert!(read_damaged(&whole).is_ok());
        // 100 of them in the header and the metadata, the others all over the file.
        let metadata = u32::from_le_bytes(whole[6..10].try_into().unwrap()) as usize;
        let mut place = places(whole.len());
        for i in 0..200 {
            let cut = if i < 100 { i * (10 + metadata) / 100 } else { place() };
            let result = read_damaged(&whole[..cut]);
            assert!(result.is_err(), "{name}: cut at {cut}");
        }
        assert!(read_damaged(&whole[..whole.len() - 1]).is_err(), "{name}: the last byte");
    }
}

#[test]
fn flipped_bytes_give_an_error_or_finite_values() {
    let _turn = turn();
    let whole = weights("point_maze");
    let metadata = u32::from_le_bytes(whole[6..10].try_into().unwrap()) as usize;
    let (mut place, mut metadata_place, mut value) = (places(whole.len()), places(10 + metadata), places(256));
    let mut refused = [0, 0];
    for i in 0..2000 {
        let mut damaged = whole.clone();
        // Three of four in the header and the metadata: bytes of values are mostly values still.
        let kind = usize::from(i % 4 == 0);
        for _ in 0..=i % 3 {
            let at = if kind == 1 { place() } else { metadata_place() };
            damaged[at] ^= (value() as u8).max(1);
        }
        refused[kind] += usize::from(read_damaged(&damaged).is_err());
    }
    // The test damages what matters: most of it is noticed in the metadata, and some of it in the values (exponents of
    // 255).
    assert!(refused[0] > 750, "{refused:?} refused");
}

#[test]
fn an_infinite_value_is_refused_with_its_byte_offset() {
    let _turn = turn();
    let mut damaged = weights("point_maze");
    let at = damaged.len() - 4;
    // The file ends with padding or with values; the last value is found by its offset.
    let last = parse(&damaged).unwrap().pop().unwrap();
    let at = (last.offset as usize + 4 * (last.values.len() - 1)).min(at);
    damaged[at..at + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let message = read_damaged(&damaged).unwrap_err().to_string();
    assert!(message.starts_with(&format!("byte {at}: tensor `{}`", last.name)), "{message}");
}
