//! dev only: closed loop in process
use df_planner::{config::Config, planning::*, signal::Layout, sim::*};
use nalgebra::Vector2;
use rand::{RngExt, SeedableRng};
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let config = Config::load(std::path::Path::new(&a[1])).unwrap();
    let seeds: u64 = a.get(4).map_or(10, |s| s.parse().unwrap());
    let l = |v: &[&str]| v.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    let layout = Layout::new(
        config.contract.frame_stack,
        [
            ("action".to_string(), l(&["wrench.force.x", "wrench.force.y"])),
            ("position".into(), l(&["pose.pose.position.x", "pose.pose.position.y"])),
            ("velocity".into(), l(&["twist.twist.linear.x", "twist.twist.linear.y"])),
        ],
    );
    let mut planner = Planner::load(std::path::Path::new(&a[2]), &config, &layout, &a[3]).unwrap();
    let p = config.contract.period_ns();
    let (mut ok, mut lat) = (0, vec![]);
    for seed in 0..seeds {
        planner.reset();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let maze = Maze::demo();
        let cells = maze.free_cells();
        let (s, g) = loop {
            let s = cells[rng.random_range(0..cells.len())];
            let g = cells[rng.random_range(0..cells.len())];
            if maze.distance(s, g).unwrap() >= 5 {
                break (s, g);
            }
        };
        let d = maze.distance(s, g).unwrap();
        let goal = g.centre();
        let mut world = World::new(maze, s.centre());
        let mut control = ControlLoop::new(&config, &layout);
        control.set_goal(&[goal.x, goal.y]);
        let mut force = Vector2::zeros();
        let (mut reached, mut inside) = (None, 0);
        let mut path = vec![];
        for i in 0..3000i64 {
            let t = 1_000_000_000 + i * 10_000_000;
            let st = world.state();
            control.observe(0, t, &[st.position.x, st.position.y]);
            control.observe(1, t, &[st.velocity.x, st.velocity.y]);
            if i * 10_000_000 % p == 0 {
                let tick = control.tick(t);
                force = Vector2::new(tick.command.values[0], tick.command.values[1]);
                if let Some(r) = tick.request {
                    let s = Instant::now();
                    let pl = planner.plan(&r);
                    lat.push(s.elapsed().as_secs_f64() * 1e3);
                    if i % 100 == 0 {
                        if let Ok(pl) = &pl {
                            path.push(format!(
                                "({:.1},{:.1})v{:.1} c{} {:?}",
                                st.position.x,
                                st.position.y,
                                st.velocity.norm(),
                                pl.chosen,
                                pl.candidate_costs.iter().map(|c| (c * 100.0).round() / 100.0).collect::<Vec<_>>()
                            ));
                        }
                    }
                    control.accept(pl);
                }
            }
            world.step(force, Vector2::zeros());
            if (st.position - goal).norm() < 0.3 {
                inside += 1
            } else {
                inside = 0
            }
            if inside >= 100 {
                reached = Some(i);
                break;
            }
        }
        if reached.is_some() {
            ok += 1
        }
        println!(
            "seed {seed} dist {d} goal ({:.1},{:.1}) reached {:?} s",
            goal.x,
            goal.y,
            reached.map(|i| i as f64 * 0.01)
        );
        if std::env::var("V").is_ok() {
            for x in path.iter().take(14) {
                println!("   {x}");
            }
        }
    }
    lat.sort_by(|a, b| a.total_cmp(b));
    println!("{ok}/{seeds} reached; latency p50 {:.1} p99 {:.1} ms", lat[lat.len() / 2], lat[lat.len() * 99 / 100]);
}
