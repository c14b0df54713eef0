//! Imports as people do them: they see what the file has, say what it means, check it, and import it.

use engine::{ErasureRequest, StaffRole};

use crate::browser::{Browser, Page};
use crate::place::{Place, admin};

const PATH: &str = "/console/campaigns/spring/import";

/// What somebody has chosen on the page.
#[derive(Clone, Default)]
struct Choices<'a> {
    purpose: &'a str,
    columns: &'a [&'a str],
    values: &'a [(&'a str, &'a str)],
    again: &'a str,
    batch: &'a str,
    name: &'a str,
}

async fn sent(browser: &mut Browser, choices: &Choices<'_>, file: &str) -> Page {
    let csrf = browser.csrf().await;
    let header = if choices.columns.is_empty() { "" } else { "names" };
    let counts = [choices.columns.len().to_string(), choices.values.len().to_string()];
    let mut fields = vec![
        ("csrf", csrf.as_str()),
        ("encoding", ""),
        ("dates", ""),
        ("batch_id", choices.batch),
        ("header", header),
        ("columns", &counts[0]),
        ("values", &counts[1]),
    ];
    fields.extend(choices.columns.iter().map(|it| ("column", *it)));
    let of_values = choices.values.iter().map(|(value, it)| [("value", *value), ("means", *it)]);
    fields.extend(of_values.flatten());
    fields.push(("again", choices.again));
    let path = format!("{PATH}?for={}", choices.purpose);
    browser.upload_form(&path, &fields, choices.name, file).await
}

/// What the page has chosen for each column.
fn columns(page: &Page) -> Vec<String> {
    let selects = page.text.split("<select name=\"column\"").skip(1);
    let chosen = selects.map(|it| it.split("</select>").next().unwrap_or_default());
    let value = |it: &str| {
        let before = it.split("\" selected>").next().filter(|before| *before != it);
        before.and_then(|it| it.rsplit('"').next()).unwrap_or_default().to_owned()
    };
    chosen.map(value).collect()
}

#[tokio::test]
async fn columns_are_guessed() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let rows: [(&str, &str, &[&str]); 8] = [
        ("our names", "code,expires_at\nA-1,2027-01-31\n", &["code", "expires_at"]),
        (
            "names of a shop",
            "쿠폰 번호;고객등급;만료;사용여부\nAB-0001;VIP;2027-01-31;N\n",
            &["code", "", "expires_at", "state"],
        ),
        ("a wrong letter", "쿠폰번로,메모\nAB-0001,x\n", &["code", ""]),
        ("a code in a name", "product code,쿠폰번호\nx,AB-0001\n", &["", "code"]),
        ("no names", "AB-0001,VIP,x,y\n", &["code", "", "", ""]),
        ("one column", "AB-0001\nAB-0002\n", &["code"]),
        ("an export", "Code,Active,Times Redeemed\nAB-0001,true,0\n", &["code", "state", "state"]),
        (
            "lines that were rejected",
            "line,text,reason,detail\n2,\"AB-0001,31.31.2027\",BAD_DATE,x\n",
            &["code", ""],
        ),
    ];
    for (name, file, want) in &rows {
        let choices = Choices { purpose: "columns", name: "codes.csv", ..Choices::default() };
        let page = sent(&mut browser, &choices, file).await;
        assert_eq!(columns(&page), *want, "{name}: {}", page.text);
    }
    // What is read unaided is read so if nothing else is chosen.
    let (_, file, read) = rows[6];
    let choices = Choices { purpose: "check", columns: read, ..Choices::default() };
    let page = sent(&mut browser, &choices, file).await.must(200);
    page.has("an export of Stripe").has("1 lines: 1 new");
    let other = Choices { columns: &["code", "", "state"], ..choices.clone() };
    sent(&mut browser, &other, file).await.must(200).has("1 lines: 1 new");
    let twice = Choices { columns: &["code", "code", "state"], ..choices };
    sent(&mut browser, &twice, file).await.must(422).has("twice");
    let choices = Choices { purpose: "columns", name: "codes.csv", ..Choices::default() };
    let page = sent(&mut browser, &choices, "메모,등급\nx,y\n").await.must(422);
    page.has("say which column it is");
    sent(&mut browser, &choices, "").await.must(422).has("the file is empty");
}

