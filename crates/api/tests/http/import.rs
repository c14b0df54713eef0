//! Imports over HTTP: the counts and the report cover every line.

use axum::body::Body;
use futures::stream::iter;
use serde_json::{Value, json};

use crate::service::{ANN, Admin, Answer, Asked, CODE_KEY, Service, Shop};

async fn stocked() -> Service {
    let service = Service::new();
    service.campaign("c", json!({"stock": 0, "per_user_limit": 100})).await;
    service
}

/// lines, imported, already_there, rejected
fn counts(answer: &Answer) -> [i64; 4] {
    let found = ["lines", "imported", "already_there", "rejected"]
        .map(|field| answer.json[field].as_i64().unwrap_or(-1));
    assert_eq!(found[0], found[1] + found[2] + found[3], "they add up: {}", answer.text);
    found
}

/// The rejected lines as `line reason`.
async fn rejects(service: &Service, batch: &str) -> Vec<String> {
    let target = format!("/v1/campaigns/c/batches/{batch}");
    let answer = service.send(Admin, Asked::new("GET", &target).header("accept", "text/csv")).await;
    assert!(
        answer.is("200", batch).header("content-type").is_some_and(|it| it.starts_with("text/csv"))
    );
    let mut lines = answer.text.lines();
    assert_eq!(lines.next(), Some("line,text,reason,detail"));
    let word = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let known = |cell: &&&str| {
            cell.len() > 3 && cell.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c == '8')
        };
        let reason = cells.iter().skip(2).find(known);
        format!("{} {}", cells[0], reason.unwrap_or(&"?"))
    };
    // That of the file comes first.
    lines.filter(|line| !line.starts_with("0,")).map(word).collect()
}

#[tokio::test]
async fn every_line_is_counted() {
    let service = stocked().await;
    let ours = coupon::minted::CodeKey::new(CODE_KEY).mint(coupon::time::Day(21_915), 7);
    let long = "L".repeat(64);
    let over = "L".repeat(65);
    let file = format!(
        "code,expires_at,state,user_id,redeemed_at,order_ref\n\
         0001234,,,,,\n\
         good-1,20271231,,,,\n\
         good 2,2027-12-31,available,,,\n\
         GOOD3,2027-06-01T00:00:00Z,issued,ann,,\n\
         GOOD4,,redeemed,ann,2026-10-01,A-1\n\
         GOOD5,,redeemed,,2026-10-01,\n\
         GOOD6,,void,,,\n\
         {long},,,,,\n\
         {over},,,,,\n\
         ABC,,,,,\n\
         BAD!CODE,,,,,\n\
         BADDATE,2027-02-30,,,,\n\
         BADSTATE,,used,,,\n\
         NOUSER,,issued,,,\n\
         NOTIME,,redeemed,ann,,\n\
         {ours},,,,,\n\
         good-1,20271231,,,,\n\
         good 2,2028-01-01,,,,\n\
         TOOMANY,,,,,,,,x\n\
         1.23E+15,,,,,\n"
    );
    let answer = service.import("c", "b", &file).await;
    assert_eq!(counts(answer.is("201", "import")), [20, 8, 1, 11], "{}", answer.text);
    assert_eq!(answer.json["count"], 8, "coupons of the batch");
    let found = rejects(&service, "b").await;
    let reasons: Vec<&str> = found.iter().filter_map(|it| it.split(' ').nth(1)).collect();
    assert_eq!(found.len(), 11, "{found:?}");
    assert!(!reasons.contains(&"?"), "{found:?}");
    let numbers: Vec<&str> = found.iter().filter_map(|it| it.split(' ').next()).collect();
    let want = ["10", "11", "12", "13", "14", "15", "16", "17", "19", "20", "21"];
    assert_eq!(numbers, want, "the lines as an editor counts them");
    assert!(found.contains(&"17 LOOKS_MINTED".to_owned()), "{found:?}");
    assert!(found.contains(&"19 CODE_TAKEN".to_owned()), "{found:?}");

    let cases = [
        ("leading zeros stay", "0001234", "available", json!(null), "2028-01-01T00:00:00.000Z"),
        ("a hyphen", "GOOD1", "available", json!(null), "2028-01-01T00:00:00.000Z"),
        ("a blank", "good-2", "available", json!(null), "2028-01-01T00:00:00.000Z"),
        ("an instant", "GOOD3", "issued", json!("ann"), "2027-06-01T00:00:00.000Z"),
        ("redeemed", "GOOD4", "redeemed", json!("ann"), "2028-01-01T00:00:00.000Z"),
        (
            "redeemed, without a holder",
            "GOOD5",
            "redeemed",
            json!(null),
            "2028-01-01T00:00:00.000Z",
        ),
        ("void", "GOOD6", "void", json!(null), "2028-01-01T00:00:00.000Z"),
        ("64 characters", &long, "available", json!(null), "2028-01-01T00:00:00.000Z"),
    ];
    for (name, code, state, holder, expires_at) in cases {
        let coupon = service.coupon(code).await;
        assert_eq!(coupon["state"], state, "{name}");
        assert_eq!(coupon["holder"], holder, "{name}");
        assert_eq!(coupon["expires_at"], expires_at, "{name}");
        assert_eq!(
            (&coupon["batch_id"], &coupon["campaign_id"]),
            (&json!("b"), &json!("c")),
            "{name}"
        );
    }
    assert_eq!(service.coupon("GOOD4").await["order_ref"], "A-1");
    assert_eq!(service.coupon("GOOD5").await["order_ref"], "import:GOOD5");
    let unknown = service.get(Admin, "/v1/coupons/1234").await;
    unknown.is("404 NOT_FOUND", "without its zeros it is another code");
    let campaign = service.get(Admin, "/v1/campaigns/c").await.json;
    let counts = ["stock", "issued", "redeemed", "void"].map(|field| campaign[field].clone());
    assert_eq!(counts, [json!(8), json!(1), json!(2), json!(1)]);
    let replay = json!({"user_id": "ann", "order_ref": "A-1"});
    let replay = service.post(Shop, "/v1/coupons/GOOD4/redeem", replay).await;
    replay.is("200", "the order of the old system, sent again");
}

