//! Files from their first byte to their last, as a caller reads them.

use bytes::Bytes;
use coupon::calendar::Date;
use futures::stream::{Iter, iter};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

use super::columns::KnownColumn;
use super::encoding::TextEncoding;
use super::record::RecordDefaults;
use super::*;

type Pieces = Iter<std::vec::IntoIter<Result<Bytes, String>>>;

/// The bytes in pieces of three.
fn pieces(bytes: &[u8]) -> Pieces {
    let pieces: Vec<_> = bytes.chunks(3).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
    iter(pieces)
}

/// `line code last-day state` or `line REASON` of each record, or why the file is refused.
async fn read(bytes: &[u8], format: &FileFormat) -> Result<Vec<String>, String> {
    let at = |text| coupon::calendar::parse_instant(text).unwrap();
    let defaults = RecordDefaults {
        valid_from: at("2026-01-01T00:00:00Z"),
        expires_at: at("2027-01-01T00:00:00Z"),
        zone: "UTC".parse().unwrap(),
        currency: None,
    };
    let why = |error: FileError| error.to_string();
    let mut file = File::open(pieces(bytes), format.encoding).await.map_err(why)?;
    let begin = file.begin(format).await.map_err(why)?;
    let mut lines = begin.lines;
    while let Some(line) = file.next().await {
        lines.push(line.map_err(why)?);
    }
    let Some(header) = begin.header else { return Ok(Vec::new()) };
    let read = |line: &lines::FileLine| match line.text().and_then(|it| header.parse(it, &defaults))
    {
        Ok(record) => {
            let last = Date::last_of(record.expires_at, &defaults.zone);
            let state = match record.imported_state.as_str() {
                "available" => String::new(),
                other => format!(" {other}"),
            };
            format!("{} {} {last}{state}", line.number, record.code)
        }
        Err(error) => format!("{} {}", line.number, error.as_str()),
    };
    Ok(lines.iter().map(read).collect())
}

/// The lines of a file that says everything by itself.
async fn lines_of(bytes: &[u8]) -> Vec<String> {
    read(bytes, &FileFormat::default()).await.unwrap()
}

/// The same file in every encoding and with every separator reads the same.
#[tokio::test]
async fn encodings_and_separators() {
    let file =
        "쿠폰번호,만료일\r\nABCD-1,20261231\r\nBCDE-2,2026-11-30\r\n가나다,20261231\r\nCDEF-3,";
    let want = ["2 ABCD1 2026-12-31", "3 BCDE2 2026-11-30", "4 BAD_CODE", "5 CDEF3 2026-12-31"];
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
            assert_eq!(lines_of(&bytes).await, want, "{name} {separator:?}");
        }
    }
}

/// Text that does not decode rejects its line, and is never replaced by another character.
#[tokio::test]
async fn a_bad_sequence_rejects_its_line() {
    let korean = encoding_rs::EUC_KR.encode("쿠폰번호,만료일\n").0.into_owned();
    let cp949 = [&korean[..], b"ABCD1,20261231\nBCDE\xC9\x41,\nCDEF2,\n"].concat();
    assert_eq!(
        lines::sniff(&cp949, None),
        Ok(TextEncoding::UTF_8),
        "a damaged header is not guessed"
    );
    let far: Vec<u8> =
        [&korean[..], &b"ABCD1,20261231\n".repeat(100), b"BC\xFF,\nCDEF2,\n"].concat();
    let found = lines_of(&far).await;
    assert_eq!(found[99..], ["101 ABCD1 2026-12-31", "102 BAD_ENCODING", "103 CDEF2 2026-12-31"]);
    let utf8: Vec<u8> = [&b"code\nABCD1\n"[..], b"BC\xFF\nCDEF2\n"].concat();
    assert_eq!(lines_of(&utf8).await, ["2 ABCD1 2026-12-31", "3 NOT_UTF8", "4 CDEF2 2026-12-31"]);
    let units = "code\nABCD1\nBC\u{1}\nCDEF2\n".encode_utf16();
    let units = units.map(|unit| if unit == 1 { 0xD800 } else { unit });
    let utf16: Vec<u8> = [0xFEFF_u16].into_iter().chain(units).flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        lines_of(&utf16).await,
        ["2 ABCD1 2026-12-31", "3 BAD_ENCODING", "4 CDEF2 2026-12-31"]
    );
}

