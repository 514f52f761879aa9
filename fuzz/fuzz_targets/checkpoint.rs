//! A checkpoint with one file replaced: `checkpoint.json`, `contract.yaml` or the weights. The first byte chooses. Both
//! readers of weights read it: df_engine and Burn.
#![no_main]

use std::cell::LazyCell;

use df_engine::CheckpointDescription;
use df_planner_fuzz::{CHECKPOINT_FILES, Scratch, limit_memory};
use df_training::{Checkpoint, Device};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SCRATCH: LazyCell<(Scratch, [Vec<u8>; 3])> = LazyCell::new(|| {
        let scratch = Scratch::new();
        let folder = scratch.checkpoint();
        let whole = CHECKPOINT_FILES.map(|name| std::fs::read(folder.join(name)).expect("a file"));
        (scratch, whole)
    });
}

fuzz_target!(|data: &[u8]| {
    limit_memory();
    let Some((which, bytes)) = data.split_first() else { return };
    let which = usize::from(which % 3);
    SCRATCH.with(|shared| {
        let (scratch, whole) = &**shared;
        scratch.write(&format!("checkpoint/{}", CHECKPOINT_FILES[which]), bytes);
        let folder = scratch.at("checkpoint");
        if let Ok(description) = CheckpointDescription::load(&folder) {
            let _ = description.cpu_denoiser(&folder);
        }
        let _ = Checkpoint::load(&folder, &Device::flex());
        scratch.write(&format!("checkpoint/{}", CHECKPOINT_FILES[which]), &whole[which]);
    });
});
