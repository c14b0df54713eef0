//! Looks at the head of a file: the only place that tells a CSV from other files.

use super::super::encoding::TextEncoding;

/// How many bytes [`sniff`] looks at. Every signature is in the first few bytes, and UTF-16 without
/// a byte-order mark has zero bytes everywhere.
pub const SNIFF_LEN: usize = 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCsv {
    #[error("this is an Excel workbook; save it as CSV UTF-8 and send that")]
    Workbook,
    /// The format before xlsx.
    #[error("this is an old Excel workbook (xls); save it as CSV UTF-8 and send that")]
    OldWorkbook,
    #[error("this is a zip archive; unpack it and send the CSV that is in it")]
    Zip,
    #[error("this is gzip; unpack it and send the CSV that is in it")]
    Gzip,
    /// It has zero bytes: no text, or text in an encoding that is not recognised.
    #[error(
        "this has zero bytes in it, as a binary file has; save it as CSV UTF-8, or name its \
         encoding if it is UTF-16"
    )]
    ZeroBytes,
    #[error("this is a PDF document; export the codes as CSV UTF-8 and send that")]
    Pdf,
    #[error("this is a Parquet file; export it as CSV UTF-8 and send that")]
    Parquet,
    #[error("this looks like JSON; convert it to CSV UTF-8 with a column `code` and send that")]
    Json,
    #[error("this is an HTML or XML page, often an error page saved as a file; send the CSV")]
    Html,
    #[error("the lines end as on an old Mac (CR alone); save it with Unix or Windows line ends")]
    OldMac,
}

/// The encoding of a file that begins with `head`, if it can be a CSV: `named`, or the detected
/// one. Only the first [`SNIFF_LEN`] bytes count.
///
/// # Errors
/// [`NotCsv`] if the file is plainly something else. A code is never taken for a signature: a file
/// may begin with the coupon `PK1234` or `PAR12345`.
pub fn sniff(head: &[u8], named: Option<TextEncoding>) -> Result<TextEncoding, NotCsv> {
    let head = &head[..head.len().min(SNIFF_LEN)];
    if let Some(other) = binary_kind(head) {
        return Err(other);
    }
    let encoding = match named {
        Some(encoding) => encoding.named(head),
        None => TextEncoding::detected(head),
    };
    let text = encoding.shown(head.strip_prefix(encoding.mark()).unwrap_or(head));
    if text.contains('\0') {
        return Err(NotCsv::ZeroBytes);
    }
    text_kind(text.as_bytes()).map_or(Ok(encoding), Err)
}

fn binary_kind(head: &[u8]) -> Option<NotCsv> {
    let is_binary = |b: &u8| b.is_ascii_control() && !b.is_ascii_whitespace();
    match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => {
            Some(if is_workbook(head) { NotCsv::Workbook } else { NotCsv::Zip })
        }
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Some(NotCsv::OldWorkbook),
        [0x1F, 0x8B, ..] => Some(NotCsv::Gzip),
        [b'P', b'A', b'R', b'1', ..] if head.iter().any(is_binary) => Some(NotCsv::Parquet),
        [b'%', b'P', b'D', b'F', ..] => Some(NotCsv::Pdf),
        _ => None,
    }
}

/// Whether a zip archive is an xlsx, which names one of these in its first entries.
fn is_workbook(head: &[u8]) -> bool {
    let names = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    names(b"[Content_Types].xml") || names(b"_rels/.rels") || names(b"xl/")
}