#[tokio::test]
async fn the_same_file_twice_changes_nothing() {
    let service = stocked().await;
    let file = "code,state,user_id\nONE1,,\nTWO2,issued,ann\nTHREE3,,\n";
    let first = service.import("c", "b", file).await;
    assert_eq!(counts(first.is("201", "first")), [3, 3, 0, 0]);
    let before = [service.coupon("ONE1").await, service.coupon("TWO2").await];
    let again = service.import("c", "b", file).await;
    assert_eq!(counts(again.is("200", "again")), [3, 0, 3, 0]);
    service.does("redeem", "TWO2", "1").await.is("201", "redeemed here since");
    let used = service.coupon("TWO2").await;
    let service = service.reopened();
    let later = service.import("c", "b", file).await;
    assert_eq!(counts(later.is("200", "after a redemption and a restart")), [3, 0, 3, 0]);
    assert_eq!(service.coupon("ONE1").await, before[0]);
    assert_eq!(service.coupon("TWO2").await, used, "compared with what was imported");
    assert_eq!(service.get(Admin, "/v1/campaigns/c").await.json["stock"], 3);
    let other = service.import("c", "b2", file).await;
    let [lines, imported, ..] = counts(other.is("201", "into another batch"));
    assert_eq!((lines, imported), (3, 0), "no new coupons: {}", other.text);
}

#[tokio::test]
async fn later_files_move_coupons_forward() {
    let service = stocked().await;
    let import = async |state: &str| {
        let file = format!("code,state,user_id,redeemed_at\nMOVE1,{state}\n");
        counts(
            service
                .import("c", "b", &file)
                .await
                .is(if state == ",," { "201" } else { "200" }, state),
        )
    };
    let state = async || service.coupon("MOVE1").await["state"].clone();
    let cases = [
        ("available", ",,", [1, 1, 0, 0], "available"),
        ("issued", "issued,ann,", [1, 1, 0, 0], "issued"),
        ("issued again", "issued,ann,", [1, 0, 1, 0], "issued"),
        ("redeemed", "redeemed,ann,2026-11-01", [1, 1, 0, 0], "redeemed"),
        ("redeemed again", "redeemed,ann,2026-11-01", [1, 0, 1, 0], "redeemed"),
    ];
    for (name, line, want, now) in cases {
        assert_eq!(import(line).await, want, "{name}");
        assert_eq!(state().await, now, "{name}");
    }
    assert_eq!(state().await, "redeemed", "never back");
    let [_, imported, ..] = import("issued,ann,").await;
    assert_eq!((imported, state().await), (0, json!("redeemed")), "an older file");
    let kinds: Vec<Value> = service.coupon("MOVE1").await["events"]
        .as_array()
        .map(|events| events.iter().map(|event| event["kind"].clone()).collect())
        .unwrap_or_default();
    assert_eq!(kinds, ["issued", "redeemed"]);
}

