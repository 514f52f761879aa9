//! A map of map_server: the YAML file, and below `---` the PGM image.
#![no_main]

use std::cell::LazyCell;

use df_core::map::OccupancyGrid;
use df_planner_fuzz::{PART, Scratch, limit_memory};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SCRATCH: LazyCell<Scratch> = LazyCell::new(Scratch::new);
}

fuzz_target!(|data: &[u8]| {
    limit_memory();
    let border = data.windows(PART.len()).position(|window| window == PART.as_bytes());
    let (yaml, image) = border.map_or((data, &[][..]), |at| (&data[..at], &data[at + PART.len()..]));
    SCRATCH.with(|scratch| {
        scratch.write("map.pgm", image);
        if let Ok(map) = OccupancyGrid::load(&scratch.write("map.yaml", yaml)) {
            assert_eq!(map.cells.len(), map.width * map.height);
        }
    });
});
