//! Decodes fields of a bag: prints the time and the values of every message of one topic.
//!
//! `cargo run --release --no-default-features --features formats --example decode_bag -- BAG TOPIC FIELD...`
//! for example with `/odom pose.pose.position.x 'yaw(pose.pose.orientation)'`.
//! Without arguments it writes a small bag and decodes that.

use std::path::Path;

use df_data::{BagError, BagWriter, open_bag};
use df_message::{AmentDefinitions, Definitions, Encoder, Extractor, FirstKnown, SchemaDefinitions};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let directory = tempfile::tempdir()?;
            let bag = directory.path().join("demo");
            write_demo(&bag)?;
            print_fields(&bag, "/pose", &["position.x".into(), "sin_cos(heading)".into()])
        }
        [bag, topic, fields @ ..] if !fields.is_empty() => print_fields(Path::new(bag), topic, fields),
        _ => Err("usage: decode_bag BAG TOPIC FIELD...".into()),
    }
}

/// Prints one line per message: the time in seconds, then the value of every channel of the fields.
fn print_fields(path: &Path, topic: &str, fields: &[String]) -> Outcome<()> {
    let bag = open_bag(path)?;
    let names: Vec<&str> = bag.topics().iter().map(|topic| topic.name.as_str()).collect();
    let found = bag.topics().iter().find(|found| found.name == topic);
    let found = found.ok_or_else(|| format!("the bag has no topic `{topic}`; it has {names:?}"))?;

    // The bag's own definitions come first. Old bags have none: then those of the sourced ROS installation count.
    let (recorded, installed) = (bag.definitions(), AmentDefinitions::from_env());
    let schema = FirstKnown(vec![&recorded, &installed]).schema(&found.message_type)?;
    let extractor = Extractor::new(&schema, fields)?;

    println!("time_s {}", extractor.labels().join(" "));
    let read = bag.read(&[topic], &mut |message| match extractor.extract(&message.bytes) {
        Ok(sample) => {
            // The header's stamp where the type has one, else when the message was recorded.
            let time_s = sample.stamp_ns.unwrap_or(message.log_ns) as f64 / 1e9;
            let values: Vec<String> = sample.values.iter().map(|value| format!("{value:.4}")).collect();
            println!("{time_s:.3} {}", values.join(" "));
        }
        Err(error) => eprintln!("a message is skipped: {error}"),
    });
    match read {
        // The recorder was killed: all complete messages have been printed.
        Err(error @ BagError::Unfinished { .. }) => eprintln!("{error}"),
        other => other?,
    }
    Ok(())
}

/// Writes a bag of ten poses, 0.1 s apart.
fn write_demo(path: &Path) -> Outcome<()> {
    let text = "Point position\nfloat64 heading\n===\nMSG: my_msgs/Point\nfloat64 x\nfloat64 y\n";
    let definitions = SchemaDefinitions::new([("my_msgs/msg/Pose", text)]);
    let fields = ["position.x".to_string(), "position.y".into(), "heading".into()];
    let encoder = Encoder::new(&definitions.schema("my_msgs/msg/Pose")?, &fields)?;
    let mut writer = BagWriter::create(path)?;
    let pose = writer.topic("/pose", "my_msgs/msg/Pose", text)?;
    for k in 0..10 {
        let heading = 0.1 * f64::from(k);
        let bytes = encoder.encode(0, "", &[heading.cos(), heading.sin(), heading])?;
        writer.write(pose, 1_700_000_000_000_000_000 + i64::from(k) * 100_000_000, &bytes)?;
    }
    Ok(writer.finish()?)
}
