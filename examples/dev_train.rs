//! dev only
use df_planner::{
    config::Config,
    data::Episode,
    model::device,
    signal::{Aligner, Layout},
    sim::*,
    training,
};
use std::sync::atomic::AtomicBool;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut config = Config::load(std::path::Path::new(&a[1])).unwrap();
    if let Some(s) = a.get(4) {
        config.training.steps = s.parse().unwrap();
    }
    let minutes: u64 = 120;
    let l = |v: &[&str]| v.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    let layout = Layout::new(
        config.contract.frame_stack,
        [
            ("action".to_string(), l(&["wrench.force.x", "wrench.force.y"])),
            ("position".into(), l(&["pose.pose.position.x", "pose.pose.position.y"])),
            ("velocity".into(), l(&["twist.twist.linear.x", "twist.twist.linear.y"])),
        ],
    );
    let p = config.contract.period_ns();
    let episodes: Vec<Episode> = (0..minutes)
        .map(|seed| {
            let mut al = Aligner::new(&config.contract, &layout);
            let mut e = Episode { start_ns: p, frames: vec![] };
            let mut next = 10_000_000_000 + p;
            for (i, s) in Demonstration::new(Maze::demo(), seed).take(6000).enumerate() {
                let t = 10_000_000_000 + i as i64 * 10_000_000;
                while next < t {
                    e.frames.push(al.frame_at(next));
                    next += p;
                }
                al.observe(0, t, &[s.state.position.x, s.state.position.y]);
                al.observe(1, t, &[s.state.velocity.x, s.state.velocity.y]);
                al.command(t, &[s.force.x, s.force.y]);
            }
            e
        })
        .collect();
    let stop = AtomicBool::new(false);
    let dev = device(&a[3]).unwrap();
    let t = std::time::Instant::now();
    let s = training::train(
        &config,
        &layout,
        episodes,
        vec!["dev".into()],
        (&a[3], &dev),
        std::path::Path::new(&a[2]),
        &stop,
        &mut |e| match e {
            training::Event::Step { step, loss, windows_per_s } => {
                if step % 50 == 0 {
                    println!("{step} {loss:.4} {windows_per_s:.0}/s {:.0}s", t.elapsed().as_secs_f64())
                }
            }
            e => println!("{e:?}"),
        },
    )
    .unwrap();
    println!("{s:?}");
}
