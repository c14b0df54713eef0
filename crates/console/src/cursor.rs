//! Places in lists over both tiers, as parts of addresses.

use coupon::time::Millis;
use engine::TieBreaker;

/// An instant, and which of the rows of this instant.
pub(crate) fn written(at: Millis, tie: &TieBreaker) -> String {
    let (tier, tie) = match tie {
        TieBreaker::Hot(number) => ("hot", number.to_string()),
        TieBreaker::Cold(code) => ("cold", code.to_string()),
    };
    format!("{}~{tier}~{tie}", at.0)
}

/// The place of such a part; `None` if it is none: the list begins at the front.
pub(crate) fn read(text: &str) -> Option<(Millis, TieBreaker)> {
    let mut parts = text.splitn(3, '~');
    let at = Millis(parts.next()?.parse().ok()?);
    let tie = match (parts.next()?, parts.next()?) {
        ("hot", number) => TieBreaker::Hot(number.parse().ok()?),
        ("cold", code) => TieBreaker::Cold(code.parse().ok()?),
        _ => return None,
    };
    Some((at, tie))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let at = Millis(1_800_000_000_000);
        for tie in [TieBreaker::Hot(7), TieBreaker::Cold("7K2M9QXD4TRBH0VE".parse().unwrap())] {
            assert_eq!(read(&written(at, &tie)), Some((at, tie)));
        }
        for text in ["", "x", "1~hot", "1~warm~2", "1~hot~x", "x~hot~1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