#[tokio::test]
async fn lines_that_contradict_changes_here() {
    let service = stocked().await;
    let first = "code\nMINE1\nMINE2\n";
    service.import("c", "b", first).await.is("201", "import");
    let code = service.post(Shop, "/v1/coupons/MINE1/issue", json!({"user_id": "bob"})).await;
    code.is("201", "issued here");
    let order = json!({"user_id": "bob", "order_ref": "1"});
    service.post(Shop, "/v1/coupons/MINE1/redeem", order).await.is("201", "and redeemed here");
    let late = "code,state,user_id,redeemed_at\nMINE1,redeemed,ann,2026-11-01\nMINE2,void,,\n";
    let answer = service.import("c", "b", late).await;
    assert_eq!(counts(answer.is("200", "late")), [2, 1, 0, 1]);
    assert_eq!(rejects(&service, "b").await, ["2 ALREADY_REDEEMED"]);
    assert_eq!(service.coupon("MINE1").await["holder"], "bob", "the redemption here stays");
}

#[tokio::test]
async fn files_of_another_format() {
    let service = stocked().await;
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("xlsx", b"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml xl/workbook.xml".into(), "CSV"),
        ("xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".into(), "CSV"),
        ("zip", b"PK\x03\x04\x14\x00codes.csv".into(), "CSV"),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00".into(), "CSV"),
        ("zero bytes", b"code\0\0\0\0ABCD\n".into(), "UTF-8"),
        ("PDF", b"%PDF-1.7\n".into(), "CSV"),
        ("Parquet", b"PAR1\x15\x04\x15".into(), "CSV"),
        ("JSON", b"{\"code\": \"AAAA\"}\n".into(), "CSV"),
        ("HTML", b"<!DOCTYPE html><html>".into(), "CSV"),
    ];
    for (name, bytes, hint) in cases {
        let asked = Asked::new("POST", "/v1/campaigns/c/batches?batch_id=b").csv(bytes);
        let answer = service.send(Admin, asked).await;
        answer.is("415 UNSUPPORTED_MEDIA_TYPE", name);
        assert!(answer.string("detail").contains(hint), "{name}: {}", answer.text);
    }
    let asked = Asked::new("POST", "/v1/campaigns/c/batches").typed("application/gzip", "x");
    service.send(Admin, asked).await.is("415 UNSUPPORTED_MEDIA_TYPE", "by its type");
    let target = "/v1/campaigns/c/batches/b";
    service.get(Admin, target).await.is("404 NOT_FOUND", "no batch was made");
}

#[tokio::test]
async fn headers() {
    let service = stocked().await;
    let cases = [
        ("an unknown column", "code,colour\nAAAA1,red\n", "422 UNPROCESSABLE"),
        ("a column twice", "code,code\nAAAA1,AAAA1\n", "422 UNPROCESSABLE"),
        ("any order", "expires_at,code\n2027-12-31,AAAA2\n", "201"),
        ("no header", "AAAA3,2026-11-01,2027-12-31\nAAAA4\n", "201"),
        ("a mark and carriage returns", "\u{feff}code,expires_at\r\nAAAA5,20271231\r\n", "201"),
        ("quotes", "\"code\",\"expires_at\"\n\"AAAA6\",\"2027-12-31\"\n", "201"),
        ("no line end at the end", "code\nAAAA7", "201"),
        ("only a header", "code\n", "201"),
    ];
    for (nth, (name, file, want)) in cases.into_iter().enumerate() {
        let answer = service.import("c", &format!("b{nth}"), file).await;
        answer.is(want, name);
        if want == "201" {
            let [_, _, _, rejected] = counts(&answer);
            assert_eq!(rejected, 0, "{name}: {}", answer.text);
        } else {
            assert!(answer.string("detail").contains("co"), "{name}: {}", answer.text);
        }
    }
    for nth in 2..=7 {
        service.coupon(&format!("AAAA{nth}")).await;
    }
    let first = service.coupon("AAAA3").await;
    assert_eq!(first["valid_from"], "2026-11-01T00:00:00.000Z", "the first day");
    assert_eq!(first["expires_at"], "2028-01-01T00:00:00.000Z", "the last day");
    let empty = service.import("c", "empty", "").await;
    assert!(empty.status < 500, "an empty file: {}", empty.text);
    for who in [Shop, ANN] {
        let asked = Asked::new("POST", "/v1/campaigns/c/batches").csv("code\nAAAA8\n");
        service.send(who, asked).await.is("403 FORBIDDEN", "for an admin");
    }
    service.import("nowhere", "b", "code\nAAAA9\n").await.is("404 NOT_FOUND", "no campaign");
    let again = service.get(Admin, "/v1/coupons/AAAA1").await;
    again.is("404 NOT_FOUND", "a refused file imports nothing");
}

