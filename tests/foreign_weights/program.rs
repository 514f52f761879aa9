//! `df_train import` as a program: the shipped model, written with the names of PyTorch, is imported unchanged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use df_engine::CheckpointError;
use df_training::burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, SafetensorsStore};
use df_training::burn::tensor::Device;
use df_training::{AnyNetwork, Checkpoint};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/point_maze")
}

fn program(path: &str, arguments: &[&str]) -> Output {
    Command::new(path).args(arguments).output().unwrap()
}

#[test]
fn the_shipped_model_written_with_pytorch_names_is_imported_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (bag, weights, normaliser, out) = (at("demos"), at("shipped.safetensors"), at("normaliser.json"), at("model"));
    let recorded = program(env!("CARGO_BIN_EXE_df_sim"), &["record", "--minutes", "0.1", "--seed", "5", "--out", &bag]);
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    let checkpoint = Checkpoint::load(&shipped(), &Device::flex()).unwrap();
    let AnyNetwork::Native(network) = &checkpoint.network else { panic!("the shipped model is a native network") };
    let mut store = SafetensorsStore::from_file(&weights).with_to_adapter(BurnToPyTorchAdapter);
    network.save_into(&mut store).unwrap();
    fs::write(&normaliser, serde_json::to_string(&checkpoint.description.normaliser).unwrap()).unwrap();

    let config = format!("{}/config/point_maze.yaml", env!("CARGO_MANIFEST_DIR"));
    let import = |more: &[&str]| {
        let mut arguments =
            vec!["import", "--config", config.as_str(), "--weights", weights.as_str(), "--out", out.as_str()];
        arguments.extend(["--no-cache", "--bag", bag.as_str()]);
        arguments.extend(more);
        program(env!("CARGO_BIN_EXE_df_train"), &arguments)
    };
    let imported = import(&["--normaliser", &normaliser]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let printed = String::from_utf8_lossy(&imported.stdout).into_owned();
    assert!(printed.contains("638512 parameters, 3 layers of width 128, 4 heads"), "{printed}");
    let bytes = |folder: &Path| fs::read(folder.join("weights.bpk")).unwrap();
    // Saves the model again, because the shipped file has the tensor names of version 0.1.
    let saved_again = folder.path().join("saved_again");
    checkpoint.save::<CheckpointError>(&saved_again, |_| Ok(())).unwrap();
    assert!(bytes(Path::new(&out)) == bytes(&saved_again), "the weights differ");
    let again = Checkpoint::load(Path::new(&out), &Device::flex()).unwrap().description;
    assert_eq!(
        (&again.normaliser, &again.layout),
        (&checkpoint.description.normaliser, &checkpoint.description.layout)
    );
    assert_eq!(again.provenance.bags, [weights.clone(), bag.clone()]);

    // A refused import writes nothing and keeps the existing model.
    fs::write(&normaliser, r#"{"mean": [0, 1], "deviation": [1, 1]}"#).unwrap();
    for (more, expected) in [
        (vec!["--normaliser", normaliser.as_str()], "expected 6 values each"),
        (vec!["--architecture", "reference"], "no tensor is called `model.init_mlp.0.weight`"),
        (vec!["--rename", "x"], "--rename x: expected PATTERN=TEXT"),
        (vec!["--prefix", "net."], "no tensor's name begins with `net.`"),
    ] {
        let refused = import(&more);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && message.contains(expected), "{message}");
    }
    assert!(bytes(Path::new(&out)) == bytes(&saved_again));
}