#[tokio::test]
async fn the_template_names_every_column_and_imports_nothing() {
    let found = lines_of(TEMPLATE.as_bytes()).await;
    assert_eq!(found, ["2 BAD_CODE", "3 BAD_CODE", "4 BAD_CODE", "5 BAD_CODE"]);
    let edited = TEMPLATE.replace("EXAMPLE_", "EXAMPLE");
    let found = lines_of(edited.as_bytes()).await;
    assert!(found.iter().all(|line| line.contains("EXAMPLE")), "rows that can be read: {found:?}");
    let names = columns::KnownColumn::ALL.map(columns::KnownColumn::as_str).join(",");
    assert_eq!(TEMPLATE.lines().next(), Some(names.as_str()));
}

#[tokio::test]
async fn files() {
    let cases: [(&str, &str, &[&str]); 12] = [
        (
            "an inner line is no coupon",
            "code,memo\nAAAA1,\"Terms:\nFREE2027, no minimum\n\"\nBBBB2,\n",
            &["2 AAAA1 2026-12-31", "5 BBBB2 2026-12-31"],
        ),
        (
            "nor after a quote that is never closed",
            "code,memo\nAAAA1,\"Terms:\nFREE2027, no minimum\n",
            &["2 QUOTE"],
        ),
        (
            "rows without text are no lines",
            "code,expires_at\r\nAAAA1,2030-01-31\r\n,\r\n,\r\n\r\n",
            &["2 AAAA1 2030-01-31"],
        ),
        (
            "a separator that is said",
            "sep=;\r\ncode;expires_at\r\nAAAA1;2030-01-31\r\n",
            &["3 AAAA1 2030-01-31"],
        ),
        ("a header without rows", "code\n", &[]),
        ("blank lines alone", "\n\n,,\n", &[]),
        ("blank lines above", "\n ,\n\ncode\nAAAA1\n", &["5 AAAA1 2026-12-31"]),
        ("columns without a name", "code,,\nAAAA1,,\n", &["2 AAAA1 2026-12-31"]),
        ("cells in one of them", "code,\nAAAA1,x\n", &["2 CELLS"]),
        (
            "cells past the last column",
            "code\nAAAA1,,\nBBBB2,x\n",
            &["2 AAAA1 2026-12-31", "3 CELLS"],
        ),
        ("dates of Korea", "쿠폰번호,만료일\nAAAA1,2030. 1. 31.\n", &["2 AAAA1 2030-01-31"]),
        (
            "our own export",
            "code,campaign_id,batch_id,state,expired,paused,holder,valid_from,expires_at,expires_on,\
             time_zone,held_until,issued_at,redeemed_at,order_ref,created_at,modified_at,version,tier\n\
             AAAA1,c,b,available,false,false,,2026-01-01T00:00:00.000Z,2030-02-01T00:00:00.000Z,2030-01-31,\
             UTC,,,,,2026-01-01T00:00:00.000Z,2026-01-01T00:00:00.000Z,1,hot\n\
             BBBB2,c,b,void,false,false,ann,2026-01-01T00:00:00.000Z,2030-02-01T00:00:00.000Z,2030-01-31,\
             UTC,,2026-01-01T00:00:00.000Z,,,2026-01-01T00:00:00.000Z,2026-01-01T00:00:00.000Z,2,hot\n",
            &["2 AAAA1 2030-01-31", "3 BBBB2 2030-01-31 void"],
        ),
    ];
    let ignoring = FileFormat { ignore: "memo".parse().unwrap(), ..FileFormat::default() };
    for (name, file, want) in cases {
        let found = read(file.as_bytes(), &ignoring).await;
        assert_eq!(found, Ok(want.iter().map(|&it| it.to_owned()).collect()), "{name}");
    }
}

