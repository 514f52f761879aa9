//! Serialized messages, decoded along compiled field paths. The first byte chooses the type.
#![no_main]

use std::cell::LazyCell;

use df_message::{Extractor, transforms};
use df_planner_fuzz::{extractors, limit_memory};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static EXTRACTORS: LazyCell<Vec<Extractor>> = LazyCell::new(extractors);
}

fuzz_target!(|data: &[u8]| {
    limit_memory();
    let Some((&which, bytes)) = data.split_first() else { return };
    EXTRACTORS.with(|extractors| match extractors.get(usize::from(which)) {
        Some(extractor) => {
            if let Ok(sample) = extractor.extract(bytes) {
                assert_eq!(sample.values.len(), extractor.labels().len());
                assert!(sample.values.iter().all(|value| (*value as f32).is_finite()));
            }
        }
        None => drop(transforms(bytes)),
    });
});