fn text_kind(head: &[u8]) -> Option<NotCsv> {
    match head.trim_ascii_start().first() {
        Some(b'{' | b'[') => return Some(NotCsv::Json),
        Some(b'<') => return Some(NotCsv::Html),
        Some(_) | None => {}
    }
    // The `\n` of a `\r` at the very end may not have arrived.
    let inner = &head[..head.len().saturating_sub(1)];
    (inner.contains(&b'\r') && !head.contains(&b'\n')).then_some(NotCsv::OldMac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_csv() {
        let far_zero = [&[b'A'; SNIFF_LEN][..], b"\0"].concat();
        let near_zero = [&[b'A'; SNIFF_LEN - 1][..], b"\0"].concat();
        const UTF_8: Result<TextEncoding, NotCsv> = Ok(TextEncoding::UTF_8);
        let cases: [(&str, &[u8], Result<TextEncoding, NotCsv>); 38] = [
            ("nothing", b"", UTF_8),
            ("a header", b"code,state\n", UTF_8),
            ("a marked header", b"\xEF\xBB\xBFcode\r\n", UTF_8),
            ("no line end", b"ABCD1234", UTF_8),
            ("Latin-1 is for the lines to say", b"code\n\xE4\n", UTF_8),
            ("a code like a zip", b"PK123456\n", UTF_8),
            ("a code like Parquet", b"PAR1ABCD\r\n", UTF_8),
            ("a code like Parquet, with a tab", b"PAR1ABCD\t\r\n", UTF_8),
            ("a code like a PDF", b"PDF14567\n", UTF_8),
            ("quoted", b"\"ABCD\"\n", UTF_8),
            ("xlsx", b"PK\x03\x04\x14\0[Content_Types].xml", Err(NotCsv::Workbook)),
            ("xlsx, other order", b"PK\x03\x04\x14\0xl/workbook.xml", Err(NotCsv::Workbook)),
            ("xlsx, relations first", b"PK\x03\x04\x14\0_rels/.rels", Err(NotCsv::Workbook)),
            ("zip", b"PK\x03\x04\x14\0codes.csv", Err(NotCsv::Zip)),
            ("an empty zip", b"PK\x05\x06\0\0", Err(NotCsv::Zip)),
            ("a zip in parts", b"PK\x07\x08\0\0", Err(NotCsv::Zip)),
            ("xls", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Err(NotCsv::OldWorkbook)),
            ("gzip", b"\x1F\x8B\x08\0", Err(NotCsv::Gzip)),
            ("UTF-16 LE", b"\xFF\xFEc\0o\0", Ok(TextEncoding::UTF_16LE)),
            ("UTF-16 BE", b"\xFE\xFF\0c\0o", Ok(TextEncoding::UTF_16BE)),
            ("UTF-16 without a mark", b"c\0o\0d\0e\0", Ok(TextEncoding::UTF_16LE)),
            ("JSON in UTF-16", b"\xFF\xFE[\0]\0", Err(NotCsv::Json)),
            ("UTF-32", b"\xFF\xFE\0\0c\0\0\0", Err(NotCsv::ZeroBytes)),
            ("a zero byte at the limit", &near_zero, Err(NotCsv::ZeroBytes)),
            ("a zero byte past it", &far_zero, UTF_8),
            ("PDF", b"%PDF-1.7\n", Err(NotCsv::Pdf)),
            ("Parquet", b"PAR1\x15\x04\x15\x80", Err(NotCsv::Parquet)),
            ("a JSON object", b"{\"code\": 1}", Err(NotCsv::Json)),
            ("a JSON list, indented", b"\xEF\xBB\xBF\n  [1]", Err(NotCsv::Json)),
            ("HTML", b"\r\n<!doctype html>", Err(NotCsv::Html)),
            ("XML", b"<?xml version=\"1.0\"?>", Err(NotCsv::Html)),
            ("old Mac", b"code\rABCD1234\r", Err(NotCsv::OldMac)),
            ("old Mac, empty lines", b"code\r\r", Err(NotCsv::OldMac)),
            ("a head cut between \\r and \\n", b"code\r", UTF_8),
            ("Windows", b"code\r\nABCD1234\r\n", UTF_8),
            ("twice converted", b"code\r\r\nABCD1234\r\r\n", UTF_8),
            ("one stray carriage return", b"code\nAB\rCD\n", UTF_8),
            ("blank", b" \n \n", UTF_8),
        ];
        for (name, head, want) in cases {
            assert_eq!(sniff(head, None), want, "{name}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert_eq!(
            NotCsv::Workbook.to_string(),
            "this is an Excel workbook; save it as CSV UTF-8 and send that"
        );
    }
}
