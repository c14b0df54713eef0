//! Pictures of a run, as SVG: waiting time over time, and against the rate.

use std::error::Error;

use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, LineSeries, RGBColor, SVGBackend,
    WHITE,
};

use crate::limit::LimitSearch;
use crate::report::{LatencySummary, LoadReport};

/// Pixels.
const SIZE: (u32, u32) = (900, 420);

/// One line of a picture: its name, its colour, and the percentile that it shows.
type PlotLine = (&'static str, RGBColor, fn(&LatencySummary) -> f64);

/// In this order from bottom to top, so they are distinct without colours, too.
const LINES: [PlotLine; 3] = [
    ("longest", RGBColor(180, 60, 60), |it| it.max),
    ("p99", RGBColor(210, 140, 20), |it| it.p99),
    ("p50", RGBColor(40, 90, 170), |it| it.p50),
];

/// Draws the waiting time over the time of the run.
pub fn over_time(report: &LoadReport, caption: &str) -> Result<String, Box<dyn Error>> {
    let points: Vec<(f64, LatencySummary)> = report
        .intervals
        .iter()
        .filter(|interval| interval.latency.count > 0)
        .map(|interval| (interval.at, interval.latency))
        .collect();
    drawn(&points, caption, "seconds since the begin")
}

/// Draws the waiting time against the rate, of a search for the limit.
pub fn against_rate(limit: &LimitSearch, caption: &str) -> Result<String, Box<dyn Error>> {
    let steps = limit.steps.iter().filter(|step| step.report.latency.count > 0);
    let mut points: Vec<(f64, LatencySummary)> =
        steps.map(|step| (step.rate, step.report.latency)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    drawn(&points, caption, "requests a second that were due")
}

fn drawn(
    points: &[(f64, LatencySummary)],
    caption: &str,
    across: &str,
) -> Result<String, Box<dyn Error>> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err("nothing was measured, so there is nothing to draw".into());
    };
    // A single point would be an empty range.
    let right = last.0.max(first.0 + 1.0);
    let longest = points.iter().map(|(_, it)| it.max).fold(1.0, f64::max);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(caption, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(first.0..right, (0.05..longest * 1.2).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(across)
            .y_desc("milliseconds")
            .light_line_style(WHITE)
            .draw()?;
        for (name, colour, value) in LINES {
            let line = points.iter().map(|(x, it)| (*x, value(it)));
            chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?.label(name).legend(
                move |(x, y)| {
                    plotters::element::PathElement::new(
                        [(x, y), (x + 18, y)],
                        colour.stroke_width(2),
                    )
                },
            );
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
        area.present()?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures() {
        let latency = |p50: f64| LatencySummary {
            count: 1,
            p50,
            p99: 2.0 * p50,
            max: 9.0 * p50,
            ..LatencySummary::default()
        };
        assert!(drawn(&[], "none", "x").is_err());
        for count in [1, 2, 100] {
            let points: Vec<_> = (0..count).map(|at| (f64::from(at), latency(1.0))).collect();
            let svg = drawn(&points, "a caption", "x").expect("a picture");
            assert!(svg.starts_with("<svg"), "{count}");
            for text in ["a caption", "milliseconds", "p99", "longest"] {
                assert!(svg.contains(text), "{count}: {text}");
            }
        }
    }
}
