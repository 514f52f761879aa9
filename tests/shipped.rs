//! What is shipped fits together: every configuration with its model, its costs and the maps that these name.

mod recordings;

use std::path::Path;

use df_planner::config::Config;
use df_planner::message::bind;
use df_planner::planning::Planner;
use df_planner::signal::Layout;

#[test]
fn every_configuration_plans_with_its_model() {
    let mut planned = 0;
    for entry in std::fs::read_dir("config").unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = file.file_stem().unwrap().to_str().unwrap().trim_end_matches("_mapped");
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let bound = bind(&config, &recordings::definitions()).unwrap();
        let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config));
        let planner = Planner::load(&Path::new("models").join(name), &config, &layout, "cpu");
        assert!(planner.is_ok(), "{}: {}", file.display(), planner.err().unwrap());
        planned += 1;
    }
    assert_eq!(planned, 5);
}
