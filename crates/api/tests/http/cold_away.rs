//! A cold tier that does not answer: coupons in hot still work, coupons in cold are 503 and never
//! 404, and no restart is needed when it is back.

use std::fs;
use std::path::{Path, PathBuf};

use coupon::code::CodeText;
use coupon::time::Day;
use hot::ColdMark;
use serde_json::json;

use crate::service::{ANN, Admin, BOB, Operator, Service, Shop, Who, ms, options};

const AWAY: &str = "503 COLD_UNAVAILABLE";

struct Stocked {
    service: Service,
    /// The coupon of ann: redeemed, in cold.
    spent: String,
    /// The coupon of bob: not redeemed.
    bobs: String,
}

async fn stocked() -> Stocked {
    let service = Service::new().by_hand();
    service.campaign("c", json!({"cancel_days": 0, "stock": 20})).await;
    let over = json!({"expires_on": "2026-11-21", "extend_days": 1, "cancel_days": 0, "stock": 3});
    service.campaign("over", over).await;
    service.issued("over", "ann").await;
    let (spent, bobs) = (service.issued("c", "ann").await, service.issued("c", "bob").await);
    service.does("redeem", &spent, "1").await.is("201", "redeemed");
    service.set("2026-12-20T12:00:00Z");
    service.compact().await;
    assert_eq!(service.coupon(&spent).await["tier"], "cold");
    Stocked { service, spent, bobs }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.to_str().is_some_and(|it| it.ends_with(ending)) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry").path();
        let to = to.join(entry.file_name().expect("a name"));
        match entry.is_dir() {
            true => copied(&entry, &to),
            false => drop(fs::copy(&entry, &to).expect("a copy")),
        }
    }
}

fn remove(cold: &Path) {
    fs::remove_dir_all(cold).expect("removed");
}

fn put_a_file_there(cold: &Path) {
    remove(cold);
    fs::write(cold, "no folder").expect("written");
}

/// Flips a byte in the middle of the first page of each file.
fn flip_bytes(cold: &Path) {
    for path in files(cold, ".parquet") {
        let mut bytes = fs::read(&path).expect("a file");
        let footer = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().expect("four"));
        let middle = (bytes.len() - footer as usize) / 2;
        bytes[middle] ^= 0x10;
        fs::write(&path, bytes).expect("written");
    }
}

fn cut_the_log(cold: &Path) {
    for table in ["coupons", "coupons_by_holder"] {
        let entries = files(&cold.join(table).join("_delta_log"), ".json");
        let last = entries.last().expect("an entry");
        let bytes = fs::read(last).expect("a file");
        fs::write(last, &bytes[..bytes.len() / 2]).expect("written");
    }
}

fn empty_the_log(cold: &Path) {
    for table in ["coupons", "coupons_by_holder"] {
        let entries = files(&cold.join(table).join("_delta_log"), ".json");
        fs::write(entries.last().expect("an entry"), "").expect("written");
    }
}

fn remove_parquet(cold: &Path) {
    files(cold, ".parquet").iter().for_each(|path| fs::remove_file(path).expect("removed"));
}

type Harm = fn(&Path);