#[tokio::test]
async fn codes_are_taken_once() {
    let service = stocked().await;
    service.campaign("d", json!({})).await;
    let terms = json!({"handout": "shared", "shared_code": "SUMMER"});
    service.campaign("s", terms).await;
    service.import("d", "b", "code\nELSEWHERE\n").await.is("201", "elsewhere");
    let file = "code\nELSEWHERE\nSUMMER\nelse-where\nFREE1\n";
    let answer = service.import("c", "b", file).await;
    assert_eq!(counts(answer.is("201", "import")), [4, 1, 0, 3]);
    let want = ["2 CODE_TAKEN", "3 CODE_TAKEN", "4 REPEATED_CODE"];
    assert_eq!(rejects(&service, "b").await, want);
    assert_eq!(service.coupon("ELSEWHERE").await["campaign_id"], "d");
    let shared = json!({"handout": "shared", "shared_code": "free1", "expires_on": "2027-12-31"});
    let answer = service.post(Admin, "/v1/campaigns", shared).await;
    answer.is("409 NAME_TAKEN", "a shared code that is the code of a coupon");
}

#[tokio::test]
async fn expired_lines() {
    let service = stocked().await;
    let file = "code,valid_from,expires_at\nDEAD1,20260101,2026-11-10\nDEAD2,20200101,2020-01-31\n";
    let answer = service.import("c", "b", file).await;
    // A partition is open until its coupons are archived.
    assert_eq!(counts(answer.is("201", "import")), [2, 2, 0, 0], "{}", answer.text);
    let coupon = service.coupon("DEAD1").await;
    assert_eq!((&coupon["expired"], &coupon["expires_on"]), (&json!(true), &json!("2026-11-10")));
    let later = json!({"expires_on": "2027-01-01", "reason": "goodwill"});
    service.admin("extend", "DEAD1", later.clone()).await.is("200", "within extend_days");
    service.admin("extend", "DEAD2", later).await.is("409 EXPIRY_DAY_CLOSED", "years after them");
}

#[tokio::test]
async fn imported_stock_is_issued_exactly_once() {
    let service = stocked().await;
    service.import("c", "b", "code,state\nGIVE1,\nGIVE2,void\nGIVE3,\n").await.is("201", "import");
    let issue = async |user: &str| {
        let body = json!({"user_id": user, "issue_ref": "r"});
        service.post(Shop, "/v1/campaigns/c/issue", body).await
    };
    let mut codes = [issue("ann").await.string("code"), issue("bob").await.string("code")];
    codes.sort();
    assert_eq!(codes, ["GIVE1", "GIVE3"]);
    issue("eve").await.is("409 SOLD_OUT", "a void coupon is not issued");
    issue("ann").await.is("200", "ann again");
}

#[tokio::test]
async fn imported_coupons_count_towards_the_limit() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 2})).await;
    let file = "code,state,user_id\nHAS1,issued,ann\nHAS2,issued,ann\nHAS3,issued,ann\n";
    let answer = service.import("c", "b", file).await;
    assert_eq!(
        counts(answer.is("201", "import")),
        [3, 3, 0, 0],
        "a line is not refused by the limit"
    );
    let body = json!({"user_id": "ann", "issue_ref": "r"});
    let issued = service.post(Shop, "/v1/campaigns/c/issue", body).await;
    issued.is("409 LIMIT_PER_USER", "but it counts");
    assert_eq!(service.get(ANN, "/v1/coupons").await.data("code").len(), 3);
}

#[tokio::test]
async fn long_codes_are_found() {
    let service = stocked().await;
    let codes = ["A".repeat(15), "B".repeat(16), "CU".repeat(10), "D".repeat(64)];
    let missing = service.get(Admin, &format!("/v1/coupons/{}", codes[1])).await;
    missing.is("404 NOT_FOUND", "before");
    let file = format!("code\n{}\n", codes.join("\n"));
    let answer = service.import("c", "b", &file).await;
    assert_eq!(counts(answer.is("201", "import")), [4, 4, 0, 0]);
    for code in &codes {
        let hyphens: Vec<String> =
            code.as_bytes().chunks(4).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
        for spelt in [code.clone(), code.to_lowercase(), hyphens.join("-")] {
            assert_eq!(service.coupon(&spelt).await["code"], json!(code), "{spelt}");
        }
    }
    let service = service.reopened();
    service.coupon(&codes[1]).await;
}

