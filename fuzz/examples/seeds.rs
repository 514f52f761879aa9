//! Writes the first inputs of every fuzz target: small recordings of each format, made by the code of the tests.
//!
//! `cargo run --example seeds -- work`, in this folder. Seeds are named by their content; inputs of the fuzzer by their
//! digest.

use std::path::{Path, PathBuf};

use df_planner_fuzz::recordings::hdf5::write_d4rl;
use df_planner_fuzz::recordings::sqlite::write_sqlite;
use df_planner_fuzz::recordings::{HEADER, POINT_MAZE, drive, odometry, rows, wrench, write};
use df_planner_fuzz::{CHECKPOINT_FILES, PART, Scratch};

/// Messages of a seed. In a small seed more changes hit the structure.
const MESSAGES: i64 = 3;

struct Corpus(PathBuf);

impl Corpus {
    fn add(&self, target: &str, name: &str, bytes: &[u8]) {
        let folder = self.0.join(target);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("seed_{name}")), bytes).expect("a seed");
    }
}

fn main() {
    let corpus = Corpus(std::env::args().nth(1).expect("the folder of the corpora").into());
    let scratch = Scratch::new();
    messages(&corpus);
    bags(&corpus, &scratch);
    datasets(&corpus, &scratch);
    for (number, name) in CHECKPOINT_FILES.iter().enumerate() {
        let bytes = std::fs::read(scratch.checkpoint().join(name)).expect("a checkpoint");
        corpus.add("checkpoint", name, &[vec![number as u8], bytes].concat());
    }
    corpus.add("config", "point_maze", POINT_MAZE.as_bytes());
    let map = "image: map.pgm\nresolution: 0.05\norigin: [-1.0, -2.0, 0.0]\nnegate: 0\noccupied_thresh: 0.65\nfree_thresh: 0.25\n";
    for (name, image) in [
        ("plain", &b"P2 # a\n3 2\n255\n0 127 255\n9 8 7\n"[..]),
        ("raw", b"P5\n2 1\n255\n\n\x07"),
        ("wide", b"P5 2 1 65535 \x01\x02\xff\xff"),
    ] {
        corpus.add("map", name, &[map.as_bytes(), PART.as_bytes(), image].concat());
    }
}

/// A little-endian message: each part is its alignment and its bytes.
fn message(parts: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (alignment, bytes) in parts {
        body.resize(body.len().next_multiple_of(*alignment), 0);
        body.extend(bytes);
    }
    [vec![0, 1, 0, 0], body].concat()
}

fn text(text: &str) -> (usize, Vec<u8>) {
    (4, [&(text.len() as u32 + 1).to_le_bytes(), text.as_bytes(), &[0]].concat())
}

fn number(number: u32) -> (usize, Vec<u8>) {
    (4, number.to_le_bytes().into())
}