/// What would lose something of the file refuses it, and says what to do.
#[tokio::test]
async fn refused_files() {
    let cases = [
        ("a title", "", "2027 봄 쿠폰 목록!\ncode,expires_at\nAAAA1,\n", "line 2 is a header"),
        (
            "a title like a code",
            "",
            "Coupons 2027\ncode,expires_at\nAAAA1,\n",
            "line 2 is a header",
        ),
        (
            "used coupons, as the hint says",
            "code:1,expires_at:3",
            "쿠폰,이름,끝,사용여부\n",
            "ignore=사용여부",
        ),
        ("values without a header", "code:1", "AAAA1,x\nBBBB2,Y\n", "column 2 has \"Y\""),
        ("words without a header", "code:1", "AAAA1,미사용\nBBBB2,사용완료\n", "state:2"),
        ("values under another name", "code:1", "code,flag\nAAAA1,Y\n", "ignore=2"),
    ];
    for (name, map, file, want) in cases {
        let columns = (!map.is_empty()).then(|| map.parse().unwrap());
        let format = FileFormat { columns, ..FileFormat::default() };
        let found = read(file.as_bytes(), &format).await;
        assert!(found.as_ref().is_err_and(|it| it.contains(want)), "{name}: {found:?}");
    }
}

/// The file of rejected lines can be sent again, once its lines are corrected.
#[tokio::test]
async fn rejected_lines_sent_again() {
    let file =
        "line,text,reason,detail\n7,\"AAAA1,2030-01-31\",BAD_DATE,\"a, b\"\n9,BBBB2,CELLS,x\n";
    let found = read(file.as_bytes(), &FileFormat::default()).await;
    assert!(found.as_ref().is_err_and(|it| it.contains("columns=code:1")), "{found:?}");
    let columns = Some("code:1,expires_at:2".parse().unwrap());
    let found = read(file.as_bytes(), &FileFormat { columns, ..FileFormat::default() }).await;
    assert_eq!(found, Ok(vec!["2 AAAA1 2030-01-31".to_owned(), "3 CELLS".to_owned()]));
    let file = file.replacen("7,", "1,\"code,expires_at\",HEADER,\n7,", 1);
    let found = read(file.as_bytes(), &FileFormat::default()).await;
    assert_eq!(found, Ok(vec!["3 AAAA1 2030-01-31".to_owned(), "4 CELLS".to_owned()]));
    let cut = "x".repeat(lines::REJECTED_TEXT_MAX);
    let file = format!("line,text,reason,detail\n1,code,HEADER,\n2,{cut},TOO_LONG,\n");
    let found = read(file.as_bytes(), &FileFormat::default()).await;
    assert_eq!(found, Ok(vec!["3 TOO_LONG".to_owned()]));
}

/// A stream that breaks off while lines are looked at ahead loses none of those that arrived.
#[tokio::test]
async fn a_stream_that_breaks_off() {
    let arrived: Vec<Result<Bytes, String>> = vec![
        Ok(Bytes::from(format!("code\nAAAA1\nBBBB2\n{}\n", "C".repeat(2_000)))),
        Err("gone".to_owned()),
    ];
    let mut file = File::open(iter(arrived), None).await.unwrap();
    let begin = file.begin(&FileFormat::default()).await.unwrap();
    assert_eq!(begin.header_text.as_deref(), Some("code"));
    let mut texts = Vec::new();
    let broken = loop {
        match file.next().await {
            Some(Ok(line)) => texts.push(line.number),
            other => break other,
        }
    };
    assert_eq!(texts, [2, 3, 4]);
    assert_eq!(broken, Some(Err(FileError::BrokenOff("gone".to_owned()))));
}

/// A workbook with these texts in its first rows; the last column of the second row is a day.
fn workbook(rows: &[&[&str]]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, cells) in rows.iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            if !cell.is_empty() {
                sheet.write_string(row as u32, column as u16, *cell).unwrap();
            }
        }
    }
    let day = ExcelDateTime::from_ymd(2030, 1, 31).unwrap();
    let format = Format::new().set_num_format("yyyy-mm-dd");
    sheet.write_datetime_with_format(1, 1, &day, &format).unwrap();
    sheet.write_number(4, 0, 1_234_567_890_123_456.0).unwrap();
    workbook.save_to_buffer().unwrap()
}

