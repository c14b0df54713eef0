use coupon::calendar::parse_instant;
use coupon::ids::UserId;
use coupon::imported::ImportedState;

use super::*;

const ALL: &str = "code,valid_from,expires_at,state,user_id,issued_at,redeemed_at,order_ref";

/// 2026-01-01 to the end of 2026-12-31 in Berlin.
fn defaults() -> RecordDefaults {
    RecordDefaults {
        valid_from: at("2025-12-31T23:00:00Z"),
        expires_at: at("2026-12-31T23:00:00Z"),
        zone: "Europe/Berlin".parse().unwrap(),
        currency: "EUR".parse().ok(),
    }
}

fn at(text: &str) -> Millis {
    parse_instant(text).unwrap()
}

fn header(line: &str) -> FileHeader {
    FileHeader::read(line, &FileFormat::default()).unwrap()
}

/// Without the spelling of the code.
fn parse(first: &str, line: &str) -> Result<ImportRecord, RowError> {
    header(first).parse(line, &defaults()).map(normal)
}

fn normal(record: ImportRecord) -> ImportRecord {
    ImportRecord { written: record.code.to_string(), ..record }
}

fn record(
    code: &str,
    valid_from: &str,
    expires_at: &str,
    imported_state: ImportedState,
) -> ImportRecord {
    let (valid_from, expires_at) = (at(valid_from), at(expires_at));
    let written = code.to_owned();
    ImportRecord { code: code.parse().unwrap(), written, valid_from, expires_at, imported_state }
}

/// A line with the dates of [`defaults`].
fn usual(code: &str, imported_state: ImportedState) -> ImportRecord {
    record(code, "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z", imported_state)
}

