use coupon::code::Code;

use super::super::columns::ColumnMap;
use super::unmapped::WITHOUT_HEADER;
use super::*;

const ALL: &str = "code,valid_from,expires_at,state,user_id,issued_at,redeemed_at,order_ref";

fn read(line: &str, map: Option<&str>) -> Result<FileHeader, BadFile> {
    let columns = map.map(|map| map.parse::<ColumnMap>().unwrap());
    FileHeader::read(line, &FileFormat { columns, ..FileFormat::default() })
}

/// `header` or `coupon`, the separator of its cells, and the columns.
fn brief(header: FileHeader) -> String {
    let word = if header.is_line() { "header" } else { "coupon" };
    let column = |column: &Option<KnownColumn>| column.map_or("-", KnownColumn::as_str);
    let columns: Vec<&str> = header.columns().iter().map(column).collect();
    format!("{word} {:?} {}", header.separator(), columns.join(" "))
}

/// Checks the brief of a header, or what the error says among other things.
fn check(name: &str, found: Result<FileHeader, BadFile>, want: Result<&str, &str>) {
    let found = found.map(brief).map_err(|error| error.to_string());
    match want {
        Ok(want) => assert_eq!(found.as_deref(), Ok(want), "{name}"),
        Err(want) => {
            assert!(found.as_ref().is_err_and(|it| it.contains(want)), "{name}: {found:?}")
        }
    }
}

#[test]
fn headers_and_coupons() {
    let all = format!("header ',' {}", ALL.replace(',', " "));
    let coupon = "coupon ',' code valid_from expires_at";
    let cases = [
        ("code alone", "code", "header ',' code"),
        ("any order", "state,expires_at,code", "header ',' state expires_at code"),
        ("capitals and spaces", " CODE , User_ID ", "header ',' code user_id"),
        ("quoted", "\"code\",\"state\"", "header ',' code state"),
        ("a mark that was left", "\u{feff}code", "header ',' code"),
        ("a mark and a quote", "\u{feff}\"code\"", "header ',' code"),
        ("all of them", ALL, &all),
        ("Korean", "쿠폰번호,만료일", "header ',' code expires_at"),
        ("Korean alone", "쿠폰번호", "header ',' code"),
        ("the other order", "만료일,쿠폰번호", "header ',' expires_at code"),
        ("English", "Coupon Code,Expiry", "header ',' code expires_at"),
        ("English alone", "coupon_code", "header ',' code"),
        (
            "a system that couponry replaces",
            "couponNumber,customerId,expiredAt",
            "header ',' code user_id expires_at",
        ),
        ("semicolons", "쿠폰번호;만료일", "header ';' code expires_at"),
        ("tabs", "쿠폰번호\t시작일\t만료일", "header '\\t' code valid_from expires_at"),
        ("an alias that could be a code", "PROMOCODE", "header ',' code"),
        ("a code", "ABCD1234", coupon),
        ("a code with blanks", "ABCD 1234", coupon),
        ("a code and dates", "ABCD1234,,20261231", coupon),
        ("a code and empty cells", "ABCD1234,,", coupon),
        ("an instant", "ABCD1234,2026-01-01T00:00:00Z", coupon),
        ("dates the wrong way round", "ABCD1234,20261231,20260101", coupon),
        ("another word of four letters", "CODA", coupon),
        ("code with a hyphen is a coupon", "CO-DE", coupon),
        ("a coupon called state", "STATE,2026-01-01", coupon),
        ("a coupon with an alias as its code", "EXPIRY,,2026-01-01", coupon),
        ("a tab at the end", "PAR1ABCD\t", coupon),
        ("a coupon with semicolons", "ABCD;20260101;20261231", &coupon.replace(',', ";")),
        (
            "the file of another system: code, first day, last day",
            "AB12CD34EF56GH78IJ9,20180401,20180420",
            coupon,
        ),
    ];
    for (name, line, want) in cases {
        assert_eq!(brief(read(line, None).unwrap()), want, "{name}");
    }
}