#[tokio::test]
async fn uploads_in_pieces_and_broken_uploads() {
    let service = stocked().await;
    let file: String = (0..1_000).map(|nth| format!("PIECE{nth:04}\n")).collect();
    let whole = || format!("code\n{file}");
    let half = whole().len() / 2 + 3;
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = whole().as_bytes()[..half]
        .chunks(7)
        .map(|piece| Ok(piece.to_vec()))
        .chain([Err(std::io::Error::other("the client is gone"))])
        .collect();
    let target = "/v1/campaigns/c/batches?batch_id=b";
    let asked = Asked::new("POST", target).csv(Body::from_stream(iter(pieces)));
    service.send(Admin, asked).await.is("408 TIMEOUT", "broken off");
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        whole().as_bytes().chunks(11).map(|piece| Ok(piece.to_vec())).collect();
    let asked = Asked::new("POST", target).csv(Body::from_stream(iter(pieces)));
    let answer = service.send(Admin, asked).await;
    let [lines, imported, already_there, rejected] = counts(answer.is("200", "sent again"));
    assert_eq!((lines, rejected), (1_000, 0));
    assert!(imported > 0 && already_there > 0, "{}", answer.text);
    assert_eq!(answer.json["count"], 1_000, "each coupon once");
    assert_eq!(service.get(Admin, "/v1/campaigns/c").await.json["stock"], 1_000);
}

#[tokio::test]
async fn many_rejected_lines() {
    let service = stocked().await;
    let file: String = (0..2_500).map(|nth| format!("BAD!{nth}\n")).collect();
    let answer = service.import("c", "b", &format!("code\n{file}")).await;
    assert_eq!(counts(answer.is("201", "import")), [2_500, 0, 0, 2_500]);
    let found = rejects(&service, "b").await;
    assert_eq!(found.len(), 2_500, "all pages of the report");
    assert_eq!((found[0].as_str(), found[2_499].as_str()), ("2 BAD_CODE", "2501 BAD_CODE"));
    let json = service.get(Admin, "/v1/campaigns/c/batches/b").await;
    assert_eq!(counts(json.is("200", "as JSON")), [2_500, 0, 0, 2_500]);
    // Lines of two parts of a file, and none between them.
    let file = format!("code\nBAD!\n{}BAD!\nBAD!\n", "\n".repeat(20_000));
    service.import("c", "b", &file).await.is("200", "again");
    let found = rejects(&service, "b").await;
    assert_eq!(found, ["2 BAD_CODE", "20003 BAD_CODE", "20004 BAD_CODE"], "of the last run alone");
}

/// The answer to a file that is sent to `batches` with these parameters.
async fn sent(service: &Service, query: &str, file: impl Into<Body>) -> Answer {
    let target = format!("/v1/campaigns/c/batches?{query}");
    service.send(Admin, Asked::new("POST", &target).csv(file)).await
}

#[tokio::test]
async fn a_first_line_that_is_neither_a_header_nor_a_coupon() {
    let service = stocked().await;
    let cases = [
        ("an unknown header", "번호,날짜\nAAAA1,20271231\n", "neither a coupon nor a header"),
        ("nearly known", "쿠폰번로,만료일\nAAAA1,20271231\n", "쿠폰번호 (code)"),
        ("nearly known in English", "cuopon_code,expiry\nAAAA1,20271231\n", "couponcode (code)"),
        (
            "a date in another format",
            "AAAA1,31.12.2027\nAAAA2,20271231\n",
            "no date for valid_from",
        ),
        ("twice", "쿠폰번호,만료일,유효기간\nAAAA1,20271231,20271231\n", "both mean expires_at"),
        ("after blank lines", "\n\n번호,날짜\nAAAA1,20271231\n", "neither a coupon nor a header"),
    ];
    for (name, file, hint) in cases {
        let answer = service.import("c", "b", file).await;
        answer.is("422 UNPROCESSABLE", name);
        let detail = answer.string("detail");
        for part in [hint, "code, valid_from, expires_at, state", "columns=code:1"] {
            assert!(detail.contains(part), "{name}: {detail}");
        }
    }
    let target = "/v1/campaigns/c/batches/b";
    service.get(Admin, target).await.is("404 NOT_FOUND", "no batch was made");
    service.get(Admin, "/v1/coupons/AAAA1").await.is("404 NOT_FOUND", "and no coupon");
}