#[test]
fn rows_without_a_header() {
    let free = |code, from, to| Ok(record(code, from, to, ImportedState::Available));
    let (from, to) = ("2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z");
    let cells = |found| Err(RowError::Cells { found, want: "1 to 3".to_owned() });
    let cases = [
        ("one cell", "abcd-1234", free("ABCD1234", from, to)),
        ("wide letters", "ＡＢＣＤ－１２３４", free("ABCD1234", from, to)),
        ("empty dates", "ABCD1234,,", free("ABCD1234", from, to)),
        ("a mark in the middle of the file", "\u{feff}ABCD", free("ABCD", from, to)),
        ("leading zeros stay", "0000123", free("0000123", from, to)),
        ("trimmed", "  ABCD1234\t, ,\r", free("ABCD1234", from, to)),
        ("quoted", "\"ABCD 1234\",\"\"", free("ABCD1234", from, to)),
        (
            "dates",
            "ABCD,2026-02-01,20260228",
            free("ABCD", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"),
        ),
        (
            "one day, the one on which clocks go forward",
            "ABCD,2026-03-29,2026-03-29",
            free("ABCD", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ),
        (
            "instants",
            "ABCD,2026-02-01T10:00:00+02:00,2026-02-01T08:00:00.001Z",
            free("ABCD", "2026-02-01T08:00:00Z", "2026-02-01T08:00:00.001Z"),
        ),
        ("empty cells at the end", "ABCD,,,", free("ABCD", from, to)),
        ("four cells", "ABCD,,,x", cells(4)),
        ("a local time", "ABCD,2026-02-01 10:00:00,", free("ABCD", "2026-02-01T09:00:00Z", to)),
    ];
    for (name, line, want) in cases {
        assert_eq!(parse("FIRST1", line), want, "{name}");
    }
}

#[test]
fn rows_with_states() {
    let ann: UserId = "ann".parse().unwrap();
    let (may, june) = (at("2026-04-30T22:00:00Z"), at("2026-06-01T08:30:00Z"));
    let issued = |at| ImportedState::Issued { holder: ann.clone(), at };
    let redeemed = |holder, issued_at, order: Option<&str>| ImportedState::Redeemed {
        holder,
        issued_at,
        at: june,
        order: order.map(|order| order.parse().unwrap()),
        worth: None,
    };
    let cases = [
        ("no state", "ABCD,,,,,,,", ImportedState::Available),
        ("available", "ABCD,,,Available,,,,", ImportedState::Available),
        ("void", "ABCD,,,VOID,,,,", ImportedState::VOID),
        (
            "void, and whose it was",
            "ABCD,,,void,ann,20260501,,",
            ImportedState::Void { holder: Some(ann.clone()), issued_at: Some(may) },
        ),
        (
            "issued, behind the guard of formulas",
            "ABCD,,,issued,'+82,,,",
            ImportedState::Issued { holder: "+82".parse().unwrap(), at: None },
        ),
        ("issued", "ABCD,,,issued,ann,,,", issued(None)),
        ("issued on a day", "ABCD,,,issued,ann,20260501,,", issued(Some(may))),
        ("issued at an instant", "ABCD,,,issued,ann,2026-06-01T08:30:00Z,,", issued(Some(june))),
        ("redeemed", "ABCD,,,redeemed,,,2026-06-01T08:30:00Z,", redeemed(None, None, None)),
        (
            "redeemed with every field",
            "ABCD,,,Redeemed,ann,2026-05-01,2026-06-01T08:30:00Z,\"991,2\"",
            redeemed(Some(ann.clone()), Some(may), Some("991,2")),
        ),
        (
            "redeemed in the instant of its issue",
            "ABCD,,,redeemed,,2026-06-01T08:30:00Z,2026-06-01T10:30:00+02:00,",
            redeemed(None, Some(june), None),
        ),
    ];
    for (name, line, want) in cases {
        assert_eq!(parse(ALL, line), Ok(usual("ABCD", want)), "{name}");
    }
}

#[test]
fn amounts_of_a_redemption() {
    let header = "code,state,redeemed_at,order_amount,discount,currency";
    // A name, the cells behind redeemed_at, and the amounts or the reason.
    let cases = [
        ("none", ",,", Ok(None)),
        ("a currency alone", ",,EUR", Ok(None)),
        ("both, in the campaign's currency", "3000,250,", Ok(Some("EUR 3000 250"))),
        ("one, with its currency", ",250,EUR", Ok(Some("EUR - 250"))),
        ("nothing at all", "0,0,", Ok(Some("EUR 0 0"))),
        ("another currency", "3000,,USD", Err("BAD_CURRENCY")),
        ("no such currency", "3000,,EURO", Err("BAD_CURRENCY")),
        ("a point", "30.00,,", Err("BAD_AMOUNT")),
        ("a comma", "\"3,000\",,", Err("BAD_AMOUNT")),
        ("a sign", "-5,,", Err("BAD_AMOUNT")),
        ("too much", "1000000000001,,", Err("BAD_AMOUNT")),
    ];
    for (name, cells, want) in cases {
        let line = format!("ABCD,redeemed,2026-06-01T08:30:00Z,{cells}");
        let found = parse(header, &line).map(|record| match record.imported_state {
            ImportedState::Redeemed { worth, .. } => worth.map(|worth| worth.to_string()),
            state => panic!("{name}: {state:?}"),
        });
        let want = want.map(|text: Option<&str>| text.map(str::to_owned));
        assert_eq!(found.map_err(|error| error.as_str()), want, "{name}");
    }
    let misplaced = parse(header, "ABCD,available,,5,,").map_err(|error| error.as_str());
    assert_eq!(misplaced.err(), Some("MISPLACED"));
}

#[test]
fn columns_in_another_order() {
    let holder = "ann".parse().unwrap();
    let want = usual("ABCD", ImportedState::Issued { holder, at: None });
    assert_eq!(parse("user_id,code,state", "ann,ABCD,issued"), Ok(want));
}

#[test]
fn a_rejected_row_does_not_affect_the_next() {
    let header = header("code,state");
    assert_eq!(header.parse("ABCD,\"void", &defaults()), Err(RowError::Quote));
    let want = usual("EFGH", ImportedState::VOID);
    assert_eq!(header.parse("EFGH,\"void\"", &defaults()), Ok(want));
}

#[test]
fn rejected_rows() {
    let long_code = "A".repeat(65);
    let long_user = format!("ABCD,,,issued,{},,,", "u".repeat(129));
    let long_order = format!("ABCD,,,redeemed,,,20260601,{}", "r".repeat(129));
    let cases = [
        ("blank", "code", " \t", "EMPTY"),
        ("nothing", "code", "", "EMPTY"),
        ("only a mark", "code", "\u{feff}", "EMPTY"),
        ("only quotes", "code", "\"\"", "BAD_CODE"),
        ("only commas", "code,state", ",", "BAD_CODE"),
        ("a cell without a name", "code,", "ABCD,x", "CELLS"),
        ("too few cells", "code,state", "ABCD", "CELLS"),
        ("too many cells", "code,state", "ABCD,,x", "CELLS"),
        ("semicolons", "code", "ABCD;EFGH", "BAD_CODE"),
        ("an open quote", "code,state", "ABCD,\"void", "QUOTE"),
        ("an open quote after a doubled one", "code", "\"AB\"\"", "QUOTE"),
        ("the header again", ALL, ALL, "HEADER"),
        ("the header of another file", "code", "\u{feff}CODE", "HEADER"),
        ("an alias again", "PromoCode,state", "promocode,state", "HEADER"),
        ("three characters", "code", "ABC", "BAD_CODE"),
        ("too long a code", "code", &long_code, "BAD_CODE"),
        ("a carriage return inside", "code", "ABCD\rEFGH", "BAD_CODE"),
        ("a spreadsheet's number", "code", "1.23E+15", "BAD_CODE"),
        ("a German date", "code,expires_at", "ABCD,31.12.2026", "BAD_DATE"),
        ("a day that does not exist", "code,expires_at", "ABCD,2026-02-30", "BAD_DATE"),
        ("a bad first day", "code,valid_from", "ABCD,soon", "BAD_DATE"),
        ("a bad day of issue", ALL, "ABCD,,,issued,ann,soon,,", "BAD_DATE"),
        ("a bad day of redemption", ALL, "ABCD,,,redeemed,,,soon,", "BAD_DATE"),
        (
            "over before it starts",
            "code,valid_from,expires_at",
            "ABCD,20260101,20251231",
            "ORDER_OF_DATES",
        ),
        (
            "no time at all",
            "code,valid_from,expires_at",
            "ABCD,2026-06-01T08:00:00Z,2026-06-01T10:00:00+02:00",
            "ORDER_OF_DATES",
        ),
        ("starts too late", "code,valid_from", "ABCD,2027-01-01", "ORDER_OF_DATES"),
        (
            "redeemed before it was issued",
            ALL,
            "ABCD,,,redeemed,,2026-06-01T08:00:00.001Z,2026-06-01T08:00:00Z,",
            "ORDER_OF_DATES",
        ),
        ("another state", ALL, "ABCD,,,odd,,,,", "BAD_STATE"),
        ("yes of a column of words", ALL, "ABCD,,,Y,,,,", "BAD_STATE"),
        ("available with a user", ALL, "ABCD,,,,ann,,,", "MISPLACED"),
        ("available with a day of issue", ALL, "ABCD,,,available,,20260601,,", "MISPLACED"),
        ("void, issued to nobody", ALL, "ABCD,,,void,,20260601,,", "MISSING_USER"),
        ("void with a redemption", ALL, "ABCD,,,void,,,20260601,", "MISPLACED"),
        ("issued with a redemption", ALL, "ABCD,,,issued,ann,,20260601,", "MISPLACED"),
        ("issued with an order", ALL, "ABCD,,,issued,ann,,,991", "MISPLACED"),
        ("issued without a user", ALL, "ABCD,,,issued,,,,", "MISSING_USER"),
        ("issued, no such column", "code,state", "ABCD,issued", "MISSING_USER"),
        ("redeemed without an instant", ALL, "ABCD,,,redeemed,ann,,,991", "MISSING_REDEEMED_AT"),
        ("a user with a space", ALL, "ABCD,,,issued,ann lee,,,", "BAD_USER"),
        ("a user over the limit", ALL, &long_user, "BAD_USER"),
        ("an order over the limit", ALL, &long_order, "BAD_ORDER"),
        ("the code comes first", ALL, "A,soon,,odd,,,,", "BAD_CODE"),
        ("then the dates", ALL, "ABCD,soon,,odd,,,,", "BAD_DATE"),
    ];
    for (name, first, line, want) in cases {
        let found = parse(first, line).map_err(|error| error.as_str());
        assert_eq!(found, Err(want), "{name}");
    }
}

/// What a file says of a use is read, or asked for; it is never left out.
#[test]
fn states_of_other_systems() {
    const DATED: &str = "code,state,redeemed_at";
    const HELD: &str = "code,state,user_id";
    const VOUCHERIFY: &str =
        "code,voucher_type,redemption_count,redemption_quantity,active,customer_source_id";
    let used = |name| format!("code:1,state:{name},redeemed_at:3");
    let (yes_no, counted) = (used("사용여부"), used("times used"));
    let no = "code:1,state:사용여부,user_id:3".to_owned();
    let cases = [
        ("unused", DATED, "", "", "ABCD,미사용,", "available"),
        ("used", DATED, "", "", "ABCD,사용완료,2026-06-01", "redeemed"),
        ("used, in English", DATED, "", "", "ABCD,Used,2026-06-01", "redeemed"),
        ("used without a time", DATED, "", "", "ABCD,사용,", "MISSING_REDEEMED_AT"),
        ("issued without a user", DATED, "", "", "ABCD,발급,", "MISSING_USER"),
        ("void", DATED, "", "", "ABCD,폐기,", "void"),
        ("active", DATED, "", "", "ABCD,active,", "available"),
        ("yes", "code,사용여부,at", &yes_no, "", "ABCD,Y,2026-06-01", "redeemed"),
        ("no", "code,사용여부,at", &yes_no, "", "ABCD,n,", "available"),
        ("one", "code,사용여부,at", &yes_no, "", "ABCD,1,2026-06-01", "redeemed"),
        ("zero", "code,사용여부,at", &yes_no, "", "ABCD,0,", "available"),
        ("a word", "code,사용여부,at", &yes_no, "", "ABCD,미사용,", "available"),
        ("never used", "code,times used,at", &counted, "", "ABCD,0,", "available"),
        ("used once", "code,times used,at", &counted, "", "ABCD,1,2026-06-01", "redeemed"),
        ("a count that is none", "code,times used,at", &counted, "", "ABCD,many,", "BAD_STATE"),
        ("unknown", DATED, "", "", "ABCD,회색,", "BAD_STATE"),
        ("unknown, mapped", DATED, "", "회색:void", "ABCD,회색,", "void"),
        ("mapped otherwise", DATED, "", "Used:void,x:available", "ABCD,USED,", "void"),
        ("unused, of a user", HELD, "", "", "ABCD,미사용,ann", "issued"),
        ("not issued, without a user", HELD, "", "", "ABCD,미발급,", "available"),
        ("our word, of a user", HELD, "", "", "ABCD,available,ann", "MISPLACED"),
        ("mapped, of a user", HELD, "", "회색:available", "ABCD,회색,ann", "MISPLACED"),
        ("not used, of a user", "code,사용여부,user_id", &no, "", "ABCD,N,ann", "issued"),
        ("an export, free", VOUCHERIFY, "", "", "ABCD,gift,0,1,true,", "available"),
        ("an export, of a user", VOUCHERIFY, "", "", "ABCD,gift,0,1,true,ann", "issued"),
        ("an export, used", VOUCHERIFY, "", "", "ABCD,gift,1,1,true,ann", "void"),
        ("an export, inactive", VOUCHERIFY, "", "", "ABCD,gift,0,1,false,", "void"),
        ("an export, for many", VOUCHERIFY, "", "", "ABCD,gift,0,9,true,", "BAD_STATE"),
        ("an export, for all", VOUCHERIFY, "", "", "ABCD,gift,0,,true,", "BAD_STATE"),
    ];
    for (name, first, map, values, line, want) in cases {
        let format = FileFormat {
            columns: (!map.is_empty()).then(|| map.parse().unwrap()),
            values: if values.is_empty() { ValueMap::default() } else { values.parse().unwrap() },
            ..FileFormat::default()
        };
        let found = FileHeader::read(first, &format).unwrap().parse(line, &defaults());
        let found = found.map_or_else(|error| error.as_str(), |it| it.imported_state.as_str());
        assert_eq!(found, want, "{name}");
    }
}

/// Expired coupons of the old system are imported into a campaign of today.
#[test]
fn an_expired_line_needs_no_first_day() {
    let record = parse("code,expires_at", "ABCD,20251231").unwrap();
    assert_eq!(record.valid_from, record.expires_at.plus_ms(-1));
    let record = parse("code,expires_at", "ABCD,20301231").unwrap();
    assert_eq!(record.valid_from, defaults().valid_from);
}

#[test]
fn sentences() {
    let cases = [
        ("cells", "code,state", "ABCD", "line has 1 cells, want 2"),
        ("code", "code", "AB_CD", "code has '_' at 2, want A-Z or 0-9"),
        (
            "damaged",
            "code",
            "\"1,23E+15\"",
            "code is \"1,23E+15\": a spreadsheet took it for a number and damaged it; format \
             the column as text before the codes are put in, and export again",
        ),
        (
            "date",
            "code,expires_at",
            "ABCD,31.12.2026",
            "expires_at is \"31.12.2026\", which is one of two days; say dates=day-first or \
             dates=month-first",
        ),
        (
            "order of dates",
            "code,valid_from",
            "ABCD,2027-01-01",
            "valid_from is \"2027-01-01\" and expires_at is the campaign's, want valid_from \
             before expires_at",
        ),
        (
            "order of events",
            ALL,
            "ABCD,,,redeemed,,20260602,20260601,",
            "issued_at is \"20260602\" and redeemed_at is \"20260601\", want issued_at not \
             after redeemed_at",
        ),
        (
            "state",
            "code,state",
            "ABCD,odd",
            "state is \"odd\", want available, issued, redeemed or void; say what other values mean \
             with values, as in values=odd:redeemed",
        ),
        (
            "misplaced",
            "code,user_id",
            "ABCD,ann",
            "user_id is \"ann\", want none: the coupon is available",
        ),
        (
            "user",
            "code,state,user_id",
            "ABCD,issued,a b",
            "user_id has ' ' at 1, want letters, digits, marks and symbols, without spaces",
        ),
    ];
    for (name, first, line, want) in cases {
        assert_eq!(parse(first, line).unwrap_err().to_string(), want, "{name}");
    }
}

#[test]
fn numbers_of_spreadsheets() {
    let cases = [
        ("with a point", "1.23E+15", true),
        ("with a comma", "1,23457E+17", true),
        ("without a fraction", "1E+15", true),
        ("small letter", "1.5e15", true),
        ("no exponent", "1.23E", false),
        ("no number before", "AE+15", false),
        ("a point and nothing", "1.E+15", false),
        ("more characters after it", "1.2E+15X", false),
        ("a bad code", "12-A_7", false),
    ];
    for (name, cell, want) in cases {
        let damaged =
            matches!(parse("code", &format!("\"{cell}\"")), Err(RowError::DamagedCode { .. }));
        assert_eq!(damaged, want, "{name}");
    }
    assert!(parse("code", "12E15").is_ok(), "a code that only looks like a number");
}