#[test]
fn refused() {
    let long = "x".repeat(65);
    let cases = [
        ("unknown", "code,Value", "column 2 is \"Value\", want one of"),
        ("a use", "code,used", "column 2 is \"used\", which looks like a state or a use"),
        ("a use in Korean", "쿠폰번호,사용여부", "ignore=사용여부"),
        ("a count of uses", "code,Times Used", "state:2"),
        ("unknown before code", "nr,code", "column 1 is \"nr\""),
        ("a long one is cut", &format!("code,{long}"), "xx…\", want one of"),
        ("twice", "code,state,STATE", "columns 2 and 3 both mean state"),
        ("two aliases", "쿠폰번호,만료일,유효기간", "columns 2 and 3 both mean expires_at"),
        ("no code", "state,user_id", "column state is there, but no column code"),
        ("code by another name", "voucher,expires_at", "but no column code"),
        (
            "a spelling",
            "쿠폰번로,만료일",
            "is column 1, \"쿠폰번로\", meant to be 쿠폰번호 (code)?",
        ),
        ("a spelling in English", "code,exipres_at", "meant to be expires_at?"),
        ("the whole header unknown", "등록번호,날짜", "is neither a coupon nor a header"),
        ("a word that could be a code", "voucher,until", "its cell 2 is \"until\""),
        ("a word alone", "voucher", "which is the name of a column"),
        ("words", "nummer,ab,bis", "neither a coupon nor a header"),
        ("a day or a month first", "ABCD1234,03/04/2027", "dates=day-first"),
        ("a code and no date", "ABCD1234,soon", "no date for valid_from"),
        ("a German date", "ABCD1234,31.12.2026", "no date for valid_from"),
        ("four cells", "ABCD1234,,,", "it has 4 cells"),
        ("a rounded code", "1.23E+15,20261231", "which is no code"),
        ("no code first", "20261231,ABCD!", "neither"),
        ("an empty code before a tab", "\t20261231", "its cell 1 is \"\", which is no code"),
        (
            "the upload of a system without codes",
            "couponType,couponName,delFlag,used,customerId",
            "no column code",
        ),
        ("an open quote", "code,\"state", "a quote in the first line"),
        ("two separators", "code;valid_from,expires_at", "no column code"),
    ];
    for (name, line, want) in cases {
        let error = read(line, None).map(brief).unwrap_err().to_string();
        assert!(error.contains(want), "{name}: {error}");
        if !error.contains("quote") {
            let names_all = error.contains("code, valid_from, expires_at, state");
            assert!(names_all || error.contains("looks like a state"), "{name}: {error}");
            assert!(error.contains("columns=code:1"), "{name}: {error}");
        }
    }
}

#[test]
fn mappings() {
    let cases = [
        ("by name", "code:쿠폰,expires_at:끝", "쿠폰,이름,끝", Ok("header ',' code - expires_at")),
        ("by name, another case", "code:nr", "NR;x", Ok("header ';' code -")),
        (
            "a known name is only what the map says",
            "code:nr",
            "nr,expires_at",
            Ok("header ',' code -"),
        ),
        (
            "by number, Korean",
            "code:1,expires_at:3",
            "쿠폰,이름,끝",
            Ok("header ',' code - expires_at"),
        ),
        (
            "by number, English",
            "code:1,expires_at:3",
            "coupon,name,end",
            Ok("header ',' code - expires_at"),
        ),
        (
            "by number, a coupon",
            "code:1,expires_at:3",
            "ABCD1,Kim,20261231",
            Ok("coupon ',' code - expires_at"),
        ),
        ("by number, letters", "code:1", "SUMMER,Kim", Ok("coupon ',' code -")),
        ("by number, a word of headers", "code:1", "coupon,x1", Ok("header ',' code -")),
        ("by number, another separator beside", "code:1", "ABCD,x;y;z", Ok("coupon ',' code -")),
        (
            "the other way round",
            "expires_at:1,code:2",
            "20261231\tABCD1",
            Ok("coupon '\\t' expires_at code"),
        ),
        (
            "a date is none",
            "code:1,expires_at:2",
            "ABCD1,31.12.2026",
            Err("may be a header or a coupon"),
        ),
        (
            "a code is none",
            "code:1,expires_at:2",
            "AB_1,20261231",
            Err("may be a header or a coupon"),
        ),
        ("too far", "code:4", "a,b,c", Err("column 4, but the first line has 3")),
        (
            "not there",
            "code:nr",
            "code,x",
            Err("to \"nr\", but the first line has \"code\", \"x\""),
        ),
        ("there twice", "code:nr", "nr,NR", Err("has that twice")),
        ("the same twice", "code:1,state:1", "a,b", Err("both code and state to column 1")),
    ];
    for (name, map, line, want) in cases {
        let found = read(line, Some(map));
        check(name, found, want);
    }
}