#[tokio::test]
async fn headers_of_other_systems() {
    let service = stocked().await;
    let korean = "쿠폰번호,만료일\nAAAA1,20271130\n";
    let cp949: Vec<u8> =
        b"\xC4\xED\xC6\xF9\xB9\xF8\xC8\xA3,\xB8\xB8\xB7\xE1\xC0\xCF\r\nAAAA2,20271130\r\n".into();
    let utf16 = korean.replace("AAAA1", "AAAA3");
    let utf16: Vec<u8> = utf16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xFF\xFE", &utf16.clone()[..]].concat();
    let mapped = "columns=code:1,expires_at:3";
    let named = "columns=code:nr,expires_at:bis";
    let cases: [(&str, &str, Vec<u8>, &str); 10] = [
        ("Korean", "", korean.into(), "AAAA1"),
        ("CP949", "", cp949.clone(), "AAAA2"),
        ("CP949 by name", "encoding=euc-kr", cp949, "AAAA2"),
        ("UTF-16", "", utf16, "AAAA3"),
        ("UTF-16 with a mark", "encoding=utf-16", marked, "AAAA3"),
        ("semicolons", "", "coupon code;valid until\nAAAA4;2027-11-30\n".into(), "AAAA4"),
        ("tabs", "", "couponNumber\tcustomerId\texpiredAt\nAAAA5\t\t2027-11-30\n".into(), "AAAA5"),
        ("by number", mapped, "번호,이름,날짜\nAAAA6,Kim,20271130\n".into(), "AAAA6"),
        ("by number, no header", mapped, "AAAA7,Kim,20271130\n".into(), "AAAA7"),
        ("by name", named, "id,bis,nr\n1,20271130,AAAA8\n".into(), "AAAA8"),
    ];
    for (nth, (name, query, file, code)) in cases.into_iter().enumerate() {
        let answer = sent(&service, &format!("batch_id=b{nth}&{query}"), file).await;
        let [lines, _, _, rejected] = counts(answer.is("201", name));
        assert_eq!((lines, rejected), (1, 0), "{name}: {}", answer.text);
        let coupon = service.coupon(code).await;
        assert_eq!(coupon["expires_on"], "2027-11-30", "{name}: {coupon}");
        assert_eq!(coupon["valid_from"], "2026-11-20T12:00:00.000Z", "{name}: the campaign's");
    }
    let bad = [
        ("columns=code:4", "422 UNPROCESSABLE"),
        ("columns=code:nr", "422 UNPROCESSABLE"),
        ("columns=colour:1", "400 INVALID"),
        ("columns=expires_at:1", "400 INVALID"),
        ("columns=", "400 INVALID"),
        ("encoding=klingon", "400 INVALID"),
        ("dry_run=maybe", "400 INVALID"),
    ];
    for (query, want) in bad {
        sent(&service, query, "code,expires_at\nAAAA9,20271130\n").await.is(want, query);
    }
    let target = "/v1/campaigns/c/batches?dry_run=true&columns=code:1";
    let mint = service.post(Admin, target, json!({"count": 1})).await;
    assert_eq!(mint.is("400 INVALID", "to mint").fields(), ["columns", "dry_run"]);
}

/// A line of the file is a record; text within a cell is no coupon.
#[tokio::test]
async fn text_within_a_cell_is_no_coupon() {
    let service = stocked().await;
    let file = "code,description\nTHRA0001,\"Terms:\nFREE2027, no minimum\nask staff\"\n,\n\n";
    let answer = sent(&service, "batch_id=b&columns=code:code", file).await;
    assert_eq!(counts(answer.is("201", "import")), [1, 1, 0, 0]);
    service.get(Admin, "/v1/coupons/FREE2027").await.is("404 NOT_FOUND", "an inner line");
    let open = "code,description\nTHRA0002,\"Terms:\nFREE2027, no minimum\n";
    let answer = sent(&service, "batch_id=open&columns=code:code", open).await;
    assert_eq!(counts(answer.is("201", "an open quote")), [1, 0, 0, 1]);
    service.get(Admin, "/v1/coupons/FREE2027").await.is("404 NOT_FOUND", "perhaps an inner line");
}

/// Used coupons never come as available because a map leaves their column out.
#[tokio::test]
async fn a_state_is_not_left_out() {
    let service = stocked().await;
    let file = "쿠폰번호,이름,만료일,사용여부\nUSED1,Kim,2027-11-30,Y\nUSED2,Lee,2027-11-30,N\n";
    let mapped = "columns=code:1,expires_at:3";
    let answer = sent(&service, mapped, file).await;
    answer.is("422 UNPROCESSABLE", "the map of the hint");
    assert!(answer.string("detail").contains("ignore="), "{}", answer.text);
    let state = "batch_id=b&columns=code:1,expires_at:3,state:4&values=Y:void";
    let answer = sent(&service, state, file).await;
    assert_eq!(counts(answer.is("201", "mapped")), [2, 2, 0, 0], "{}", answer.text);
    assert_eq!(service.coupon("USED1").await["state"], "void");
    assert_eq!(service.coupon("USED2").await["state"], "available");
    let ignored = sent(&service, &format!("dry_run=true&{mapped}&ignore=4"), file).await;
    ignored.is("200", "ignored on purpose");
    let order = "code,expires_at\nDATE1,03/04/2027\n";
    let answer = sent(&service, "batch_id=d", order).await;
    assert_eq!(counts(answer.is("201", "one of two days")), [1, 0, 0, 1]);
    let answer = sent(&service, "batch_id=d&dates=day-first", order).await;
    assert_eq!(counts(answer.is("200", "said")), [1, 1, 0, 0]);
    assert_eq!(service.coupon("DATE1").await["expires_on"], "2027-04-03");
    for bad in ["values=Y", "values=Y:gone", "dates=year-first"] {
        sent(&service, bad, file).await.is("400 INVALID", bad);
    }
}