#[tokio::test]
async fn workbooks() {
    let rows: &[&[&str]] = &[
        &["code", "expires_at", "memo"],
        &["AAAA1", "", "Terms:\nFREE2027\nask"],
        &[],
        &["\"quoted\""],
    ];
    let format = FileFormat { ignore: "memo".parse().unwrap(), ..FileFormat::default() };
    let found = read(&workbook(rows), &format).await;
    let want = ["2 AAAA1 2030-01-31", "4 BAD_CODE", "5 BAD_CODE"].map(str::to_owned);
    assert_eq!(found, Ok(want.to_vec()));
    let mut cut = workbook(rows);
    cut.truncate(cut.len() / 2);
    let mut too_long = workbook(rows);
    too_long.resize(super::workbook::WORKBOOK_BYTES_MAX + 1, 0);
    let far: Vec<&str> = std::iter::repeat_n("", 100).chain(["x"]).collect();
    let far = workbook(&[&["code"], &far]);
    let cases = [
        ("half of one", cut, "cannot be read"),
        ("too long", too_long, "more than 8 MiB"),
        ("too wide", far, "beyond column 100"),
    ];
    for (name, bytes, want) in cases {
        let found = read(&bytes, &format).await;
        assert!(found.as_ref().is_err_and(|it| it.contains(want)), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn columns_of_files() {
    type Case<'a> = (&'a str, &'a str, Result<&'a [&'a str], &'a str>);
    let codes: Vec<Case<'_>> = vec![
        ("with a header", "code\nA\nB\n", Ok(&["2 A", "3 B"])),
        ("without", "A\nB", Ok(&["1 A", "2 B"])),
        ("more columns", "Code,user\r\nA-B,ann\r\n", Ok(&["2 A-B"])),
        ("the code is not first", "user_id;쿠폰번호\nann;A\n", Ok(&["2 A"])),
        ("a result fed back", "code,result,detail\nA,ok,\n", Ok(&["2 A"])),
        ("quoted", "\"code\"\n\"A \"\"B\",x\n", Ok(&["2 A \"B"])),
        ("a byte-order mark", "\u{feff}code\nA\n", Ok(&["2 A"])),
        ("empty lines", "\n\ncode\n\nA\n  \n", Ok(&["5 A"])),
        ("nothing", "", Ok(&[])),
        ("an inner line", "code,note\nA,\"has\nB, keep it\"\nC,\n", Ok(&["2 A", "4 C"])),
        ("an open quote", "code,note\nA,\"has\nB, keep it\n", Ok(&["2 QUOTE"])),
        ("a record without a code", "code,note\n,x\n", Ok(&["2 "])),
        ("an export", "id,created,campaignid,value,limitval,counter\n1,,c,A,1,0\n", Ok(&["2 A"])),
        ("a separator that is said", "sep=;\ncode;x\nA;b\n", Ok(&["3 A"])),
        ("columns without a code", "state,user_id\nA,b\n", Err("none of them code")),
        ("no CSV", "{\"code\": 1}", Err("JSON")),
    ];
    let users: Vec<Case<'_>> = vec![
        ("users with a header", "user_id\nann\n", Ok(&["2 ann"])),
        ("users without", "ann\nbob", Ok(&["1 ann", "2 bob"])),
        ("users beside codes", "code,회원번호\nA,ann\nB,\n", Ok(&["2 ann", "3 "])),
        ("columns without users", "code,state\nA,b\n", Err("name one user_id")),
    ];
    let codes = codes.into_iter().map(|case| (KnownColumn::Code, case));
    let users = users.into_iter().map(|case| (KnownColumn::UserId, case));
    for (wanted, (name, file, want)) in codes.chain(users) {
        let found = async {
            let mut cells = ColumnReader::open(pieces(file.as_bytes()), wanted).await?;
            let mut found = Vec::new();
            while let Some(cell) = cells.next().await {
                let ColumnCell { line, text } = cell?;
                let text = text.unwrap_or_else(|error| error.as_str().to_owned());
                found.push(format!("{line} {text}"));
            }
            Ok::<_, FileError>(found)
        };
        match (found.await, want) {
            (Ok(found), Ok(want)) => assert_eq!(found, want, "{name}"),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{name}: {error}"),
            (found, want) => panic!("{name}: {found:?}, want {want:?}"),
        }
    }
}
