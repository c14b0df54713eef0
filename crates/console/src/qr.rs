//! QR codes as SVG, made on the server.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

/// Modules without ink around a code, as its standard wants.
const QUIET: usize = 4;

/// A text as a picture for a camera; an empty one if the text is too long for that.
///
/// No attribute of style: the style sheet has ink and paper, which are black and white in the dark too.
pub(crate) fn drawn(text: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
        return String::new();
    };
    let (width, modules) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in modules.chunks(width).enumerate() {
        let _ = write!(path, "M{QUIET} {}.5", y + QUIET);
        for run in row.chunk_by(|one, other| one == other) {
            // A run of ink is a stroke as thick as a module.
            let _ = match run.first() {
                Some(Color::Dark) => write!(path, "h{}", run.len()),
                _ => write!(path, "m{} 0", run.len()),
            };
        }
    }
    let size = width + 2 * QUIET;
    format!(
        "<svg class=\"qr\" viewBox=\"0 0 {size} {size}\" aria-hidden=\"true\" focusable=\"false\">\
         <rect width=\"{size}\" height=\"{size}\"/><path d=\"{path}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules with ink, as the picture has them.
    fn ink(svg: &str) -> Vec<(usize, usize)> {
        let path = svg.split(" d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let mut ink = Vec::new();
        for row in path.split('M').skip(1) {
            let start = row.find(['h', 'm']).unwrap();
            let y = row[..start].split(' ').nth(1).and_then(|y| y.strip_suffix(".5")).unwrap();
            let (y, mut x) = (y.parse::<usize>().unwrap() - QUIET, 0);
            let mut rest = &row[start..];
            while let Some(kind) = rest.chars().next() {
                let end = rest[1..].find(['h', 'm']).map_or(rest.len(), |at| at + 1);
                let len: usize = rest[1..end].trim_end_matches(" 0").parse().unwrap();
                if kind == 'h' {
                    ink.extend((x..x + len).map(|x| (x, y)));
                }
                x += len;
                rest = &rest[end..];
            }
        }
        ink
    }

    #[test]
    fn a_picture_has_every_module() {
        for text in ["7K2M-9QXD-4TRB-H0VE", "SPRING-7K2M-9QXD-4TRB-H0VE", "봄"] {
            let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
            let (width, modules) = (code.width(), code.to_colors());
            let dark = modules.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
            let dark: Vec<_> = dark.map(|(at, _)| (at % width, at / width)).collect();
            assert_eq!(ink(&drawn(text)), dark, "{text}");
        }
    }

    #[test]
    fn a_text_that_no_picture_can_have() {
        assert_eq!(drawn(&"x".repeat(5_000)), "");
    }
}
