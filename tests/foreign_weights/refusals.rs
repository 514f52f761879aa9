//! Refused weight files: damaged, of an unknown format, or of another size. Also the search for a common name prefix.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use df_core::Layout;
use df_engine::NetworkConfig;
use df_training::burn::tensor::Device;
use df_training::import::{ForeignWeights, ImportError, ReferenceOptions, import_native, import_reference};

use super::{beside, layout, options, own_sizes};

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A safetensors file: the header's length, the header, the values.
fn write(path: &Path, tensors: &Tensors) {
    let mut data = Vec::new();
    let mut header = serde_json::Map::new();
    for (name, (shape, values)) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(path, [&length[..], header.as_bytes(), &data].concat()).unwrap();
}

/// The tensors of a file beside this test, as a basis for changed files.
fn tensors(file: &str) -> Tensors {
    let weights = ForeignWeights::open(&beside().join(file)).unwrap();
    let names: Vec<String> = weights.shapes().map(|(name, _)| name.to_string()).collect();
    let is_float = |name: &String| !name.starts_with("optimizer_states");
    let entry = |name: String| {
        let values = weights.values(&name).unwrap().unwrap();
        (name.clone(), (weights.shape(&name).unwrap(), values))
    };
    names.into_iter().filter(is_float).map(entry).collect()
}

fn saved(folder: &Path, tensors: &Tensors) -> PathBuf {
    let path = folder.join("weights.safetensors");
    write(&path, tensors);
    path
}

/// The tensors of `own.pt`, each name with a prefix.
fn below(prefix: &'static str) -> impl Iterator<Item = (String, (Vec<usize>, Vec<f32>))> {
    tensors("own.pt").into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
}

fn own(path: &Path, sizes: &NetworkConfig, prefix: Option<&str>) -> Result<(), ImportError> {
    import_native(&ForeignWeights::open(path)?, prefix, sizes, &Device::flex()).map(|_| ())
}

#[test]
fn tensors_of_the_wrong_shape_are_listed_with_both_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let mut changed = tensors("own.pt");
    changed.remove("blocks.1.hidden.bias").unwrap();
    changed.insert("blocks.2.hidden.bias".into(), (vec![1], vec![0.0]));
    changed.insert("norm.weight".into(), (vec![3], vec![0.0; 3]));
    let message = own(&saved(folder.path(), &changed), &own_sizes(), None).unwrap_err().to_string();
    for part in [
        "`blocks.1.mlp_up.bias` is missing; expected [64]",
        "`norm.weight`: expected [16], got [3]",
        "`blocks.2.mlp_up.bias` [1] has no place",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
    // A longer window has more positions.
    let longer = NetworkConfig { tokens: 9, ..own_sizes() };
    let message = own(&beside().join("own.pt"), &longer, None).unwrap_err().to_string();
    assert!(message.contains("`position`: expected [9, 16], got [8, 16]"), "{message}");
}

#[test]
fn a_common_name_prefix_is_found_and_an_ambiguous_one_must_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path(), &below("net.model.").collect());
    own(&path, &own_sizes(), None).unwrap();
    let message = own(&path, &own_sizes(), Some("other.")).unwrap_err().to_string();
    assert!(message.contains("no tensor's name begins with `other.`; it holds 35 tensors: `net.model."), "{message}");

    let path = saved(folder.path(), &below("model.").chain(below("ema.")).collect());
    let message = own(&path, &own_sizes(), None).unwrap_err().to_string();
    assert!(message.contains("choose one by its prefix, one of `ema.`, `model.`"), "{message}");
    own(&path, &own_sizes(), Some("ema.")).unwrap();

    let renamed = tensors("own.pt").into_iter().map(|(name, t)| (name.replace("blocks.", "layer_"), t)).collect();
    let path = saved(folder.path(), &renamed);
    assert!(own(&path, &own_sizes(), None).is_err());
    let weights = ForeignWeights::open(&path).unwrap();
    let renames = [(r"^layer_(\d)".to_string(), "blocks.$1".to_string())];
    import_native(&weights.rename(&renames).unwrap(), None, &own_sizes(), &Device::flex()).unwrap();
    for (pattern, part) in [("(", "renaming by `(`"), (".*", "two tensors get the name")] {
        let weights = ForeignWeights::open(&path).unwrap();
        let message = weights.rename(&[(pattern.into(), "x".into())]).err().unwrap().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut changed = tensors("own.pt");
    changed.get_mut("mixed.bias").unwrap().1[3] = f32::NAN;
    let message = own(&saved(folder.path(), &changed), &own_sizes(), None).unwrap_err().to_string();
    assert!(message.contains("`in_proj.bias`: value 3 is NaN"), "{message}");
}