fn singles(values: &[f32]) -> (usize, Vec<u8>) {
    (4, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn doubles(values: &[f64]) -> (usize, Vec<u8>) {
    (8, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn messages(corpus: &Corpus) {
    let types = [
        (
            "odometry",
            "std_msgs/Header header\np/V position\nfloat64[36] covariance\n",
            "header.stamp.sec\nposition.x\ncovariance[0:36:7]",
        ),
        (
            "joints",
            "std_msgs/Header header\nstring[] name\nfloat64[] position\n",
            "position[name=elbow]\nsin_cos(position[1 of 2])",
        ),
        (
            "odd",
            "string<=5 short\nwstring wide\np/V[<=3] few\nQ[2] q\nuint8 LIMIT=7 # most\nint32 k 5\nstring s \"a\"\nbool[] flags\n===\n\
             MSG: p/Q\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n",
            "yaw(q[1])\nfew[0 of 1].x\nk\nflags[0]",
        ),
    ];
    for (name, definition, fields) in types {
        corpus.add("message", name, format!("{definition}{HEADER}{PART}{fields}").as_bytes());
    }
    let header = [number(1), number(2), text("map")];
    let join = |parts: &[(usize, Vec<u8>)]| message(&[&header[..], parts].concat());
    let laser = join(&[singles(&[0.5; 7]), number(8), singles(&[2.0; 8]), number(0)]);
    let joints = join(&[
        number(2),
        text("base"),
        text("elbow"),
        number(2),
        doubles(&[0.1, 0.2]),
        number(2),
        doubles(&[0.3, 0.4]),
        number(2),
        doubles(&[0.5, 0.6]),
    ]);
    let everything = join(&[
        (1, vec![1, 0xff]),
        number(3),
        (1, vec![7, 8, 9]),
        number(2),
        doubles(&[0.5; 6]),
        text("abc"),
        number(1),
        text("a"),
        number(1),
        doubles(&[4.0]),
        singles(&[1.0, 2.0, 3.0, 4.0]),
        doubles(&[0.0, 0.0, 0.6, 0.8]),
        (8, 5i64.to_le_bytes().into()),
        number(2),
        (2, vec![b'h', 0, b'i', 0]),
        text("x"),
        text("y"),
        number(0),
        singles(&[9.0]),
    ]);
    let fixed = message(&[doubles(&[1.0; 3]), singles(&[2.0]), doubles(&[3.0; 6])]);
    let transform =
        message(&[&[number(1)][..], &header, &[text("base"), doubles(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])]].concat());
    let all = [
        ("laser", 0, laser),
        ("joints", 1, joints),
        ("all", 2, everything.clone()),
        ("skip", 3, everything),
        ("fixed", 4, fixed),
    ];
    for (name, which, bytes) in all.into_iter().chain([("transforms", 5, transform)]) {
        corpus.add("cdr", name, &[vec![which], bytes].concat());
    }
}

fn bags(corpus: &Corpus, scratch: &Scratch) {
    let drive = drive(MESSAGES);
    write(&scratch.at("whole"), &drive);
    let mcap = std::fs::read(scratch.at("whole/whole_0.mcap")).expect("a bag");
    corpus.add("mcap", "zstd", &mcap);
    // Without checksums and packing, so that changes reach the records.
    let plain = || mcap::WriteOptions::new().compression(None).calculate_chunk_crcs(false);
    for (name, options) in [
        ("chunk", plain()),
        ("records", plain().use_chunks(false)),
        ("no_summary", plain().use_chunks(false).emit_summary_records(false)),
        ("lz4", plain().compression(Some(mcap::Compression::Lz4))),
        ("zstd_unchecked", plain().compression(Some(mcap::Compression::Zstd))),
    ] {
        corpus.add("mcap", name, &write_mcap(options));
    }
    for (name, definitions, packed) in [("iron", true, false), ("foxy", false, false), ("messages", true, true)] {
        let path = scratch.at(&format!("{name}.db3"));
        write_sqlite(&path, &drive, definitions, packed);
        // Small pages: in a small seed more changes hit the structure.
        let connection = rusqlite::Connection::open(&path).expect("a bag");
        connection.execute_batch("PRAGMA page_size = 512; VACUUM").expect("small pages");
        corpus.add("sqlite", name, &std::fs::read(&path).expect("a bag"));
    }
    let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).expect("zstd packs");
    let sqlite = std::fs::read(scratch.at("foxy.db3")).expect("a bag");
    for (name, which, bytes) in
        [("mcap", 0, mcap), ("sqlite", 1, sqlite), ("message", 2, odometry(1, 0.5)), ("command", 2, wrench(1, 0.5))]
    {
        corpus.add("zstd", name, &[vec![which], pack(&bytes)].concat());
    }
    corpus.add("metadata", "own", &std::fs::read(scratch.at("whole/metadata.yaml")).expect("metadata"));
    for (name, text) in [
        (
            "list",
            "rosbag2_bagfile_information:\n  relative_file_paths:\n    - bag_0.mcap\n    - 'a 1.mcap'\n  duration:\n",
        ),
        ("brackets", "relative_file_paths: [bag_0.mcap, \"b.db3\"]\n"),
        ("folders", "relative_file_paths:\n  - ../../bag/bag_0.mcap\n"),
    ] {
        corpus.add("metadata", name, text.as_bytes());
    }
}

fn write_mcap(options: mcap::WriteOptions) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = options.create(&mut file).expect("a writer");
    let schema = writer.add_schema("nav_msgs/msg/Odometry", "ros2msg", b"float64 x\n").expect("a schema");
    let channel = writer.add_channel(schema, "/odom", "cdr", &Default::default()).expect("a channel");
    for k in 0..MESSAGES as u64 {
        let header =
            mcap::records::MessageHeader { channel_id: channel, sequence: k as u32, log_time: k, publish_time: k };
        writer.write_to_known_channel(&header, &odometry(k as i64, 0.5)).expect("a message");
    }
    writer.finish().expect("a file");
    drop(writer);
    file.into_inner()
}

fn datasets(corpus: &Corpus, scratch: &Scratch) {
    let dataset = scratch.dataset();
    let read = |path: &Path| std::fs::read(path).expect("a file");
    corpus.add("lerobot_info", "v3", &read(&dataset.join("meta/info.json")));
    corpus.add("lerobot_parquet", "v3", &read(&dataset.join("data/chunk-000/file-000.parquet")));
    for (name, chunk) in [("plain", None), ("chunks", Some(3))] {
        let path = scratch.at("data.hdf5");
        write_d4rl(&path, &[rows(4, 0.0), rows(5, 1.0)], chunk);
        corpus.add("hdf5", name, &read(&path));
    }
    // Files by h5py and pyarrow, written by tests/foreign_datasets.py: `seeds CORPUS FOLDER`.
    let Some(foreign) = std::env::args().nth(2).map(PathBuf::from) else { return };
    corpus.add("hdf5", "h5py", &read(&foreign.join("d4rl.hdf5")));
}
