//! Charts as SVG, made on the server. Each stands beside a table with the same numbers.
//!
//! Lines differ by colour and by dashes, parts of a bar by colour and by pattern. No attribute of style: the
//! style sheet has the colours, for light and dark.

use std::fmt::Write;

/// Width and height of the plot of a line chart, in its own units. The page stretches it to its width; strokes
/// keep their own.
const PLOT: (f64, f64) = (1_000.0, 200.0);

/// Most labels below a line chart; a phone shows every other one.
const LABELS_MAX: usize = 8;

/// Most points that say their values: two months. Each is a stop of the keyboard, and the table has them all.
const POINTS_MAX: usize = 62;

pub(crate) struct ChartSeries {
    pub(crate) class: &'static str,
    pub(crate) values: Vec<u64>,
}

/// What is below the lines and what is said of each of their points. Labels may be more: those of times to come.
pub(crate) struct ChartPoints {
    pub(crate) labels: Vec<String>,
    pub(crate) said: Vec<String>,
    /// How many of them are over: what comes behind is still growing, and is drawn so.
    pub(crate) complete: usize,
}

/// Lines over labels. `number` writes the numbers of the axis. The labels are text of the page, beside the
/// drawing, so that they have the size of text on every screen.
pub(crate) fn lines(
    ChartPoints { labels, said, complete }: &ChartPoints,
    lines: &[ChartSeries],
    title: &str,
    number: impl Fn(u64) -> String,
) -> String {
    let (width, height) = PLOT;
    let most = lines.iter().flat_map(|line| &line.values).copied().max().unwrap_or(0);
    let top = rounded_up(most);
    let axis = [top, top / 2, 0].map(|value| format!("<li>{}</li>", escaped(&number(value))));
    let mut chart = format!(
        "<div class=\"chart\"><ul class=\"axis\" aria-hidden=\"true\">{}</ul>\
         <svg viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        axis.concat(),
        escaped(title)
    );
    for y in [0.0, height / 2.0, height] {
        let _ = write!(chart, "<line class=\"grid\" x2=\"{width}\" y1=\"{y}\" y2=\"{y}\"/>");
    }
    // Each value stands over the middle of its label.
    let x = |at: usize| width * (at as f64 + 0.5) / labels.len().max(1) as f64;
    let y = |value: u64| height - height * value as f64 / top.max(1) as f64;
    for ChartSeries { class, values } in lines {
        let points = values.iter().enumerate();
        let points = points.map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value)));
        let points: Vec<String> = points.collect();
        let over = points.len().min(*complete);
        let _ =
            write!(chart, "<polyline class=\"{class}\" points=\"{}\"/>", points[..over].join(" "));
        if over < points.len() {
            // From the last one that is over.
            let open = points[over.saturating_sub(1)..].join(" ");
            let _ = write!(chart, "<polyline class=\"{class} open\" points=\"{open}\"/>");
        }
        if let Some((at, value)) = values.iter().enumerate().next_back() {
            let (x, y) = (x(at), y(*value));
            let _ = write!(chart, "<path class=\"dot {class}\" d=\"M{x:.1} {y:.1}h0\"/>");
        }
    }
    let (points, labels) = (spoken(said, labels.len()), named(labels));
    let _ = write!(
        chart,
        "</svg>{points}<ul class=\"labels\" aria-hidden=\"true\">{labels}</ul></div>"
    );
    chart
}

/// An item over each point, which says its values while the pointer or the keyboard is there.
fn spoken(said: &[String], labels: usize) -> String {
    if said.len() > POINTS_MAX {
        return String::new();
    }
    let item = |at: usize| match said.get(at) {
        Some(said) => format!("<li tabindex=\"0\"><span>{}</span></li>", escaped(said)),
        None => "<li></li>".to_owned(),
    };
    format!("<ol class=\"points\">{}</ol>", (0..labels).map(item).collect::<String>())
}

/// An item for each label; most of them are empty, so that the others do not touch.
fn named(labels: &[String]) -> String {
    let every = labels.len().div_ceil(LABELS_MAX).max(1);
    let item = |(at, label): (usize, &String)| match (at % every, (at / every) % 2) {
        (0, 0) => format!("<li><span>{}</span></li>", escaped(label)),
        (0, _) => format!("<li class=\"other\"><span>{}</span></li>", escaped(label)),
        _ => "<li></li>".to_owned(),
    };
    labels.iter().enumerate().map(item).collect()
}

/// Most points of a line within a row: more would touch each other.
const SPARK_POINTS_MAX: usize = 31;