#[test]
fn an_incomplete_reference_checkpoint_is_refused_with_the_missing_parts() {
    let folder = tempfile::tempdir().unwrap();
    let import = |tensors: &Tensors, layout: &Layout, options: &ReferenceOptions| {
        let weights = ForeignWeights::open(&saved(folder.path(), tensors)).unwrap();
        import_reference(&weights, options, layout, &Device::flex()).map(|imported| imported.unseen)
    };
    let whole = tensors("reference.ckpt");
    let refused = |tensors: &Tensors, layout: &Layout, options: &ReferenceOptions| {
        import(tensors, layout, options).unwrap_err().to_string()
    };
    assert_eq!(import(&whole, &layout(), &options(false)).unwrap(), Vec::<String>::new());

    let without = |part: &str| whole.clone().into_iter().filter(|(name, _)| !name.contains(part)).collect::<Tensors>();
    for (part, expected) in [
        ("alphas_cumprod", "`alphas_cumprod` is missing: the noise schedule"),
        ("init_mlp.2.bias", "`init_mlp.2.bias` is missing; expected [16]"),
        ("layers.0.linear1.weight", "`transformer.layers.0.linear1.weight` is missing"),
        ("init_mlp.0", "no tensor is called `model.init_mlp.0.weight`"),
        ("layers.0.self_attn.in_proj_weight", "in_proj_weight` is missing; expected [48, 16]"),
    ] {
        let message = refused(&without(part), &layout(), &options(false));
        assert!(message.contains(expected), "{message}");
    }
    let heads = ReferenceOptions { heads: 3, ..options(false) };
    let message = refused(&whole, &layout(), &heads);
    assert!(message.contains("model.heads 3 does not divide the width 16"), "{message}");
    // A token has 6 channels; the contract has 3 channels per frame and 1 frame per token.
    let one = Layout { frame_stack: 1, ..layout() };
    let message = refused(&whole, &one, &options(false));
    assert!(message.contains("its tokens have 6 channels; seen, action are 3 channels a frame"), "{message}");
    let names = ["seen".to_string(), "scan".to_string()];
    let message = refused(&whole, &layout(), &ReferenceOptions { channels: &names, ..options(false) });
    assert!(message.contains("no group is called `scan`; there are action, seen"), "{message}");

    // Observations only, as in most published networks: the action is neither an input nor an output.
    let labels = |labels: &[&str]| labels.iter().map(ToString::to_string).collect::<Vec<_>>();
    let wider = Layout::new(2, [("action".into(), labels(&["a"])), ("seen".into(), labels(&["x", "y", "z"]))]);
    assert_eq!(import(&whole, &wider, &options(false)).unwrap(), ["action"]);
}

#[test]
fn damaged_weight_files_are_an_error_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let safetensors = folder.path().join("own.safetensors");
    write(&safetensors, &tensors("own.pt"));
    let whole = [std::fs::read(beside().join("own.pt")).unwrap(), std::fs::read(&safetensors).unwrap()];
    let path = folder.path().join("damaged");
    let (mut refused, mut state) = (0, 1u64);
    let mut random = |below: usize| {
        // Knuth's linear congruential generator (MMIX).
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for i in 0..400 {
        let mut bytes = whole[i % 2].clone();
        match i % 4 {
            0 | 1 => bytes.truncate(random(bytes.len())),
            _ => (0..4).for_each(|_| {
                // Half of the changes are in the first kilobyte, which holds the headers.
                let at = random(if i % 8 < 4 { 1024 } else { bytes.len() });
                bytes[at] ^= 1 << random(8);
            }),
        }
        std::fs::write(&path, bytes).unwrap();
        refused += usize::from(own(&path, &own_sizes(), None).is_err());
    }
    // Every truncation is refused. Flipped bits are refused in names, shapes and offsets, and anywhere under PyTorch's
    // checksums.
    println!("{refused} of 400 damaged files refused");
    assert!((200..400).contains(&refused), "{refused}");
    for (text, expected) in [("", "not a PyTorch checkpoint"), ("steps: 3\n", "not a PyTorch checkpoint")] {
        std::fs::write(&path, text).unwrap();
        let message = own(&path, &own_sizes(), None).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(matches!(own(&folder.path().join("none"), &own_sizes(), None), Err(ImportError::File { .. })));
}

#[test]
fn code_inside_a_pickle_is_not_executed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, made) = (folder.path().join("evil.pt"), folder.path().join("made"));
    // Protocol 0: os.system called with a command, as `__reduce__` would have it.
    std::fs::write(&path, format!("cos\nsystem\n(S'touch {}'\ntR.", made.display())).unwrap();
    assert!(own(&path, &own_sizes(), None).is_err());
    assert!(!made.exists());
}