#[tokio::test]
async fn the_charset_of_the_content_type() {
    let service = stocked().await;
    let line = |holder: &[u8]| [b"code,state,user_id\nCTYP1,issued,", holder, b"\n"].concat();
    let target = "/v1/campaigns/c/batches?dry_run=true";
    let cases: [(&str, &str, &[u8], &str); 4] = [
        ("of Windows", "text/csv; charset=windows-1252", b"M\xFCller", "Müller"),
        ("quoted", "text/csv; header=present; charset=\"ISO-8859-2\"", b"\xA3\xF3d\xBC", "Łódź"),
        ("the parameter wins", "text/csv; charset=utf-8", b"M\xFCller", "Müller"),
        ("none", "text/csv", "Müller".as_bytes(), "Müller"),
    ];
    for (name, content_type, holder, want) in cases {
        let query = if name == "the parameter wins" { "&encoding=windows-1252" } else { "" };
        let asked =
            Asked::new("POST", &format!("{target}{query}")).typed(content_type, line(holder));
        let answer = service.send(Admin, asked).await;
        assert_eq!(answer.is("200", name).json["parsed_lines"][0]["user_id"], want, "{name}");
    }
    let asked = Asked::new("POST", target).typed("text/csv; charset=klingon", line(b"x"));
    service.send(Admin, asked).await.is("415 UNSUPPORTED_MEDIA_TYPE", "no charset");
}

/// The file of the system that couponry replaces: no header, codes of 19 characters, two dates.
#[tokio::test]
async fn the_file_of_the_old_system_is_imported_unchanged() {
    let service = stocked().await;
    let file = "AB12CD34EF56GH78IJ9,20261101,20271130\nZZ12CD34EF56GH78IJ9, 20261101, 20271130\n";
    let answer = service.import("c", "b", file).await;
    assert_eq!(counts(answer.is("201", "import")), [2, 2, 0, 0]);
    let coupon = service.coupon("ZZ12CD34EF56GH78IJ9").await;
    let dates = [&coupon["valid_from"], &coupon["expires_on"]];
    assert_eq!(dates, [&json!("2026-11-01T00:00:00.000Z"), &json!("2027-11-30")]);
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let service = stocked().await;
    service.campaign("d", json!({})).await;
    service.import("d", "b", "code\nELSEWHERE\n").await.is("201", "elsewhere");
    service.import("c", "old", "code\nHERE1\n").await.is("201", "here");
    let bad: String = (0..120).map(|nth| format!("BAD!{nth},\n")).collect();
    let file = format!(
        "쿠폰번호;만료일;회원ID;상태\nNEW1;2027-11-30;ann;issued\nHERE1;;;\nNEW1;2027-11-30;;\n\
         ELSEWHERE;;;\n{}",
        bad.replace(',', ";;;")
    );
    let answer = sent(&service, "dry_run=true&batch_id=b", file).await;
    let found = &answer.is("200", "dry run").json;
    let counts = ["lines", "new", "known", "unchecked", "rejected"].map(|it| found[it].clone());
    assert_eq!(counts, [json!(124), json!(1), json!(2), json!(0), json!(121)], "{}", answer.text);
    assert_eq!(found["columns"], json!(["code", "expires_at", "user_id", "state"]));
    let read = ["dry_run", "encoding", "separator", "header"].map(|it| found[it].clone());
    let header = json!("쿠폰번호;만료일;회원ID;상태");
    assert_eq!(read, [json!(true), json!("UTF-8"), json!(";"), header]);
    let rejected = found["rejected_lines"].as_array().expect("lines");
    assert_eq!(rejected.len(), 100, "the first hundred");
    assert_eq!((&rejected[0]["line"], &rejected[0]["reason"]), (&json!(5), &json!("CODE_TAKEN")));
    assert_eq!((&rejected[1]["line"], &rejected[1]["reason"]), (&json!(6), &json!("BAD_CODE")));
    let parsed = found["parsed_lines"].as_array().expect("lines");
    assert_eq!(parsed.len(), 4);
    let first = ["line", "code", "expires_on", "state", "user_id"].map(|it| parsed[0][it].clone());
    let want = [json!(2), json!("NEW1"), json!("2027-11-30"), json!("issued"), json!("ann")];
    assert_eq!(first, want);
    let target = "/v1/campaigns/c/batches/b";
    service.get(Admin, target).await.is("404 NOT_FOUND", "no batch was made");
    service.get(Admin, "/v1/coupons/NEW1").await.is("404 NOT_FOUND", "and no coupon");
    let refused = sent(&service, "dry_run=true", "번호,날짜\nAAAA1,20271231\n").await;
    refused.is("422 UNPROCESSABLE", "as an import");
    let asked = Asked::new("POST", "/v1/campaigns/c/batches?dry_run=true").csv("code\nA1B2\n");
    service.send(Shop, asked).await.is("403 FORBIDDEN", "for an admin");
}

