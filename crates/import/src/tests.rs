use super::encoding::TextEncoding;
use super::lines::{FileLine, RecordSplitter};
use super::record::{FileHeader, RecordDefaults};
use super::*;

fn defaults() -> RecordDefaults {
    let at = |text| coupon::calendar::parse_instant(text).unwrap();
    RecordDefaults {
        valid_from: at("2026-01-01T00:00:00Z"),
        expires_at: at("2027-01-01T00:00:00Z"),
        zone: "Asia/Seoul".parse().unwrap(),
    }
}

/// Each line of a file without its first as `code last-day`, or the reason of its rejection.
fn read(bytes: &[u8]) -> Vec<String> {
    let encoding = lines::sniff(bytes, None).unwrap();
    let mut lines = RecordSplitter::of(encoding);
    lines.push(bytes);
    let first = lines.next_line().unwrap();
    let header = FileHeader::read(first.text().unwrap(), &FileFormat::default()).unwrap();
    let defaults = defaults();
    let each = std::iter::from_fn(|| lines.next_line().or_else(|| lines.finish()));
    let brief = |line: FileLine| match line.text().and_then(|text| header.parse(text, &defaults)) {
        Ok(it) => {
            let last = coupon::calendar::Date::last_of(it.expires_at, &defaults.zone);
            format!("{} {} {last}", line.number, it.code)
        }
        Err(error) => format!("{} {}", line.number, error.as_str()),
    };
    each.map(brief).collect()
}

/// The same file in every encoding and with every separator reads the same.
#[test]
fn encodings_and_separators() {
    let file =
        "쿠폰번호,만료일\r\nABCD-1,20261231\r\nBCDE-2,2026-11-30\r\n가나다,20261231\r\nCDEF-3,";
    let want = ["2 ABCD1 2026-12-31", "3 BCDE2 2026-11-30", "4 BAD_CODE", "5 CDEF3 2027-01-01"];
    let utf16 = |mark: &[u8], file: &str, bytes: fn(u16) -> [u8; 2]| {
        [mark, &file.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()].concat()
    };
    for separator in [",", ";", "\t"] {
        let file = file.replace(',', separator);
        let marked = format!("\u{feff}{file}");
        let files: [(&str, Vec<u8>); 7] = [
            ("UTF-8", file.clone().into()),
            ("UTF-8 with a mark", marked.into()),
            ("CP949", encoding_rs::EUC_KR.encode(&file).0.into_owned()),
            ("UTF-16LE with a mark", utf16(b"\xFF\xFE", &file, u16::to_le_bytes)),
            ("UTF-16BE with a mark", utf16(b"\xFE\xFF", &file, u16::to_be_bytes)),
            ("UTF-16LE", utf16(b"", &file, u16::to_le_bytes)),
            ("UTF-16BE", utf16(b"", &file, u16::to_be_bytes)),
        ];
        for (name, bytes) in files {
            assert_eq!(read(&bytes), want, "{name} {separator:?}");
        }
    }
}

/// Text that does not decode rejects its line, and is never replaced by another character.
#[test]
fn a_bad_sequence_rejects_its_line() {
    let korean = encoding_rs::EUC_KR.encode("쿠폰번호,만료일\n").0.into_owned();
    let cp949 = [&korean[..], b"ABCD1,20261231\nBCDE\xC9\x41,\nCDEF2,\n"].concat();
    assert_eq!(
        lines::sniff(&cp949, None),
        Ok(TextEncoding::UTF_8),
        "a damaged header is not guessed"
    );
    let far: Vec<u8> =
        [&korean[..], &b"ABCD1,20261231\n".repeat(100), b"BC\xFF,\nCDEF2,\n"].concat();
    let found = read(&far);
    assert_eq!(found[99..], ["101 ABCD1 2026-12-31", "102 BAD_ENCODING", "103 CDEF2 2027-01-01"]);
    let utf8: Vec<u8> = [&b"code\nABCD1\n"[..], b"BC\xFF\nCDEF2\n"].concat();
    assert_eq!(read(&utf8), ["2 ABCD1 2027-01-01", "3 NOT_UTF8", "4 CDEF2 2027-01-01"]);
    let units = "code\nABCD1\nBC\u{1}\nCDEF2\n".encode_utf16();
    let units = units.map(|unit| if unit == 1 { 0xD800 } else { unit });
    let utf16: Vec<u8> = [0xFEFF_u16].into_iter().chain(units).flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&utf16), ["2 ABCD1 2027-01-01", "3 BAD_ENCODING", "4 CDEF2 2027-01-01"]);
}

/// The lines of a file in UTF-16 do not depend on the ends of its chunks.
#[test]
fn utf16_in_pieces() {
    let file: Vec<u8> = "\u{feff}쿠폰번호\r\n\u{0A0D}만\u{0D0A}\r\nABCD\n"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let split = |pieces: &[&[u8]]| {
        let mut lines = RecordSplitter::of(TextEncoding::UTF_16BE);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            found.extend(std::iter::from_fn(|| lines.next_line()));
        }
        found.extend(std::iter::from_fn(|| lines.finish()));
        found.into_iter().map(|line| line.shown().to_owned()).collect::<Vec<_>>()
    };
    let want = ["쿠폰번호", "\u{0A0D}만\u{0D0A}", "ABCD"];
    for at in 0..=file.len() {
        assert_eq!(split(&[&file[..at], &file[at..]]), want, "split at {at}");
    }
    let bytes: Vec<&[u8]> = file.chunks(1).collect();
    assert_eq!(split(&bytes), want, "byte by byte");
    assert_eq!(split(&[&file, b"\0"]), ["쿠폰번호", "\u{0A0D}만\u{0D0A}", "ABCD", "\u{fffd}"]);
}

#[test]
fn the_template_names_every_column_and_imports_nothing() {
    let found = read(TEMPLATE.as_bytes());
    assert_eq!(found, ["2 BAD_CODE", "3 BAD_CODE", "4 BAD_CODE", "5 BAD_CODE"]);
    let edited = TEMPLATE.replace("EXAMPLE_", "EXAMPLE");
    assert!(
        read(edited.as_bytes()).iter().all(|line| line.contains("EXAMPLE")),
        "rows that can be read"
    );
    let names = columns::KnownColumn::ALL.map(columns::KnownColumn::name).join(",");
    assert_eq!(TEMPLATE.lines().next(), Some(names.as_str()));
}
