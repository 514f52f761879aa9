//! The course of a run as a picture.

use std::path::Path;

use super::log::Line;
use df_data::charts::{self, Chart, ChartError, Panel};

/// Panels beside each other.
const COLUMNS: usize = 2;

/// Draws loss, error per noise band, gradient, and what plans are worth, over the steps.
///
/// # Errors
/// The file cannot be written.
pub fn draw(lines: &[&Line], path: &Path) -> Result<(), ChartError> {
    let panel = |title: &str, y_label: &str, log_y, curves: Vec<charts::Line>| {
        Chart::Panel(Panel {
            title: title.into(),
            x_label: "optimizer steps".into(),
            y_label: y_label.into(),
            log_y,
            lines: curves,
        })
    };
    let curve = |name: &str, of: &dyn Fn(&Line) -> Option<f64>| charts::Line {
        name: name.into(),
        points: lines.iter().filter_map(|line| Some((line.step as f64, of(line)?))).collect(),
    };
    let loss = vec![
        curve("training, smoothed", &|line| line.training.as_ref().map(|t| t.smoothed_loss)),
        curve("validation", &|line| line.validation.as_ref().map(|v| v.loss)),
    ];
    let bands = lines.iter().find_map(|line| line.validation.as_ref()).map_or(&[][..], |v| &v.bands);
    let bands = bands.iter().enumerate().map(|(i, band)| {
        curve(&format!("{:.1} to {:.1}", band.from, band.to), &|line| line.validation.as_ref()?.bands.get(i)?.error)
    });
    let gradient = vec![curve("before it was shortened", &|line| line.training.as_ref().map(|t| t.gradient_norm))];
    let error = |plans: &super::PlanMetrics| {
        let of = &plans.first_action;
        of.iter().map(|action| action.error / action.std).sum::<f64>() / of.len().max(1) as f64
    };
    let plans = vec![
        curve("first action's error, deviations", &|line| plans_of(line).map(error)),
        curve("share of what came within the futures", &|line| plans_of(line).map(|plans| plans.coverage)),
    ];
    let panels = [
        panel("Loss", "weighted squared error", true, loss),
        panel("Validation by noise level", "mean squared error", true, bands.collect()),
        panel("Norm of the gradient", "norm", true, gradient),
        panel("PlanMetrics for recorded pasts", "", false, plans),
    ];
    charts::draw(&panels, COLUMNS, path)
}

fn plans_of(line: &Line) -> Option<&super::PlanMetrics> {
    line.validation.as_ref()?.plans.as_ref()
}
