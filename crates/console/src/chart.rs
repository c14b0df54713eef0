//! Charts as SVG, made on the server. Each stands beside a table with the same numbers.
//!
//! Lines differ by colour and by dashes, parts of a bar by colour and by pattern. No attribute of style: the
//! style sheet has the colours, for light and dark.

use std::fmt::Write;

/// Width and height of a line chart, in its own units.
const LINE: (f64, f64) = (720.0, 220.0);

/// What the numbers of the axis and the labels below take.
const MARGIN: (f64, f64, f64, f64) = (10.0, 10.0, 26.0, 52.0);

/// Most labels below a line chart.
const LABELS_MAX: usize = 8;

/// A line: the class that colours it, and its values.
pub(crate) struct Line {
    pub(crate) class: &'static str,
    pub(crate) values: Vec<u64>,
}

/// Lines over labels. `number` writes the numbers of the axis.
pub(crate) fn lines(
    labels: &[String],
    lines: &[Line],
    title: &str,
    number: impl Fn(u64) -> String,
) -> String {
    let (width, height) = LINE;
    let (top, right, bottom, left) = MARGIN;
    let most = lines.iter().flat_map(|line| &line.values).copied().max().unwrap_or(0);
    let top_value = rounded_up(most);
    let steps = labels.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| left + (width - left - right) * at as f64 / steps;
    let y = |value: u64| {
        height - bottom - (height - top - bottom) * value as f64 / top_value.max(1) as f64
    };
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
        escaped(title)
    );
    for part in 0..=2 {
        let value = top_value * part / 2;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            width - right,
            y(value),
            y(value),
            left - 8.0,
            y(value) + 4.0,
            escaped(&number(value)),
        );
    }
    let every = labels.len().div_ceil(LABELS_MAX).max(1);
    for (at, label) in labels.iter().enumerate().step_by(every) {
        let anchor = match at {
            0 => "start",
            at if at + 1 == labels.len() => "end",
            _ => "middle",
        };
        let _ = write!(
            svg,
            "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            x(at),
            height - 6.0,
            escaped(label),
        );
    }
    for Line { class, values } in lines {
        let points = values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value)));
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = write!(svg, "<polyline class=\"line {class}\" points=\"{points}\"/>");
        if let Some((at, value)) = values.iter().enumerate().next_back() {
            let _ = write!(
                svg,
                "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
                x(at),
                y(*value)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// One bar of parts, each with the class that colours it.
pub(crate) fn stacked(parts: &[(&'static str, u64)], title: &str) -> String {
    let total: u64 = parts.iter().map(|(_, value)| value).sum();
    let mut svg = format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\
         <rect class=\"bar-empty\" width=\"100\" height=\"8\"/>",
        escaped(title)
    );
    let mut x = 0.0;
    for (class, value) in parts.iter().filter(|(_, value)| *value > 0) {
        let width = 100.0 * *value as f64 / total.max(1) as f64;
        let _ = write!(
            svg,
            "<rect class=\"part {class}\" x=\"{x:.2}\" width=\"{width:.2}\" height=\"8\"/>"
        );
        x += width;
    }
    svg.push_str("</svg>");
    svg
}

/// The next even number of which the half is easy to read: 2, 4, 10, 20, 40, 100 and so on.
fn rounded_up(value: u64) -> u64 {
    let mut size = 1_u64;
    loop {
        for step in [2, 4, 6, 8, 10] {
            let top = size.saturating_mul(step);
            if top >= value {
                return top;
            }
        }
        size = size.saturating_mul(10);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tops() {
        let cases = [(0, 2), (2, 2), (3, 4), (10, 10), (11, 20), (41, 60), (999, 1_000), (1_001, 2_000)];
        for (value, want) in cases {
            assert_eq!(rounded_up(value), want, "{value}");
        }
        assert_eq!(rounded_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn nothing_to_draw() {
        let empty = lines(&[], &[], "a \"<b>\"", |it| it.to_string());
        assert!(empty.contains("a &quot;&lt;b&gt;&quot;") && !empty.contains("NaN"), "{empty}");
        assert!(!stacked(&[("issued", 0)], "x").contains("part"));
    }
}
