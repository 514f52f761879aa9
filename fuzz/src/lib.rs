//! What the fuzz targets share: a folder for the bytes, the contract that they are read by, and the files around them.

#[path = "../../tests/recordings/mod.rs"]
pub mod recordings;

use std::cell::LazyCell;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use df_data::{open_source, read_episodes};
use df_message::{Definitions, Extractor, SchemaDefinitions};
use df_core::bind;
use df_training::model::{Checkpoint, CheckpointError, NetworkConfig, Provenance};
use df_core::Normaliser;
use recordings::{COLUMNS, Contract, HEADER, POINT_MAZE};

/// More memory than an intact recording takes, bytes.
const MEMORY_MAX: usize = 256 << 20;
/// What asks for more ends the process, which is what the fuzzer looks for. What zstd and sqlite take for themselves is not
/// counted here: `-rss_limit_mb` is for that.
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// Sets the limit: [`MEMORY_MAX`] above what is taken now, at the start of an input.
///
/// # Panics
/// Never: the limit is above what is taken.
pub fn limit_memory() {
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + MEMORY_MAX).expect("above what is taken");
}

/// Episodes and rows of the datasets around the bytes.
const EPISODES: usize = 4;
const ROWS: usize = 8;
/// The files of a checkpoint.
pub const CHECKPOINT_FILES: [&str; 3] = ["checkpoint.json", "contract.yaml", "weights.bpk"];
/// Separates the parts of an input that has several.
pub const PART: &str = "\n---\n";

/// A folder in memory, and how recordings in it are read.
pub struct Scratch {
    folder: tempfile::TempDir,
    contract: Contract,
}

impl Scratch {
    /// # Panics
    /// Where there is no room for a folder.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { folder: folder.expect("a folder"), contract: Contract::new(&[COLUMNS]) }
    }

    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// # Panics
    /// Where the file cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.at(name), bytes).expect("a file");
        self.at(name)
    }

    /// Reads a recording as training does: to the end or to an error. Whatever frames come of it are numbers.
    ///
    /// # Panics
    /// On a value that is not finite.
    pub fn read(&self, path: &Path) {
        let Ok(source) = open_source(path) else { return };
        let Contract { config, bound, layout } = &self.contract;
        let _ = bind(config, &source.message_definitions());
        if let Ok((episodes, _)) = read_episodes(&*source, config, bound, layout) {
            let values = episodes.iter().flat_map(|episode| &episode.frames).flat_map(|frame| &frame.values);
            assert!(values.clone().all(|value| value.is_finite()), "a value that is not finite");
        }
    }

    /// A LeRobot dataset.
    pub fn dataset(&self) -> PathBuf {
        let episodes: Vec<_> = (0..EPISODES).map(|i| recordings::rows(ROWS, i as f32)).collect();
        recordings::lerobot::write_dataset(&self.at("dataset"), "v3.0", &episodes);
        self.at("dataset")
    }

    /// A checkpoint with a network of the least size.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn checkpoint(&self) -> PathBuf {
        let Contract { config, layout, .. } = &self.contract;
        let channels = layout.frame_channels();
        let slots = layout.modalities.len() * layout.frame_stack;
        let sizes = NetworkConfig::new(2, 1, 1, layout.token_channels(), slots, 2);
        let checkpoint = Checkpoint {
            network: sizes.init(&Device::flex()).into(),
            sizes,
            model: config.model.clone(),
            layout: layout.clone(),
            normaliser: Normaliser::new(vec![0.0; channels], vec![1.0; channels]),
            contract: config.contract.clone(),
            configuration: POINT_MAZE.into(),
            provenance: Provenance::default(),
        };
        checkpoint.save(&self.at("checkpoint"), |_| Ok::<_, CheckpointError>(())).expect("a checkpoint");
        self.at("checkpoint")
    }
}

/// Reads a LeRobot dataset in which the bytes stand in place of one of its files.
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

/// A message type with everything that fields may name, and with everything that they may not.
const EVERYTHING: &str = "std_msgs/Header header\nbool flag\nint8 small\nuint8[] bytes\np/V[<=3] bounded\nstring<=5 short\n\
    string[] name\nfloat64[] position\nfloat32[4] fixed\nQ orientation\nint64 large\nwstring wide\nstring[2] two\nE[] empty\n\
    uint16 LIMIT=7\nfloat32 last 1.5\n===\nMSG: p/Q\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n===\nMSG: p/E\n";

/// Types and fields as contracts name them. The bytes say by their first which of them decodes the rest.
///
/// # Panics
/// On a field that its type lacks.
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