/// Columns that a map does not name are skipped, but not one that says a state, unless it is ignored.
#[test]
fn skipped_columns() {
    const USED: &str = "쿠폰번호,이름,사용여부";
    let cases = [
        ("a state", "code:1", "", USED, Err("column 3 is \"사용여부\"")),
        ("a state by its name", "code:쿠폰번호", "", USED, Err("columns=code:1,state:3")),
        ("mapped", "code:1,state:3", "", USED, Ok("header ',' code - state")),
        ("ignored by name", "code:1", "사용여부", USED, Ok("header ',' code - -")),
        ("ignored by number", "code:1", "3", USED, Ok("header ',' code - -")),
        ("not by rest", "code:1", "rest", USED, Err("ignore=사용여부")),
        ("status", "code:1", "", "nr,Status", Err("column 2")),
        ("a count", "code:1", "", "nr,사용 횟수", Err("column 2")),
        ("a state of redemption", "code:1", "", "nr,redeemed", Err("column 2")),
        ("when it was redeemed", "code:1", "", "nr,redeemed_at", Err("column 2")),
        (
            "the same beside its state",
            "code:nr,state:state",
            "",
            "nr,state,redeemed_at",
            Ok("header ',' code state -"),
        ),
        ("a use beside its state", "code:1,state:2", "", "nr,state,used", Err("column 3")),
        ("the name of a user", "code:1", "", "nr,사용자명", Ok("header ',' code -")),
        ("no map, ignored", "", "memo", "code,Memo", Ok("header ',' code -")),
        ("no map, not ignored", "", "note", "code,Memo", Err("ignore=rest")),
        ("no map, the rest", "", "rest", "code,Memo,x", Ok("header ',' code - -")),
        ("no map, a state is not the rest", "", "rest", "code,used", Err("ignore=used")),
        ("a known column can be ignored", "", "state", "code,state", Ok("header ',' code -")),
        ("without a name", "", "", "code,,expires_at,", Ok("header ',' code - expires_at -")),
    ];
    for (name, map, ignore, line, want) in cases {
        let columns = (!map.is_empty()).then(|| map.parse::<ColumnMap>().unwrap());
        let format =
            FileFormat { columns, ignore: ignore.parse().unwrap(), ..FileFormat::default() };
        let found = FileHeader::read(line, &format);
        check(name, found, want);
    }
}