/// Coupons that have expired in the old system need not come along.
#[tokio::test]
async fn lines_that_are_left_out() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let file = "code,state\nAB-0001,미사용\nAB-0002,만료\nno code!,만료\nAB-0003,보류\n";
    let choices = Choices { purpose: "check", columns: &["code", "state"], ..Choices::default() };
    let page = sent(&mut browser, &choices, file).await.must(200);
    page.has("4 lines: 1 new").has("<bdi>만료</bdi>").has("<bdi>보류</bdi>");
    let values = &[("만료", "leave-out"), ("보류", "void")];
    let choices = Choices { values, batch: "old", ..choices };
    let page = sent(&mut browser, &choices, file).await.must(200);
    page.has("2 lines: 2 new").has("2 lines are left out.");
    page.has("value=\"leave-out\" selected");
    let choices = Choices { purpose: "import", ..choices };
    sent(&mut browser, &choices, file).await.must(303);
    let (campaign, batch) = ("spring".parse().unwrap(), "old".parse().unwrap());
    let batch = place.engine.batch(&admin(), &campaign, &batch).await.unwrap();
    assert_eq!((batch.import.lines, batch.import.imported, batch.import.rejected), (2, 2, 0));
}

/// What nobody has to explain is shown, too: it may be understood wrong.
#[tokio::test]
async fn how_states_are_read() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let file = "code,state,user_id,redeemed_at\nAB-0001,미사용,,\nAB-0002,미사용,ann,\nAB-0003,사용완료,ann,2026-11-01\nAB-0004,보류,,\n";
    let choices = Choices { purpose: "columns", name: "codes.csv", ..Choices::default() };
    let page = sent(&mut browser, &choices, file).await.must(200);
    let of = |value: &str| {
        let label = page.text.split(&format!("<label><bdi>{value}</bdi>")).nth(1);
        label
            .and_then(|it| it.split("<option value=\"\">").nth(1)?.split('<').next())
            .map(str::to_owned)
    };
    for (value, want) in [
        ("미사용", "Available / Issued (as it is read)"),
        ("사용완료", "Redeemed (as it is read)"),
        ("보류", "Reject the lines"),
    ] {
        assert_eq!(of(value).as_deref(), Some(want), "{value}: {}", page.text);
    }
    // Of what is there already, nothing is imported again.
    let columns = &["code", "state", "user_id", "redeemed_at"];
    let import = Choices { purpose: "import", columns, batch: "one", ..choices.clone() };
    sent(&mut browser, &import, "code,state,user_id,redeemed_at\nAB-0001,미사용,,\n")
        .await
        .must(303);
    let check = Choices { purpose: "check", columns, ..choices };
    sent(&mut browser, &check, file).await.must(200).has(">Import 2 lines<");
}

/// A line for each fault of a row. The last one would take the lines behind it along.
const FAULTS: [&str; 19] = [
    "AB-0001,,,,,,,,,x",
    "code,valid_from,expires_at,state,user_id,redeemed_at,order_ref,order_amount,currency",
    "A!0001,,,,,,,,",
    "AAA,,,,,,,,",
    "1.23457E+15,,,,,,,,",
    "AB-0003,,soon,,,,,,",
    "AB-0004,,03/04/2027,,,,,,",
    "AB-0005,,03/04/27,,,,,,",
    "AB-0006,2027-02-01,2027-01-01,,,,,,",
    "AB-0007,,,waiting,,,,,",
    "AB-0008,,,issued,,,,,",
    "AB-0009,,,redeemed,ann,,,,",
    "AB-0010,,,available,,,o1,,",
    "AB-0011,,,issued,ann b,,,,",
    "AB-0012,,,redeemed,ann,2026-11-01,an order,,",
    "AB-0013,,,redeemed,ann,2026-11-01,o1,five,KRW",
    "AB-0014,,,redeemed,ann,2026-11-01,o1,5,XYZ",
    "AB-0015,,,redeemed,ann,2027-01-01,,,",
    "\"AB-0016,,,,,,,,",
];

/// Of the file itself, only what it has within quotes stays as it is.
#[tokio::test]
async fn no_fault_is_said_in_english() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    browser.lang = "ko";
    let file = format!("{}\n{}\n", FAULTS[1], FAULTS.join("\n"));
    let choices = Choices { purpose: "check", name: "codes.csv", ..Choices::default() };
    let page = sent(&mut browser, &choices, &file).await.must(200);
    let details = page.text.split("</code></td><td><bdi>").skip(1);
    let details: Vec<&str> = details.filter_map(|it| it.split("</bdi>").next()).collect();
    assert_eq!(details.len(), FAULTS.len(), "{details:#?}");
    for (line, detail) in FAULTS.iter().zip(details) {
        let detail = detail.replace("&#34;", "\"").replace("&#39;", "'");
        let said: String = detail.split('"').step_by(2).collect();
        let own = |word: &&str| !["", "user_id", "order_ref", "redeemed_at"].contains(word);
        let mut words = said.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(own);
        assert_eq!(words.find(|word| word.len() > 1), None, "{line}: {detail}");
    }
}

/// The file of a shop, of which nothing fits; one of its states has a comma.
const FILE: &str =
    "번호,고객등급,상태\nAB-0001,VIP,대기\nAB-0002,,\"종료, 환불\"\nAB-0003,VIP,대기\n";

