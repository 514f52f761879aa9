//! Shared by the fuzz targets: a folder for inputs, the contract that reads them, and intact files around them.

#[path = "../../tests/recordings/mod.rs"]
pub mod recordings;

use std::cell::LazyCell;
use std::path::{Path, PathBuf};

use df_core::{Normaliser, bind};
use df_data::{open_source, read_episodes};
use df_engine::{Architecture, CheckpointDescription, CheckpointError, ModelConfig, NetworkConfig, Provenance};
use df_message::{Definitions, Extractor, SchemaDefinitions};
use df_training::{Checkpoint, Device, InitNetwork};
use recordings::{COLUMNS, Contract, HEADER};

/// Maximum memory above that at the start of an input, bytes. Intact recordings take less.
const MAX_MEMORY: usize = 256 << 20;
/// Ends the process at an allocation beyond the limit, which the fuzzer reports. Memory of zstd and sqlite is not
/// counted: `-rss_limit_mb` limits it.
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// Sets the limit to [`MAX_MEMORY`] above the memory that is allocated now. Call it at the start of an input.
///
/// # Panics
/// Never: the limit is above the allocated memory.
pub fn limit_memory() {
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + MAX_MEMORY).expect("above the allocated memory");
}

/// Episodes and rows of the datasets around the bytes.
const EPISODES: usize = 4;
const ROWS: usize = 8;
/// The files of a checkpoint.
pub const CHECKPOINT_FILES: [&str; 3] = ["checkpoint.json", "contract.yaml", "weights.bpk"];
/// Separates the parts of an input.
pub const PART: &str = "\n---\n";

/// A folder in memory, and the contract that reads recordings in it.
pub struct Scratch {
    folder: tempfile::TempDir,
    contract: Contract,
}

impl Scratch {
    /// A new folder.
    ///
    /// # Panics
    /// If the folder cannot be created.
    #[expect(clippy::new_without_default, reason = "it creates a folder")]
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { folder: folder.expect("a folder"), contract: Contract::new(&[COLUMNS]) }
    }

    /// The contract of the recordings.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The path of `name` in the folder.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and returns its path.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.at(name), bytes).expect("a file");
        self.at(name)
    }

    /// Reads a recording as training does, to its end or to an error. All values of its frames must be finite.
    ///
    /// # Panics
    /// At a value that is not finite.
    pub fn read(&self, path: &Path) {
        let Ok(source) = open_source(path) else { return };
        let Contract { config, bound, layout } = &self.contract;
        let _ = bind(&config.contract, &source.message_definitions());
        if let Ok((episodes, _)) = read_episodes(&*source, config, bound, layout) {
            let values = episodes.iter().flat_map(|episode| &episode.frames).flat_map(|frame| &frame.values);
            assert!(values.clone().all(|value| value.is_finite()), "a value that is not finite");
        }
    }

    /// Writes an intact LeRobot dataset.
    pub fn dataset(&self) -> PathBuf {
        let episodes: Vec<_> = (0..EPISODES).map(|i| recordings::rows(ROWS, i as f32)).collect();
        recordings::lerobot::write_dataset(&self.at("dataset"), "v3.0", &episodes);
        self.at("dataset")
    }

    /// Writes an intact checkpoint with a network of the smallest size.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn checkpoint(&self) -> PathBuf {
        let Contract { config, layout, .. } = &self.contract;
        let channels = layout.frame_channels();
        let noise_groups = layout.modalities.len() * layout.frame_stack;
        let sizes = NetworkConfig::new(2, 1, 1, layout.token_channels(), noise_groups, 2);
        let checkpoint = Checkpoint {
            network: sizes.init(&Device::flex()).into(),
            description: CheckpointDescription {
                architecture: Architecture::Native,
                network: sizes,
                model: ModelConfig::default(),
                layout: layout.clone(),
                normaliser: Normaliser::new(vec![0.0; channels], vec![1.0; channels]),
                provenance: Provenance::default(),
                contract: config.contract.clone(),
            },
        };
        checkpoint.save(&self.at("checkpoint"), |_| Ok::<_, CheckpointError>(())).expect("a checkpoint");
        self.at("checkpoint")
    }
}

/// Reads a LeRobot dataset in which `bytes` replace one of its files.
///
/// # Panics
/// As [`Scratch::read`].
pub fn read_dataset_with(file: &str, bytes: &[u8]) {
    thread_local! {
        static SCRATCH: LazyCell<Scratch> = LazyCell::new(|| {
            let scratch = Scratch::new();
            scratch.dataset();
            scratch
        });
    }
    limit_memory();
    SCRATCH.with(|scratch| {
        scratch.write(&format!("dataset/{file}"), bytes);
        scratch.read(&scratch.at("dataset"));
    });
}

/// A message type with every kind of field, those that field expressions may name and those that they may not.
const EVERYTHING: &str = "std_msgs/Header header\nbool flag\nint8 small\nuint8[] bytes\np/V[<=3] bounded\nstring<=5 short\n\
    string[] name\nfloat64[] position\nfloat32[4] fixed\nQ orientation\nint64 large\nwstring wide\nstring[2] two\nE[] empty\n\
    uint16 LIMIT=7\nfloat32 last 1.5\n===\nMSG: p/Q\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n===\nMSG: p/E\n";

/// Extractors of fields that contracts name. The first byte of an input chooses the one that decodes the rest.
///
/// # Panics
/// If a type lacks a field.
pub fn extractors() -> Vec<Extractor> {
    let laser = "std_msgs/Header header\nfloat32 angle_min\nfloat32 angle_max\nfloat32 angle_increment\nfloat32 time_increment\n\
        float32 scan_time\nfloat32 range_min\nfloat32 range_max\nfloat32[] ranges\nfloat32[] intensities\n";
    let joints = "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n";
    let of = |text: &str, fields: &[&str]| {
        let definitions = SchemaDefinitions::new([("p/msg/T", format!("{text}{HEADER}"))]);
        let schema = definitions.schema("p/msg/T").expect("a schema");
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        Extractor::new(&schema, &fields).expect("fields that it has")
    };
    vec![
        of(laser, &["ranges[0:8:2]", "range_max"]),
        of(joints, &["position[name=elbow]", "sin_cos(velocity[name=elbow])", "effort[1 of 2]"]),
        of(
            EVERYTHING,
            &["flag", "small", "fixed", "yaw(orientation)", "large", "position[name=a]", "bounded[1 of 2].y", "last"],
        ),
        of(EVERYTHING, &["last"]),
        of("p/V a\nfloat32 b\np/V[2] c\n", &["a.x", "b", "c[1].z"]),
    ]
}