#[tokio::test]
async fn coupons_in_hot_still_work() {
    let cases: [(&str, Harm); 6] = [
        ("the folder is gone", remove),
        ("a file in its place", put_a_file_there),
        ("a flipped byte", flip_bytes),
        ("the last entry of the log is cut", cut_the_log),
        ("files are gone", remove_parquet),
        ("the last entry of the log is empty", empty_the_log),
    ];
    for (name, harm) in cases {
        let Stocked { service, spent, bobs } = stocked().await;
        let cold = service.folder().join("cold");
        let kept = service.folder().join("kept");
        copied(&cold, &kept);
        harm(&cold);
        // It has not read cold yet.
        let service = service.beside(options()).by_hand();
        let at = |what: &str| format!("/v1/coupons/{spent}/{what}");
        let order = json!({"order_ref": "1"});
        let of_cold = [
            service.get(ANN, &format!("/v1/coupons/{spent}")).await,
            service.get(Admin, &format!("/v1/coupons/{spent}")).await,
            service.post(ANN, &at("redeem"), order.clone()).await,
            service.post(ANN, &at("check"), order.clone()).await,
            service.post(BOB, &at("redeem"), order.clone()).await,
            service.cancel(Shop, &spent, "1").await,
            service.admin("void", &spent, json!({})).await,
            service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "ann"})).await,
            service.get(ANN, "/v1/coupons").await,
            service.get(BOB, "/v1/coupons").await,
            service.get(Operator, "/v1/coupons?campaign_id=c").await,
            service.get(Operator, "/v1/coupons?expires_on=2027-12-31").await,
        ];
        for (nth, answer) in of_cold.iter().enumerate() {
            // The side table may show, without the files of coupons, that bob has none there.
            if nth == 9 && answer.status == 200 {
                assert_eq!(answer.data("code"), std::slice::from_ref(&bobs), "{name}");
                continue;
            }
            answer.is(AWAY, &format!("{name}, {nth}"));
        }
        for who in [BOB, Shop, Operator, Admin] {
            service.get(who, &format!("/v1/coupons/{bobs}")).await.is("200", name);
        }
        let redeem = format!("/v1/coupons/{bobs}/redeem");
        service.post(BOB, &redeem, order.clone()).await.is("201", name);
        service.post(BOB, &redeem, order.clone()).await.is("200", name);
        let eves = service.issued("c", "eve").await;
        service.admin("void", &eves, json!({})).await.is("200", name);
        service.import("c", "i", "code\nIMPORTED1\n").await.is("201", name);
        service.campaign("new", json!({})).await;
        service.get(Admin, "/v1/campaigns/c").await.is("200", name);
        assert_eq!(service.codes("c").await.len(), 17, "{name}: in an open partition");
        if cold.is_dir() {
            fs::remove_dir_all(&cold).expect("removed");
        } else if cold.exists() {
            fs::remove_file(&cold).expect("removed");
        }
        fs::rename(&kept, &cold).expect("put back");
        let replay = service.post(ANN, &at("redeem"), order.clone()).await;
        replay.is("200", &format!("{name}, put back"));
        assert_eq!(service.get(ANN, "/v1/coupons").await.is("200", name).data("code").len(), 2);
        assert_eq!(service.codes("over").await.len(), 2, "{name}");
        service.compact().await;
        assert_eq!(service.coupon(&eves).await["tier"], "cold", "{name}: archived in the end");
        assert_eq!(service.coupon(&bobs).await["tier"], "cold", "{name}: archived in the end");
    }
}

/// The answer to a user does not name the folders of the server.
#[tokio::test]
async fn an_outage_names_no_folder() {
    let cases: [(&str, Harm); 4] = [
        ("the folder is gone", remove),
        ("a file in its place", put_a_file_there),
        ("the last entry of the log is cut", cut_the_log),
        ("files are gone", remove_parquet),
    ];
    for (name, harm) in cases {
        let Stocked { service, spent, .. } = stocked().await;
        harm(&service.folder().join("cold"));
        let service = service.beside(options()).by_hand();
        let folder = service.folder().to_str().expect("a path");
        for target in [&format!("/v1/coupons/{spent}"), "/v1/coupons"] {
            let answer = service.get(ANN, target).await;
            let detail = answer.is(AWAY, name).string("detail");
            for place in [folder, "/tmp", ".parquet", "_delta_log", "expiry_day"] {
                assert!(!detail.contains(place), "{name}: {target} names {place:?}: {detail}");
            }
        }
    }
}