#[tokio::test]
async fn an_import_is_guided() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    browser.lang = "ko";
    let asked = Choices { purpose: "columns", name: "쿠폰 목록.csv", ..Choices::default() };
    let page = sent(&mut browser, &asked, FILE).await.must(422);
    page.has("어느 열이 코드인지 고르세요").has("<bdi>AB-0001</bdi>").has("<bdi>고객등급</bdi>");
    assert_eq!(page.value("batch_id"), "kupon-mokrok", "the batch is named after the file");
    let twice = Choices { columns: &["code", "code", "state"], ..asked.clone() };
    let page = sent(&mut browser, &twice, FILE).await.must(422);
    page.has("하나만 남기세요");
    assert_eq!(columns(&page), ["code", "code", "state"], "what was chosen stays");
    let chosen = Choices { columns: &["code", "", "state"], ..asked };
    let page = sent(&mut browser, &chosen, FILE).await.must(200);
    for value in ["대기", "종료, 환불"] {
        page.has(&format!("<bdi>{value}</bdi><input type=\"hidden\" name=\"value\""));
    }
    let check = Choices { purpose: "check", ..chosen };
    let page = sent(&mut browser, &check, FILE).await.must(200);
    page.has("모든 줄이 거부되어").has("notice bad").has("의 뜻을 알 수 없습니다");
    assert!(!page.text.contains("for=import"), "there is nothing to import");
    let some = [("대기", "available"), ("종료, 환불", "")];
    let check = Choices { values: &some, ..check };
    let page = sent(&mut browser, &check, FILE).await.must(200);
    page.has("전체 3줄: 새 코드 2").has("2줄 가져오기").has("value=\"available\" selected");
    let values = [("대기", "available"), ("종료, 환불", "void")];
    let import = Choices { purpose: "import", values: &values, batch: "kupon-mokrok", ..check };
    let page = sent(&mut browser, &import, FILE).await.must(303);
    let batch = "/console/campaigns/spring/batches/kupon-mokrok";
    assert_eq!(page.to(), format!("{batch}?done=imported"));
    let page = browser.get(batch).await.must(200);
    assert!(!page.text.contains("거부되어"), "{}", page.text);
    // Another file of this name is another batch.
    let other = Choices { purpose: "columns", batch: "", ..import.clone() };
    let page = sent(&mut browser, &other, FILE).await.must(200);
    assert_eq!(page.value("batch_id"), "kupon-mokrok-2");
    // The same file into the same batch goes on, without a check.
    let same = Choices { purpose: "columns", ..import };
    sent(&mut browser, &same, FILE).await.must(200).has("이어서 가져오기");
}

#[tokio::test]
async fn an_import_of_which_nothing_is_left() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let page = browser.upload(PATH, "import", "none", "code\n=1+1\nno code!\n").await.must(303);
    let batch = "/console/campaigns/spring/batches/none";
    assert_eq!(page.to(), batch, "nothing is said to be done");
    browser.get(batch).await.must(200).has("notice bad").has("all 2 lines were rejected");
    let page = browser.upload(PATH, "import", "some", "code\nAB-0001\n=1+1\n").await.must(303);
    browser
        .get(page.to())
        .await
        .must(200)
        .has("notice bad")
        .has("1 line of 2 was rejected, and is not imported");
    let three = "code\nAB-0003\nAB-0004\n=1+1\n";
    let page = browser.upload(PATH, "import", "three", three).await.must(303);
    let page = browser.get(page.to()).await.must(200);
    page.has("class=\"notice\">1 line of 3 was")
        .has("/console/campaigns/spring\"><bdi>&#60;b&#62;Bold");
    // Who was forgotten, and whoever has their name now.
    let request = ErasureRequest { id: None, reason: "asked".parse().unwrap(), is_urgent: false };
    place.engine.erase_person(&admin(), &"gone".parse().unwrap(), request).await.unwrap();
    let file = "code,state,user_id\nAB-0002,issued,gone\n";
    let check = Choices { purpose: "check", name: "people.csv", ..Choices::default() };
    let page = sent(&mut browser, &check, file).await.must(200);
    page.has("every line is rejected").has("They are new customers");
    let page = sent(&mut browser, &Choices { again: "new", ..check }, file).await.must(200);
    page.has("1 lines: 1 new").has("value=\"new\" selected");
}

#[tokio::test]
async fn wide_files() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let (mut names, mut cells) = ("code".to_owned(), "AB-0001".to_owned());
    for nth in 2..=100 {
        names.push_str(&format!(",status {nth}"));
        cells.push_str(&format!(",{}", "긴 글 ".repeat(4)));
    }
    let file = format!("{names}\n{}", format!("{cells}\n").repeat(5));
    let choices = Choices { purpose: "columns", name: "wide.csv", ..Choices::default() };
    let page = sent(&mut browser, &choices, &file).await;
    assert!(page.text.len() < 60_000, "{} bytes", page.text.len());
    assert_eq!(columns(&page).len(), 40);
    page.has("60 more columns are ignored");
}