/// A dry run looks up only a part of a long file, so its reads are bounded.
#[tokio::test]
async fn a_dry_run_has_bounded_reads() {
    let service = stocked().await;
    let lines = engine::import::DRY_RUN_LOOKUPS_MAX + 7;
    let file: String = (0..lines).map(|nth| format!("LONG{nth:06}\n")).collect();
    let before = service.engine.hot().gauge().reads;
    let answer = sent(&service, "dry_run=true", format!("code\n{file}LONG000000\n")).await;
    let found = &answer.is("200", "dry run").json;
    let counts = ["new", "known", "unchecked"].map(|it| found[it].as_u64().unwrap_or(0));
    assert_eq!(counts, [lines as u64 - 7, 1, 7], "{}", answer.text);
    let reads = service.engine.hot().gauge().reads - before;
    assert!(reads <= lines as u64 + 100, "{reads} reads");
}

#[tokio::test]
async fn the_template() {
    let service = stocked().await;
    let answer = service.get(Shop, "/v1/import-template.csv").await;
    assert_eq!(
        answer.is("200", "for a shop").header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    service
        .get(crate::service::Nobody, "/v1/import-template.csv")
        .await
        .is("401 UNAUTHENTICATED", "");
    let import = service.import("c", "b", &answer.text).await;
    assert_eq!(counts(import.is("201", "unchanged")), [4, 0, 0, 4], "its rows are no coupons");
    let edited = answer.text.replace("EXAMPLE_", "MINE");
    let import = service.import("c", "b", &edited).await;
    assert_eq!(counts(import.is("200", "with codes")), [4, 4, 0, 0], "{}", import.text);
}

/// The disk becomes full in the middle of an import. The answer says what was imported, the batch
/// counts it once writes succeed, and the same file again imports the rest.
#[tokio::test]
async fn an_import_on_a_full_disk() {
    const LINES: usize = 10_000;
    let service = stocked().await;
    let file: String = (0..LINES).map(|nth| format!("FULL{nth:05}\n")).collect();
    let file = format!("code\n{file}");
    let away = service.folder().with_extension("away");
    let first = "FULL00000".parse().expect("a code");
    let admin = engine::Caller::new(engine::Role::Admin, "root".parse().expect("a name"));
    let breaks = async {
        while service.engine.coupon(&admin, &first, None).await.is_err() {
            tokio::task::yield_now().await;
        }
        std::fs::rename(service.folder(), &away).expect("gone");
    };
    let (stopped, ()) = tokio::join!(service.import("c", "b", &file), breaks);
    let (detail, word) = (stopped.string("detail"), stopped.word());
    std::fs::rename(&away, service.folder()).expect("writable again");
    assert_eq!(word, "503 STORE_FULL", "{detail}");
    let imported = detail.split("stopped: ").nth(1).and_then(|it| it.split(' ').next());
    let imported: u64 = imported.and_then(|it| it.parse().ok()).unwrap_or(0);
    assert!(0 < imported && imported < LINES as u64, "{detail}");
    assert!(detail.contains("send the same file again into batch b"), "{detail}");
    let batch = async || service.get(Admin, "/v1/campaigns/c/batches/b").await;
    let counted = async {
        while batch().await.json["lines"] != json!(imported) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let counted = tokio::time::timeout(crate::service::LONG, counted).await;
    assert!(counted.is_ok(), "the batch says {}", batch().await.text);
    assert_eq!(counts(&batch().await)[1] as u64, imported);
    let again = service.import("c", "b", &file).await;
    let rest = LINES as i64 - imported as i64;
    assert_eq!(counts(again.is("200", "again")), [LINES as i64, rest, imported as i64, 0]);
}