/// A flipped byte never changes the coupon in an answer.
#[tokio::test]
async fn a_flipped_byte_never_changes_a_coupon() {
    let Stocked { service, spent, .. } = stocked().await;
    let cold = service.folder().join("cold");
    let target = format!("/v1/coupons/{spent}");
    let right = service.get(ANN, &target).await.json;
    let list = service.get(ANN, "/v1/coupons").await.json;
    let mut wrong = Vec::new();
    for path in files(&cold, ".parquet") {
        let bytes = fs::read(&path).expect("a file");
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 60) {
            let mut harmed = bytes.clone();
            harmed[at] ^= 0x01;
            fs::write(&path, &harmed).expect("written");
            let fresh = service.beside(options()).by_hand();
            for (target, right) in [(target.as_str(), &right), ("/v1/coupons", &list)] {
                let answer = fresh.get(ANN, target).await;
                if answer.word() != AWAY && (answer.status != 200 || answer.json != *right) {
                    let file = path.strip_prefix(&cold).expect("within").display();
                    wrong.push(format!("byte {at} of {} of {file}: {target}", bytes.len()));
                }
            }
        }
        fs::write(&path, &bytes).expect("put back");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(service.get(ANN, &target).await.is("200", "put back").json, right);
}

#[tokio::test]
async fn codes_of_a_sealed_partition_without_cold() {
    let Stocked { service, .. } = stocked().await;
    let cold = service.folder().join("cold");
    let kept = service.folder().join("kept");
    assert_eq!(service.codes("over").await.len(), 2);
    fs::rename(&cold, &kept).expect("moved away");
    let fresh = service.beside(options()).by_hand();
    let answer = fresh.get(Admin, "/v1/campaigns/over/codes").await;
    answer.is(AWAY, "only cold knows whether they were touched");
    fs::rename(&kept, &cold).expect("put back");
    assert_eq!(fresh.codes("over").await.len(), 2);
}

#[tokio::test]
async fn an_archived_marker_alone_is_never_not_found() {
    for made in [false, true] {
        let service = Service::new().by_hand();
        service.campaign("c", json!({"cancel_days": 0})).await;
        let code = service.issued("c", "ann").await;
        service.does("redeem", &code, "1").await.is("201", "redeemed");
        let text: CodeText = code.parse().expect("a code");
        let day = Day::expiry_day_of(ms("2028-01-01T00:00:00Z"));
        let hot = service.engine.partitions();
        if made {
            let begun = ColdMark { begun: Some(0), committed: Some(0) };
            hot.raise_cold_mark(begun).await.expect("a mark");
            service.engine.cold().create().await.expect("tables");
        }
        let copied = vec![(text.minted().expect("a minted code"), 2)];
        assert_eq!(hot.evict(day, copied).await.expect("an archived marker"), 1);
        let at = |what: &str| format!("/v1/coupons/{code}/{what}");
        let order = json!({"order_ref": "1"});
        let theirs = json!({"order_ref": "1", "user_id": "ann"});
        let mut answers = Vec::new();
        for who in [ANN, BOB, Who::User("eve"), Shop, Operator, Admin] {
            answers.push(service.get(who, &format!("/v1/coupons/{code}")).await);
        }
        for what in ["check", "redeem", "hold"] {
            answers.push(service.post(ANN, &at(what), order.clone()).await);
            answers.push(service.post(BOB, &at(what), order.clone()).await);
            answers.push(service.post(Shop, &at(what), theirs.clone()).await);
        }
        answers.push(service.release(Shop, &code, "1").await);
        answers.push(service.cancel(Shop, &code, "1").await);
        for (what, body) in [
            ("issue", json!({"user_id": "ann"})),
            ("revoke", json!({"user_id": "ann"})),
            ("void", json!({})),
            ("extend", json!({"expires_on": "2029-01-01"})),
        ] {
            answers.push(service.admin(what, &code, body).await);
        }
        answers.push(service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "ann"})).await);
        for (nth, answer) in answers.iter().enumerate() {
            answer.is(AWAY, &format!("{nth}, tables: {made}"));
        }
        assert_eq!(service.codes("c").await.len(), 9, "the code is not untouched");
        service.issued("c", "bob").await;
    }
}
