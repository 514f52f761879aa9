//! The curves of a run as a picture.

use std::path::Path;

use df_data::charts::{self, Chart, ChartError, Panel};

use crate::PlanMetrics;
use crate::log::Line;

/// Panels per row.
const COLUMNS: usize = 2;

/// Draws loss, error per noise band, gradient norm and plan metrics over the steps.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn draw(lines: &[&Line], path: &Path) -> Result<(), ChartError> {
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
    let gradient = vec![curve("before clipping", &|line| line.training.as_ref().map(|t| t.gradient_norm))];
    let error = |plans: &PlanMetrics| {
        let actions = &plans.first_action;
        actions.iter().map(|action| action.error / action.std).sum::<f64>() / actions.len().max(1) as f64
    };
    let plans = vec![
        curve("error of the first action, standard deviations", &|line| plans_of(line).map(error)),
        curve("coverage of the recorded values by the rollouts", &|line| plans_of(line).map(|plans| plans.coverage)),
    ];
    let panels = [
        panel("Loss", "weighted squared error", true, loss),
        panel("Validation by noise level", "mean squared error", true, bands.collect()),
        panel("Gradient norm", "norm", true, gradient),
        panel("Plans from recorded histories", "", false, plans),
    ];
    charts::draw(&panels, COLUMNS, path)
}

fn plans_of(line: &Line) -> Option<&PlanMetrics> {
    line.validation.as_ref()?.plans.as_ref()
}
