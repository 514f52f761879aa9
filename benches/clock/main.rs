//! Times denoising steps and plans beside PyTorch: the same network, weights, inputs, scheduling matrix, number of
//! evaluations and threads, in turn over several rounds of one run. The outputs of both sides are compared.
//!
//! `DF_PYTHON=venv/bin/python cargo bench --no-default-features --features training,formats --bench clock`
//!
//! `--features training,formats,tch` adds the device `tch`. `DF_MODEL=models/...` chooses the checkpoint,
//! `DF_THREADS=1` the number of threads. Python needs torch, numpy and safetensors; without them the other side is left
//! out.

mod problem;
mod roofline;
mod sides;

use std::collections::BTreeMap;

use anyhow::Result;
use problem::Problem;
use roofline::Machine;
use sides::{Measured, ours, python};

const ROUNDS: usize = 5;
/// Maximum difference of outputs, relative to the largest value.
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

    let median = |of_case: &BTreeMap<String, Vec<f64>>, side: &str| {
        let mut all = of_case[side].clone();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!("\n| what | {} |\n|---|{}", sides.join(" | "), "---|".repeat(sides.len()));
    for ((_, case), of_case) in &times {
        let theirs = of_case.get("pytorch").map(|_| median(of_case, "pytorch"));
        let cell = |side: &String| match theirs {
            Some(theirs) if side != "pytorch" => {
                let ours = median(of_case, side);
                format!("{ours:.3} ({:.1}x)", theirs / ours)
            }
            _ => format!("{:.3}", median(of_case, side)),
        };
        println!("| {case} | {} |", sides.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    println!("\nIn brackets: how many times as fast as PyTorch.");

    let machine = Machine::measured();
    let (giga_flop, giga_byte) = (machine.flop_per_s * 1e-9, machine.bytes_per_s * 1e-9);
    println!("\nPeaks, measured on {threads} threads: {giga_flop:.0} GFLOP/s, {giga_byte:.1} GB/s read from memory");
    println!("\n| step | MFLOP | MB | FLOP a byte | roof, GFLOP/s | {} |", sides.join(" | "));
    println!("|---|---|---|---|---|{}", "---|".repeat(sides.len()));
    for ((_, case), of_case) in &times {
        let Some(cost) = problem.cost(case) else { continue };
        let roof = cost.roof(&machine);
        let cell = |side: &String| {
            let reached = cost.flop / (1e-3 * median(of_case, side));
            format!("{:.0} ({:.0} %)", reached * 1e-9, 100.0 * reached / roof)
        };
        let (mega_flop, mega_byte, intensity) = (cost.flop * 1e-6, cost.bytes * 1e-6, cost.flop / cost.bytes);
        let cells = sides.iter().map(cell).collect::<Vec<_>>().join(" | ");
        println!("| {case} | {mega_flop:.1} | {mega_byte:.2} | {intensity:.0} | {:.0} | {cells} |", roof * 1e-9);
    }
    println!("\nReached, GFLOP/s, and as a share of the roof.");
    compare(&first)
}

/// Compares the outputs of all sides with those of `cpu`.
fn compare(measured: &BTreeMap<String, Measured>) -> Result<()> {
    let reference = &measured["cpu"];
    let mut too_far = Vec::new();
    for (side, measured) in measured {
        let mut largest = 0.0f32;
        for (case, expected) in &reference.outputs {
            let got = &measured.outputs[case];
            let size = expected.iter().fold(0.0f32, |size, v| size.max(v.abs()));
            let apart = expected.iter().zip(got).fold(0.0f32, |apart, (a, b)| apart.max((a - b).abs())) / size;
            anyhow::ensure!(expected.len() == got.len(), "{side}, {case}: {} values, {}", got.len(), expected.len());
            if apart.is_nan() || apart > TOLERANCE {
                too_far.push(format!("{side}, {case}: {apart:.1e}"));
            }
            largest = largest.max(apart);
        }
        println!("{side}: outputs lie at most {largest:.1e} of the largest value from those of cpu");
    }
    anyhow::ensure!(too_far.is_empty(), "farther apart than {TOLERANCE:e}: {}", too_far.join("; "));
    Ok(())
}