/// The course of some values within a row; nothing for a single one, or for none. `said` is what it says to whoever
/// does not see it: empty beside numbers that say so.
pub(crate) fn spark(lines: &[ChartSeries], said: &str) -> String {
    let count = lines.first().map_or(0, |line| line.values.len());
    let every = count.div_ceil(SPARK_POINTS_MAX).max(1);
    let sums =
        |line: &ChartSeries| line.values.chunks(every).map(|some| some.iter().sum()).collect();
    let sums: Vec<Vec<u64>> = lines.iter().map(sums).collect();
    let most = sums.iter().flatten().copied().max().unwrap_or(0);
    let last = count.div_ceil(every).saturating_sub(1);
    // A flat line would say no more than the number.
    if last == 0 || most == 0 {
        return String::new();
    }
    let name = match said {
        "" => "aria-hidden=\"true\"".to_owned(),
        said => format!("role=\"img\" aria-label=\"{}\"", escaped(said)),
    };
    // Whole numbers: a list has a hundred of these lines.
    let mut drawn = format!(
        "<svg class=\"spark\" viewBox=\"0 0 {last} 21\" preserveAspectRatio=\"none\" {name}>"
    );
    for (line, sums) in lines.iter().zip(sums) {
        let y = |value: u64| 20.0 - 18.0 * value as f64 / most as f64;
        let points = sums.iter().enumerate().map(|(at, value)| format!("{at},{:.0}", y(*value)));
        let points: Vec<String> = points.collect();
        let _ =
            write!(drawn, "<polyline class=\"{}\" points=\"{}\"/>", line.class, points.join(" "));
    }
    drawn + "</svg>"
}

/// One bar of parts, each with the class that colours it.
pub(crate) fn stacked(parts: &[(&'static str, u64)], title: &str) -> String {
    let total: u64 = parts.iter().map(|(_, value)| value).sum();
    let (mut drawn, mut x) = (String::new(), 0.0);
    for (class, value) in parts.iter().filter(|(_, value)| *value > 0) {
        let width = 100.0 * *value as f64 / total.max(1) as f64;
        let _ = write!(
            drawn,
            "<rect class=\"part {class}\" x=\"{x:.2}\" width=\"{width:.2}\" height=\"8\"/>"
        );
        x += width;
    }
    bar(title, &drawn)
}

/// A bar that is as long as a share of the most.
pub(crate) fn share(class: &'static str, value: u64, most: u64, title: &str) -> String {
    let width = 100.0 * value.min(most) as f64 / most.max(1) as f64;
    bar(title, &format!("<rect class=\"part {class}\" width=\"{width:.2}\" height=\"8\"/>"))
}

fn bar(title: &str, parts: &str) -> String {
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\
         <rect class=\"bar-empty\" width=\"100\" height=\"8\"/>{parts}</svg>",
        escaped(title)
    )
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
        let cases =
            [(0, 2), (2, 2), (3, 4), (10, 10), (11, 20), (41, 60), (999, 1_000), (1_001, 2_000)];
        for (value, want) in cases {
            assert_eq!(rounded_up(value), want, "{value}");
        }
        assert_eq!(rounded_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn nothing_to_draw() {
        let points = |count: usize, complete| {
            let labels = vec!["x".to_owned(); count];
            ChartPoints { said: labels.clone(), labels, complete }
        };
        let empty = lines(&points(0, 0), &[], "a \"<b>\"", |it| it.to_string());
        assert!(empty.contains("a &quot;&lt;b&gt;&quot;") && !empty.contains("NaN"), "{empty}");
        let series = [ChartSeries { class: "issued", values: vec![1, 2, 3] }];
        for (name, points, open, tips) in [
            ("over", points(3, 3), 0, 3),
            ("the last is open", points(3, 2), 1, 3),
            ("all are open", points(3, 0), 1, 3),
            ("too many", points(POINTS_MAX + 1, 2), 1, 0),
        ] {
            let drawn = lines(&points, &series, "x", |it| it.to_string());
            assert_eq!(drawn.matches("issued open").count(), open, "{name}: {drawn}");
            assert_eq!(drawn.matches("tabindex").count(), tips, "{name}: {drawn}");
        }
        let series = |class| ChartSeries { class, values: (1..=30).collect() };
        let row = spark(&[series("issued"), series("redeemed")], "x");
        assert!(row.len() < 560, "a page has a line for each row: {row}");
        let spark = |values| spark(&[ChartSeries { class: "issued", values }], "");
        assert_eq!(spark(vec![0, 0]), "");
        for (count, points) in [(0, 0), (1, 0), (2, 2), (31, 31), (32, 16), (366, 31)] {
            let drawn = spark(vec![1; count]);
            assert_eq!(drawn.matches(',').count(), points, "{count}: {drawn}");
        }
        assert!(!stacked(&[("issued", 0)], "x").contains("part"));
        for (value, most, width) in [(0, 0, "0.00"), (1, 4, "25.00"), (9, 4, "100.00")] {
            let bar = share("issued", value, most, "x");
            assert!(bar.contains(&format!("part issued\" width=\"{width}\"")), "{bar}");
        }
    }
}
