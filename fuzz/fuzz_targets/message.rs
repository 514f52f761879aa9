//! A message definition, and below `---` a field expression a line.
#![no_main]

use df_message::{Definitions, Encoder, Extractor, SchemaDefinitions};
use df_planner_fuzz::{PART, limit_memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    limit_memory();
    let text = String::from_utf8_lossy(data);
    let (definition, fields) = text.split_once(PART).unwrap_or((&text, "x"));
    let definitions = SchemaDefinitions::new([("p/msg/T", definition)]);
    let Ok(schema) = definitions.schema("p/msg/T") else { return };
    let fields: Vec<String> = fields.lines().map(String::from).collect();
    let _ = Encoder::new(&schema, &fields);
    if let Ok(extractor) = Extractor::new(&schema, &fields) {
        assert!(extractor.labels().len() >= fields.len());
    }
    // The text that goes into a new recording must be read as the same type.
    let text = definitions.text("p/msg/T").expect("the text of a type that was read");
    let again = SchemaDefinitions::new([("p/msg/T", text)]).schema("p/msg/T").expect("its own text");
    assert_eq!(format!("{again:?}"), format!("{schema:?}"));
});