/// The headers of other systems, as their manuals list them.
#[test]
fn known_exports() {
    let cases = [
        (
            "couponry",
            "code,campaign_id,batch_id,state,expired,paused,holder,valid_from,expires_at,expires_on,\
             time_zone,held_until,issued_at,redeemed_at,order_ref,created_at,modified_at,version,tier",
            "code - - state - - user_id valid_from expires_at - - - issued_at redeemed_at order_ref - - - -",
        ),
        (
            "Voucherify",
            "Code,Voucher Type,Value,Discount Type,Start Date,Expiration Date,Redemption Quantity,\
             Redemption Count,Active",
            "code - - - valid_from expires_at state state state",
        ),
        (
            "Talon.One",
            "id,created,campaignid,value,startdate,expirydate,limitval,counter,recipientintegrationid",
            "- - - code valid_from expires_at state state user_id",
        ),
        (
            "Shopify (Matrixify)",
            "ID,Title,Code,Starts At,Ends At,Status,Limit Total Times,Code Used Count",
            "- - code valid_from expires_at - state state",
        ),
        (
            "WooCommerce",
            "post_title,post_status,discount_type,coupon_amount,expiry_date,usage_count,usage_limit",
            "code state - - expires_at state state",
        ),
        ("Magento", "Coupon Code,Created,Used,Times Used", "code - - state"),
        (
            "Stripe",
            "id,code,active,coupon,customer,expires_at,max_redemptions,times_redeemed",
            "- code state - user_id expires_at state state",
        ),
    ];
    for (name, line, want) in cases {
        let header = read(line, None).unwrap();
        assert_eq!(header.export().map(|it| it.name), Some(name));
        assert_eq!(brief(header), format!("header ',' {want}"), "{name}");
    }
}

fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 33) as usize
}

/// For every first line: columns go by position only if the line is a coupon, and by name only if
/// each cell is a name.
#[test]
fn never_by_position_unless_it_is_a_coupon() {
    // The last one is empty.
    const CELLS: &str = "code|CODE|쿠폰번호|쿠폰번로|만료일|만료|유효기간|시작일|사용일|회원ID|번호|이름|\
        coupon|voucher|expiry|until|state|user_id|ABCD1234|SUMMER|\
        AB_1|1.23E+15|20261231|2026-12-31|31.12.2026|soon|2026-02-30|";
    let known: Vec<&str> = CELLS.split('|').collect();
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let (mut coupons, mut headers, mut refused) = (0, 0, 0);
    for _ in 0..4_000 {
        let separator = [",", ";", "\t"][random(&mut state) % 3];
        let count = 1 + random(&mut state) % 4;
        let cells: Vec<&str> =
            (0..count).map(|_| known[random(&mut state) % known.len()]).collect();
        let line = cells.join(separator);
        // Tabs after a single cell are blanks.
        let is_one = separator == "\t" && cells[1..].iter().all(|cell| cell.is_empty());
        let cells = if is_one { vec![cells[0]] } else { cells };
        let is_date = |cell: &str| ["20261231", "2026-12-31"].contains(&cell) || cell.is_empty();
        match read(&line, None) {
            Ok(header) if !header.is_line() => {
                coupons += 1;
                assert_eq!(header.columns(), WITHOUT_HEADER.map(Some), "{line:?}");
                assert!(cells[0].parse::<Code>().is_ok(), "{line:?}");
                assert!(cells[1..].iter().all(|cell| is_date(cell)), "{line:?}");
            }
            Ok(header) => {
                headers += 1;
                let meant: Vec<_> = cells.iter().map(|cell| KnownColumn::meant(cell)).collect();
                assert_eq!(header.columns(), meant, "{line:?}");
                assert!(meant.contains(&Some(KnownColumn::Code)), "{line:?}");
                let is_named = |cell: &&str| KnownColumn::meant(cell).is_some() || cell.is_empty();
                assert!(cells.iter().all(is_named), "{line:?}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(coupons > 100 && headers > 100 && refused > 1_000, "{coupons} {headers} {refused}");
}

#[test]
fn values_of_skipped_columns() {
    let cases = [
        ("a no that nobody explains", "code:1", false),
        ("a no beside the state", "code:1,state:2", true),
    ];
    for (name, map, want) in cases {
        let format = FileFormat { columns: map.parse().ok(), ..FileFormat::default() };
        let header = FileHeader::read("code,x,paused", &format).unwrap();
        let found = header.check_skipped("AAAA1,issued,false", &format);
        assert_eq!(found.is_ok(), want, "{name}: {found:?}");
    }
}
