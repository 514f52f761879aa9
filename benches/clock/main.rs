//! Our planner's clock beside PyTorch's: the same network, weights, inputs, scheduling matrix and number of evaluations, on as many
//! threads, one after the other in several rounds of one run. What both compute is compared.
//!
//! `DF_PYTHON=venv/bin/python cargo bench --profile dev --no-default-features --bench clock`, with `--features tch` to have `tch` too;
//! `DF_MODEL=models/...` takes another checkpoint, `DF_THREADS=1` another number of threads. Python needs torch, numpy and
//! safetensors; without them our side is timed alone.

mod problem;
mod sides;

use std::collections::BTreeMap;

use anyhow::Result;
use problem::Problem;
use sides::{Measured, ours, python};

const ROUNDS: usize = 5;
/// How far outputs may lie apart, as a share of the largest value.
const TOLERANCE: f32 = 1e-4;

fn main() -> Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(()); // `cargo test` builds benches and runs them without.
    }
    let threads = std::env::var("DF_THREADS").ok().map_or(Ok(2), |n| n.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let folder = tempfile::tempdir()?;
    let problem = Problem::of_environment()?;
    problem.write(folder.path())?;
    println!("{problem}; {threads} threads; {ROUNDS} rounds; medians in milliseconds");

    let mut times: BTreeMap<(usize, String), BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    let mut first: BTreeMap<String, Measured> = BTreeMap::new();
    let mut sides: Vec<String> = ["cpu", "flex"].map(String::from).into();
    if cfg!(feature = "tch") {
        sides.push("tch".into());
    }
    sides.push("pytorch".into());
    for round in 0..ROUNDS {
        for side in sides.clone() {
            let measured = if side == "pytorch" { python(folder.path(), threads) } else { ours(&problem, &side) };
            let measured = match measured {
                Ok(measured) => measured,
                Err(error) if side == "pytorch" && round == 0 => {
                    println!("PyTorch is not timed: {error:#}");
                    sides.pop();
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (number, (case, milliseconds)) in measured.milliseconds.iter().enumerate() {
                let of_case = times.entry((number, case.clone())).or_default();
                of_case.entry(side.clone()).or_default().push(*milliseconds);
            }
            first.entry(side).or_insert(measured);
        }
    }

    println!("\n| what | {} |\n|---|{}", sides.join(" | "), "---|".repeat(sides.len()));
    for ((_, case), of_case) in &times {
        let median = |side: &String| {
            let mut all = of_case[side].clone();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let theirs = of_case.get("pytorch").map(|_| median(&"pytorch".to_string()));
        let cell = |side: &String| match theirs {
            Some(theirs) if side != "pytorch" => format!("{:.3} ({:.1}x)", median(side), theirs / median(side)),
            _ => format!("{:.3}", median(side)),
        };
        println!("| {case} | {} |", sides.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    println!("\nIn brackets: how many times as fast as PyTorch.");
    compare(&first)
}

/// All sides against the first.
fn compare(measured: &BTreeMap<String, Measured>) -> Result<()> {
    let reference = &measured["cpu"];
    for (side, measured) in measured {
        for (case, expected) in &reference.outputs {
            let got = &measured.outputs[case];
            let size = expected.iter().fold(0.0f32, |size, v| size.max(v.abs()));
            let apart = expected.iter().zip(got).fold(0.0f32, |apart, (a, b)| apart.max((a - b).abs()));
            anyhow::ensure!(expected.len() == got.len(), "{side}, {case}: {} values, {}", got.len(), expected.len());
            anyhow::ensure!(apart <= TOLERANCE * size, "{side}, {case}: outputs lie {apart} apart, of {size}");
        }
        println!("{side}: outputs agree with those of cpu within {TOLERANCE:e} of the largest value");
    }
    Ok(())
}
