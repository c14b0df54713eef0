//! `couponry verify`: it finds nothing in a sound store with coupons of every kind in both tiers,
//! and it finds every damage that is made by hand, under its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::client::{Client, at_once};
use super::data::{Data, Ran, STORE_TIMEOUT, despite_stalls, wait_until};
use super::finished::{
    Kills, campaign, cold, compact, copy_all, day_that_is_over, exported, files, import, issued,
    left_over, order, redeemed, serve,
};

const SEED: u64 = 20_310_101;

/// The output of a run.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) code: Option<i32>,
    pub(super) findings: Vec<Value>,
    pub(super) summary: Value,
    stderr: String,
}

impl Verified {
    fn of(ran: Ran) -> Verified {
        let mut lines: Vec<Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let summary = lines.pop().map_or(Value::Null, |mut last| last["summary"].take());
        Verified { code: ran.code, findings: lines, summary, stderr: ran.stderr }
    }

    pub(super) fn kinds(&self) -> BTreeSet<&str> {
        self.findings.iter().filter_map(|it| it["finding"].as_str()).collect()
    }

    pub(super) fn about(&self, kind: &str) -> BTreeSet<&str> {
        let of_kind = self.findings.iter().filter(|it| it["finding"] == kind);
        of_kind.filter_map(|it| it["about"].as_str()).collect()
    }

    #[track_caller]
    pub(super) fn must_be_clean(self, name: &str) -> Verified {
        assert_eq!(self.code, Some(0), "{name}: {self:#?}");
        assert!(self.findings.is_empty(), "{name}: {self:#?}");
        self
    }
}

pub(super) fn verify(data: &Data, more: &[&str]) -> Verified {
    let arguments = ["verify", "--format", "jsonl"].iter().chain(more).copied();
    Verified::of(data.run(&arguments.collect::<Vec<_>>()))
}

fn bare(code: &str) -> String {
    code.rsplit('-').take(4).collect::<Vec<_>>().into_iter().rev().collect()
}

fn hot(data: &Data) -> Connection {
    Connection::open(data.path().join("hot.db")).expect("hot.db")
}

fn done(data: &Data, sql: &str) {
    let changed = hot(data).execute(sql, []).expect(sql);
    assert!(changed > 0, "nothing was changed: {sql}");
}

/// The amounts of all time of a campaign become lower.
const AMOUNTS_WRONG: &str = "UPDATE activity SET worth = 'KRW 1 1 1 1 0 0 0 0' \
                             WHERE quarter = -9223372036854775808 AND campaign = \
                             (SELECT number FROM campaign WHERE campaign_id = 'paper')";

/// An order of which the shop says what it costs.
fn priced(user: &str, order_ref: &str) -> Value {
    json!({"user_id": user, "order_ref": order_ref, "order_amount": 30_000, "discount": 3_000,
        "currency": "KRW"})
}

fn asked(data: &Data, sql: &str) -> String {
    hot(data).query_row(sql, [], |row| row.get(0)).expect(sql)
}

/// A store with coupons of every kind in both tiers. No process uses it now.
pub(super) struct Scene {
    pub(super) data: Data,
    /// Issued to ann, minted, in hot.
    pub(super) anns: String,
    /// Held for an order of bob.
    pub(super) held: String,
    /// Archived by the Closed pass, of `c`.
    pub(super) archived: String,
    /// Archived by the Expired pass, foreign.
    expired: String,
    /// Foreign and issued, in hot.
    pub(super) foreign: String,
    /// Issued and revoked.
    pub(super) revoked: String,
    /// Cancelled once and redeemed again.
    pub(super) cancelled: String,
    /// Extended to a later partition.
    moved: String,
}

impl Scene {
    fn new() -> Scene {
        let data = Data::new();
        let token = data.token("admin", "root");
        Scene::of(data, &token)
    }

    /// In the store of the settings of the folder.
    pub(super) fn of(data: Data, token: &str) -> Scene {
        let server = serve(&data);
        let admin = &mut server.client(token);
        campaign(admin, "c", 1_000);
        let open = json!({"campaign_id": "open", "stock": 100, "expires_on": "2031-11-30",
            "per_user_limit": 3, "valid_days": 100});
        admin.post("/v1/campaigns", &open).must(201);
        let anns = issue(admin, "open", "ann", "first");
        let act = |admin: &mut Client, code: &str, verb: &str, body: &Value| {
            let answer = admin.post(&format!("/v1/coupons/{code}/{verb}"), body);
            assert!(answer.is_good(), "{verb} of {code}: {}", answer.text());
        };
        let held = issue(admin, "open", "bob", "held");
        act(admin, &held, "hold", &json!({"user_id": "bob", "order_ref": "cart"}));
        let revoked = issue(admin, "open", "cat", "back");
        let cancelled = issue(admin, "open", "dan", "one");
        act(admin, &cancelled, "redeem", &priced("dan", "d1"));
        act(admin, &cancelled, "cancel-redemption", &json!({"order_ref": "d1"}));
        act(admin, &cancelled, "redeem", &priced("dan", "d2"));
        let moved = issue(admin, "open", "eve", "long");
        act(admin, &moved, "extend", &json!({"expires_on": "2032-02-03"}));
        act(admin, &moved, "redeem", &order("eve", "e1"));
        let voided = issue(admin, "open", "fay", "gone");
        act(admin, &voided, "void", &json!({"reason": "stolen"}));
        issue(admin, "open", "fay", &format!("replaces:{voided}"));
        // Codes that were not issued.
        let codes = admin.get("/v1/campaigns/open/codes").must(200).text();
        let last: Vec<&str> = codes.lines().rev().take(2).collect();
        act(admin, last[0], "void", &json!({"reason": "printed wrong"}));
        act(admin, last[1], "extend", &json!({"expires_on": "2032-02-04"}));

        let bearer = json!({"campaign_id": "paper", "handout": "bearer", "stock": 20,
            "expires_on": "2031-12-31", "per_user_limit": null, "code_prefix": "PP"});
        admin.post("/v1/campaigns", &bearer).must(201);
        let codes = admin.get("/v1/campaigns/paper/codes").must(200).text();
        let paper: Vec<&str> = codes.lines().skip(1).collect();
        act(admin, paper[3], "redeem", &priced("gus", "p1"));
        act(admin, paper[4], "issue", &json!({"user_id": "gus"}));
        let shared = json!({"campaign_id": "word", "handout": "shared", "stock": 20,
            "shared_code": "SUMMER2026", "expires_on": "2031-12-31", "per_user_limit": 2});
        admin.post("/v1/campaigns", &shared).must(201);
        act(admin, "SUMMER2026", "redeem", &order("hal", "w1"));
        act(admin, "SUMMER2026", "redeem", &order("hal", "w2"));

        import(
            &data,
            "open",
            "old",
            "FOREIGN001,,,,,,,\nFOREIGN002,,,issued,ian,,,\n\
            FOREIGN003,,,redeemed,joe,,2025-01-01T00:00:00Z,o1\nFOREIGN004,,,void,,,,\n\
            FOREIGN005,,2032-05-01,issued,kim,,,\n",
        );
        act(admin, "FOREIGN001", "extend", &json!({"expires_on": "2032-02-03"}));
        let over = day_that_is_over(0);
        import(
            &data,
            "c",
            "past",
            &(left_over("EXPIRED001", &over)
                + &format!(
                    "EXPIRED002,2019-01-01,{over},issued,lea,,,\n\
             EXPIRED003,2019-01-01,{over},redeemed,lea,,2020-01-01T00:00:00Z,o9\n"
                )),
        );
        let archived = redeemed(admin, "c", "early", 5).remove(2);
        archive(&data, 5);
        redeemed(admin, "c", "later", 5);
        archive(&data, 10);
        redeemed(admin, "c", "hot", 3);
        issued(admin, "c", "mia");
        // The last of the campaign, because revoked coupons are issued first.
        act(admin, &revoked, "revoke", &json!({"user_id": "cat", "reason": "sorry"}));
        // The same file again, with the states of today.
        import(&data, "open", "old", "FOREIGN002,,,redeemed,ian,,2026-01-01T00:00:00Z,o2\n");
        // Adds up what was not added up yet.
        admin.get("/v1/counts?from=2026-01-01&to=2026-01-01").must(200);
        server.stop();
        Scene {
            anns: bare(&anns),
            held: bare(&held),
            archived: bare(&archived),
            expired: "EXPIRED003".to_owned(),
            foreign: "FOREIGN005".to_owned(),
            revoked: bare(&revoked),
            cancelled: bare(&cancelled),
            moved: bare(&moved),
            data,
        }
    }

    /// A copy of the store.
    fn copy(&self, name: &str) -> Data {
        let folder = self.data.folder().join(name);
        copy_all(&self.data.path(), &folder.join("data"));
        Data::within(&folder)
    }
}

/// Archives closed coupons until this many of `c`, in an open partition, are in cold: on a cluster
/// they are queued a moment after they are redeemed.
pub(super) fn archive(data: &Data, want: usize) {
    wait_until("closed coupons in cold", || {
        compact(data, &["--closed-now"]);
        let all = exported(data, "archived");
        let closed = |it: &&Value| it["tier"] == "cold" && it["expires_on"] == "2031-12-31";
        all.values().filter(closed).filter(|it| it["campaign_id"] == "c").count() >= want
    });
}

/// Issues with an issue_ref. Returns the code.
#[track_caller]
fn issue(admin: &mut Client, campaign: &str, user: &str, reference: &str) -> String {
    let body = json!({"user_id": user, "issue_ref": reference});
    let path = format!("/v1/campaigns/{campaign}/issue");
    admin.post(&path, &body).must(201).field("code")
}

/// The files of one partition.
fn partition(data: &Data, day: &str) -> Vec<PathBuf> {
    files(&cold(data).join(format!("coupons/expiry_day={day}")), ".parquet")
}

/// The entry of the log of `coupons` that adds the file.
fn entry_of(data: &Data, file: &Path) -> PathBuf {
    let name = file.file_name().expect("a name").to_str().expect("UTF-8");
    let entries = files(&cold(data).join("coupons/_delta_log"), ".json");
    let adds = |path: &PathBuf| fs::read_to_string(path).expect("an entry").contains(name);
    entries.into_iter().find(adds).expect("the entry that adds it")
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).expect("written");
}

/// The same file under another name, in the same commit.
fn double(data: &Data, day: &str) {
    let file = partition(data, day).remove(0);
    let entry = entry_of(data, &file);
    let name = file.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let mut other = name.clone();
    let at = other.len() - ".parquet".len() - 1;
    let digit = if &other[at..=at] == "0" { "1" } else { "0" };
    other.replace_range(at..=at, digit);
    fs::copy(&file, file.with_file_name(&other)).expect("copied");
    let text = fs::read_to_string(&entry).expect("an entry");
    let line = text.lines().find(|line| line.contains(&name)).expect("its line");
    fs::write(&entry, format!("{text}{}\n", line.replace(&name, &other))).expect("written");
}

/// The file is in the partition of another day, also in the log.
fn to_another_day(data: &Data, day: &str, other: &str) {
    let file = partition(data, day).remove(0);
    let entry = entry_of(data, &file);
    let name = file.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let folder = cold(data).join(format!("coupons/expiry_day={other}"));
    fs::create_dir_all(&folder).expect("a folder");
    fs::rename(&file, folder.join(&name)).expect("moved");
    let text = fs::read_to_string(&entry).expect("an entry");
    let lines = text.lines().map(|line| match line.contains(&name) {
        true => line.replace(day, other),
        false => line.to_owned(),
    });
    fs::write(&entry, lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
}

/// Two files are swapped.
fn swap(data: &Data) {
    let (one, other) =
        (partition(data, "2031-12-31").remove(0), partition(data, "2020-01-01").remove(0));
    let aside = one.with_extension("aside");
    fs::rename(&one, &aside).expect("moved");
    fs::rename(&other, &one).expect("moved");
    fs::rename(&aside, &other).expect("moved");
}

/// The log does not have a file of the side table of a partition.
fn forget_side_file(data: &Data) {
    let log = cold(data).join("coupons_by_holder/_delta_log");
    for entry in files(&log, ".json") {
        let text = fs::read_to_string(&entry).expect("an entry");
        if text.contains("2031-12-31-0000000001") && text.contains("\"add\"") {
            let kept: Vec<&str> = text.lines().filter(|line| !line.contains("\"add\"")).collect();
            fs::write(&entry, kept.join("\n") + "\n").expect("written");
            return;
        }
    }
    panic!("no entry adds a file of the first archive commit");
}

/// The name of the damage, the function that does it, the findings, and what one of them is about.
type Harm = (&'static str, fn(&Data, &Scene), &'static [&'static str], fn(&Scene) -> String);

const NOBODY: fn(&Scene) -> String = |_| String::new();

const HARMS: &[Harm] = &[
    (
        "a minted row is deleted",
        |data, scene| done(data, &format!("DELETE FROM coupon WHERE code = '{}'", scene.anns)),
        &["claim-alone", "serial-missing", "rows-fewer"],
        |scene| scene.anns.clone(),
    ),
    (
        // What is left over twice cannot be told apart, so each row is looked up.
        "claims twice too many, and a foreign entry is deleted",
        |data, scene| {
            for more in [100, 101] {
                let sql = format!(
                    "INSERT INTO claim SELECT user_id, indexed, campaign, entry + {more}, \
                     expiry_day, code, ref, issue FROM claim WHERE code = '{}' AND entry < 100",
                    scene.anns
                );
                done(data, &sql);
            }
            done(data, &format!("DELETE FROM directory WHERE code = '{}'", scene.foreign));
        },
        &["entry-missing"],
        |scene| scene.foreign.clone(),
    ),
    (
        "the row of a revoked coupon is deleted",
        |data, scene| done(data, &format!("DELETE FROM coupon WHERE code = '{}'", scene.revoked)),
        &["claim-alone", "serial-missing"],
        |scene| scene.revoked.clone(),
    ),
    (
        "a foreign row is deleted",
        |data, scene| done(data, &format!("DELETE FROM coupon WHERE code = '{}'", scene.foreign)),
        &["claim-alone", "entry-alone", "rows-fewer"],
        |scene| scene.foreign.clone(),
    ),
    (
        "an archived marker is deleted",
        |data, scene| {
            done(data, &format!("DELETE FROM archived_marker WHERE code = '{}'", scene.archived))
        },
        &["row-missing"],
        |scene| scene.archived.clone(),
    ),
    (
        "an archived marker without a coupon",
        |data, scene| {
            let sql = "UPDATE archived_marker SET code = 'NEVERTHERE' WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.archived));
        },
        &["row-missing", "archived-marker-alone"],
        |_| "NEVERTHERE".to_owned(),
    ),
    (
        "an archived marker of a later version",
        |data, scene| {
            done(
                data,
                &format!(
                    "UPDATE archived_marker SET version = 9 WHERE code = '{}'",
                    scene.archived
                ),
            );
        },
        &["archived-marker-alone"],
        |scene| scene.archived.clone(),
    ),
    (
        "a file twice in cold",
        |data, _| double(data, "2031-12-31"),
        &["cold-twice", "side-missing"],
        |scene| scene.archived.clone(),
    ),
    ("two files swapped", |data, _| swap(data), &["cold-file"], NOBODY),
    (
        "a file moved to another partition, in the log too",
        |data, _| to_another_day(data, "2031-12-31", "2031-12-30"),
        &["wrong-partition", "archived-marker-alone", "side-alone"],
        |scene| scene.archived.clone(),
    ),
    (
        "a changed holder",
        |data, scene| {
            let sql = "UPDATE coupon SET holder = 'amy' WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.anns));
        },
        &["row-not-its-events", "claim-missing", "claim-of-another"],
        |scene| scene.anns.clone(),
    ),
    (
        "a changed byte in the middle of a history",
        |data, scene| {
            let sql = "UPDATE coupon SET record = CAST(substr(record, 1, 12) || x'ee' || \
                       substr(record, 14) AS BLOB) WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.cancelled));
        },
        &["row-not-its-events"],
        |scene| scene.cancelled.clone(),
    ),
    (
        "an event that cannot be read",
        |data, scene| {
            let sql = "UPDATE coupon SET record = x'ff' WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.anns));
        },
        &["row-unreadable"],
        |scene| scene.anns.clone(),
    ),
    (
        "a claim that cannot be read",
        |data, scene| {
            done(
                data,
                &format!("UPDATE claim SET code = 'no code!' WHERE code = '{}'", scene.anns),
            );
        },
        &["row-unreadable", "claim-missing"],
        |scene| scene.anns.clone(),
    ),
    (
        "a changed column",
        |data, scene| {
            done(data, &format!("UPDATE coupon SET state = 0 WHERE code = '{}'", scene.anns));
        },
        &["row-not-its-events", "rows-fewer"],
        |scene| scene.anns.clone(),
    ),
    (
        "changed dates of a batch",
        |data, scene| {
            let sql = "UPDATE batch SET valid_from = valid_from + 1 WHERE number = \
                       (SELECT batch FROM coupon WHERE code = ";
            done(data, &format!("{sql}'{}')", scene.anns));
        },
        &["origin-differs", "row-not-its-events"],
        |scene| scene.anns.clone(),
    ),
    (
        "a row of another campaign's batch",
        |data, scene| {
            let sql = "UPDATE coupon SET number = 900 + ((SELECT batch.number FROM batch \
                       JOIN campaign ON campaign.number = batch.campaign \
                       WHERE campaign_id = 'c' AND batch_id = 'past') << 37) WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.anns));
        },
        &[
            "origin-differs",
            "row-not-its-events",
            "wrong-partition",
            "claim-missing",
            "counts-wrong",
            "rows-fewer",
        ],
        |scene| scene.anns.clone(),
    ),
    (
        "a version below its events",
        |data, scene| {
            done(
                data,
                &format!("UPDATE coupon SET version = 1 WHERE code = '{}'", scene.cancelled),
            );
        },
        &["events-invalid", "row-not-its-events"],
        |scene| scene.cancelled.clone(),
    ),
    (
        "a wrong counter",
        |data, _| done(data, "UPDATE campaign SET issued = issued - 1 WHERE campaign_id = 'open'"),
        &["counts-wrong"],
        |_| "open".to_owned(),
    ),
    (
        "a counter that is too high",
        |data, _| done(data, "UPDATE campaign SET issued = issued + 1 WHERE campaign_id = 'open'"),
        &["rows-fewer"],
        |_| "open".to_owned(),
    ),
    (
        "a wrong counter of cold",
        |data, _| {
            done(
                data,
                "UPDATE campaign SET cold_redeemed = cold_redeemed - 1, \
                        redeemed = redeemed - 1 WHERE campaign_id = 'c'",
            );
        },
        &["counts-wrong"],
        |_| "c".to_owned(),
    ),
    ("wrong amounts", |data, _| done(data, AMOUNTS_WRONG), &["sums-wrong"], |_| "paper".to_owned()),
    (
        "a wrong stock",
        |data, _| done(data, "UPDATE campaign SET stock = stock + 1 WHERE campaign_id = 'paper'"),
        &["stock-wrong"],
        |_| "paper".to_owned(),
    ),
    ("a flipped byte", |data, _| flip(&partition(data, "2031-12-31")[0]), &["cold-file"], NOBODY),
    (
        "a flipped byte in the side table",
        |data, _| flip(&files(&cold(data).join("coupons_by_holder"), ".parquet")[0]),
        &["cold-file"],
        NOBODY,
    ),
    (
        "a flipped byte in the holder index",
        |data, _| flip(&files(&cold(data).join("holder_index"), ".parquet")[0]),
        &["holder-index"],
        NOBODY,
    ),
    (
        "a missing file",
        |data, _| fs::remove_file(&partition(data, "2020-01-01")[0]).expect("removed"),
        &["cold-file"],
        NOBODY,
    ),
    (
        "an entry of the log that is cut",
        |data, _| {
            let entry = files(&cold(data).join("coupons/_delta_log"), ".json").pop().expect("one");
            let text = fs::read_to_string(&entry).expect("an entry");
            fs::write(&entry, &text[..text.len() / 2]).expect("written");
        },
        &["cold-log"],
        NOBODY,
    ),
    (
        "a row in the wrong partition",
        |data, scene| {
            let sql = "UPDATE coupon SET expiry_day = expiry_day + 31 WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.anns));
        },
        &["wrong-partition", "claim-alone", "row-not-its-events"],
        |scene| scene.anns.clone(),
    ),
    (
        "a foreign coupon that is not in the directory",
        |data, scene| {
            done(data, &format!("DELETE FROM directory WHERE code = '{}'", scene.foreign))
        },
        &["entry-missing"],
        |scene| scene.foreign.clone(),
    ),
    (
        "an extended coupon that is not in the directory",
        |data, scene| done(data, &format!("DELETE FROM directory WHERE code = '{}'", scene.moved)),
        &["entry-missing"],
        |scene| scene.moved.clone(),
    ),
    (
        "an entry without a coupon",
        |data, scene| {
            let sql = "UPDATE directory SET expiry_day = \
                       (SELECT expiry_day + 1 FROM coupon WHERE coupon.code = directory.code) \
                       WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.foreign));
        },
        &["entry-alone", "wrong-partition"],
        |scene| scene.foreign.clone(),
    ),
    (
        "an archived coupon that is not in the directory",
        |data, scene| {
            done(data, &format!("DELETE FROM directory WHERE code = '{}'", scene.expired))
        },
        &["entry-missing"],
        |scene| scene.expired.clone(),
    ),
    (
        "a shared code without a campaign",
        |data, _| done(data, "DELETE FROM directory WHERE code = 'SUMMER2026'"),
        &["shared-code-astray"],
        |_| "SUMMER2026".to_owned(),
    ),
    (
        "a holder without a claim",
        |data, scene| done(data, &format!("DELETE FROM claim WHERE code = '{}'", scene.anns)),
        &["claim-missing"],
        |scene| scene.anns.clone(),
    ),
    (
        "a claim that the wallet passes over",
        |data, scene| {
            done(data, &format!("UPDATE claim SET indexed = 1 WHERE code = '{}'", scene.anns));
        },
        &["row-unreadable"],
        NOBODY,
    ),
    (
        "an archived holder without a claim",
        |data, scene| done(data, &format!("DELETE FROM claim WHERE code = '{}'", scene.archived)),
        &["claim-missing"],
        |scene| scene.archived.clone(),
    ),
    (
        "a claim that names another user's coupon",
        |data, scene| {
            let sql = "UPDATE claim SET user_id = 'zoe' WHERE code = ";
            done(data, &format!("{sql}'{}'", scene.anns));
        },
        &["claim-missing", "claim-of-another"],
        |scene| scene.anns.clone(),
    ),
    (
        "a row beside its archived marker",
        |data, scene| {
            let here =
                asked(data, &format!("SELECT code FROM coupon WHERE code = '{}'", scene.anns));
            done(
                data,
                &format!(
                    "INSERT INTO archived_marker SELECT expiry_day, code, version FROM coupon \
                                 WHERE code = '{here}'"
                ),
            );
        },
        &["archived-marker-alone", "twice"],
        |scene| scene.anns.clone(),
    ),
    (
        "a row that came back to an emptied partition",
        |data, scene| {
            done(
                data,
                &format!(
                    "UPDATE coupon SET expiry_day = (SELECT (batch.expires_at - 1) / 86400000 \
                     FROM directory JOIN batch ON batch.number = directory.number >> 37 \
                     WHERE code = '{}') WHERE code = '{}'",
                    scene.expired, scene.anns
                ),
            );
        },
        &["left-behind", "wrong-partition", "claim-alone", "row-not-its-events"],
        |scene| scene.anns.clone(),
    ),
    (
        "a file of the side table that is not in the log",
        |data, _| forget_side_file(data),
        &["side-missing"],
        |scene| scene.archived.clone(),
    ),
    (
        "two batches with the same serials",
        |data, _| {
            done(
                data,
                "UPDATE batch SET first_serial = 0 WHERE campaign = \
                        (SELECT number FROM campaign WHERE campaign_id = 'paper')",
            );
        },
        &["serials-overlap", "origin-differs", "entry-missing"],
        |_| "2031-12-31".to_owned(),
    ),
    (
        "a plan from before a later end of a campaign",
        |data, _| {
            let day = "(SELECT expiry_day FROM batch WHERE campaign = \
                       (SELECT number FROM campaign WHERE campaign_id = 'paper'))";
            let earlier = "UPDATE partition_plan SET seal_after = seal_after - 86400000";
            done(data, &format!("{earlier} WHERE expiry_day = {day}"));
        },
        &["closes-early"],
        |_| "2031-12-31".to_owned(),
    ),
    (
        "a day that gives serials twice",
        |data, _| done(data, "UPDATE partition_plan SET next_serial = 1 WHERE next_serial > 1"),
        &["serials-overlap"],
        NOBODY,
    ),
    (
        "an older cold tier put back",
        |data, _| {
            let mut entries = files(&cold(data).join("coupons/_delta_log"), ".json");
            fs::remove_file(entries.pop().expect("one")).expect("removed");
        },
        &["stores-apart"],
        NOBODY,
    ),
];

#[test]
fn every_damage_is_found() {
    let scene = Scene::new();
    let clean = verify(&scene.data, &[]).must_be_clean("before");
    eprintln!("verify: {}", clean.summary);
    for (what, at_least) in [
        ("hot_rows", 15),
        ("archived_markers", 10),
        ("cold_rows", 13),
        ("side_rows", 12),
        ("entries", 11),
        ("claims", 25),
        ("campaigns", 4),
    ] {
        let found = clean.summary["looked_at"][what].as_u64().unwrap_or(0);
        assert!(found >= at_least, "{what}: {found}, want {at_least}: {}", clean.summary);
    }
    let only = std::env::var("COUPONRY_TEST_CASE").unwrap_or_default();
    assert!(HARMS.iter().any(|(name, ..)| name.contains(&only)), "there is no damage {only:?}");
    let at = AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(BTreeMap::new());
    at_once(4, |_| {
        loop {
            let nth = at.fetch_add(1, Ordering::Relaxed);
            let Some((name, harm, kinds, about)) = HARMS.get(nth) else { break };
            if !name.contains(&only) {
                continue;
            }
            let data = scene.copy(&format!("harm-{nth}"));
            harm(&data, &scene);
            // Several partitions at a time make no difference.
            let arguments: &[&str] = if nth.is_multiple_of(2) { &[] } else { &["--jobs", "3"] };
            let found = verify(&data, arguments);
            let wanted: BTreeSet<&str> = kinds.iter().copied().collect();
            let about = about(&scene);
            let named = about.is_empty()
                || kinds.iter().any(|kind| found.about(kind).contains(about.as_str()));
            let twice = (1..found.findings.len())
                .any(|at| found.findings[..at].contains(&found.findings[at]));
            if found.code != Some(3) || found.kinds() != wanted || !named || twice {
                let said = found
                    .findings
                    .iter()
                    .map(|it| format!("  {} {} {}\n", it["finding"], it["about"], it["places"]));
                let said: String = said.collect();
                let said = format!(
                    "want {wanted:?} about {about:?}, {:?} {}\n{said}",
                    found.code, found.stderr
                );
                failed.lock().expect("lock").insert(*name, said);
            }
            fs::remove_dir_all(data.folder()).expect("removed");
        }
    });
    let failed = failed.into_inner().expect("lock");
    for (name, said) in &failed {
        eprintln!("--- {name}: {said}");
    }
    assert!(failed.is_empty(), "{:?}", failed.keys());
}

/// `--partition` reads the coupons of some days, and nothing else.
#[test]
fn one_partition_at_a_time() {
    let scene = Scene::new();
    let data = scene.copy("one-partition");
    done(&data, &format!("UPDATE coupon SET state = 0 WHERE code = '{}'", scene.anns));
    done(&data, "UPDATE campaign SET issued = issued - 1 WHERE campaign_id = 'open'");
    let (anns, other) = ("2031-11-30", "2031-12-31");
    for (name, arguments, kinds) in [
        ("its day", &["--partition", anns] as &[&str], &["row-not-its-events"] as &[&str]),
        ("another day", &["--partition", other], &[]),
        ("both", &["--partition", anns, "--partition", other], &["row-not-its-events"]),
        ("a day of nothing", &["--partition", "2040-01-01"], &[]),
    ] {
        let found = verify(&data, arguments);
        assert_eq!(found.kinds(), kinds.iter().copied().collect(), "{name}: {found:#?}");
        assert_eq!(found.code, Some(if kinds.is_empty() { 0 } else { 3 }), "{name}");
        assert_eq!(found.summary["looked_at"]["claims"], 0, "{name}: {}", found.summary);
        let unknown = usize::from(name == "a day of nothing");
        assert_eq!(
            found.summary["notes"]["no-such-partition"].as_u64().unwrap_or(0) as usize,
            unknown
        );
        let days = found.summary["partitions"].as_array().map(Vec::len);
        assert_eq!(days, Some(arguments.len() / 2), "{name}: {}", found.summary);
    }
    for arguments in [
        &["verify", "--partition", "2031-13-01"] as &[&str],
        &["verify", "--jobs", "0"],
        &["verify", "--repair", "--lower-counts", "--partition", anns],
    ] {
        assert_eq!(data.run(arguments).code, Some(2), "{arguments:?}");
    }
}

/// Beside customers, imports and compactions there are no false findings.
#[test]
fn beside_a_busy_serve() {
    despite_stalls(STORE_TIMEOUT, beside_a_busy_serve_once);
}

fn beside_a_busy_serve_once() {
    let data = Data::new();
    let token = data.token("admin", "root");
    busy(&data, &token, 12);
}

/// Runs this many times beside customers, imports and compactions.
pub(super) fn busy(data: &Data, token: &str, runs: usize) {
    const WRITERS: usize = 3;
    let server = serve(data);
    let admin = &mut server.client(token);
    campaign(admin, "busy", 100_000);
    let wide = json!({"campaign_id": "wide", "stock": 100_000, "expires_on": "2031-11-30",
        "per_user_limit": 2});
    admin.post("/v1/campaigns", &wide).must(201);
    redeemed(admin, "busy", "first", 100);
    let ended = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    at_once(WRITERS + 2, |nth| {
        if nth == WRITERS {
            for run in 0..runs {
                let found = verify(data, &[]);
                eprintln!("verify: run {run}, {}", found.summary);
                if found.code != Some(0) || !found.findings.is_empty() {
                    ended.store(true, Ordering::SeqCst);
                }
                found.must_be_clean("beside a busy serve");
            }
            ended.store(true, Ordering::SeqCst);
            return;
        }
        if nth == WRITERS + 1 {
            for n in 10.. {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let day = day_that_is_over(n);
                let lines: String = (0..50)
                    .map(|line| format!("P{n:04}X{line:03},2019-01-01,{day},issued,u{line},,,\n"))
                    .collect();
                import(data, "busy", &format!("past-{n}"), &lines);
                compact(data, &["--closed-now"]);
            }
            return;
        }
        let mut client = Client::new(server.address, token);
        for n in 0.. {
            if ended.load(Ordering::SeqCst) {
                break;
            }
            let user = format!("u{nth}-{n}");
            let code = issued(&mut client, "busy", &user);
            client.post(&format!("/v1/coupons/{code}/redeem"), &order(&user, "1")).must(201);
            let code = issue(&mut client, "wide", &user, "a");
            let at = format!("/v1/coupons/{code}");
            let (verb, body) = match n % 4 {
                0 => ("extend", json!({"expires_on": format!("2032-0{}-11", 1 + n % 9)})),
                1 => ("revoke", json!({"user_id": user})),
                2 => ("void", json!({"reason": "x"})),
                _ => ("redeem", order(&user, "2")),
            };
            let answer = client.post(&format!("{at}/{verb}"), &body);
            assert!(answer.is_good(), "{verb}: {}", answer.text());
            done.fetch_add(4, Ordering::Relaxed);
        }
    });
    eprintln!("verify: {} changes meanwhile", done.into_inner());
    server.stop();
    verify(data, &[]).must_be_clean("at the end");
}

/// What a killed compaction leaves behind is not a finding. The next compaction finishes it.
#[test]
fn after_killed_compactions() {
    const ROUNDS: usize = 16;
    let data = Data::new();
    let token = data.token("admin", "root");
    let server = serve(&data);
    let admin = &mut server.client(&token);
    campaign(admin, "c", 10_000);
    redeemed(admin, "c", "first", 40);
    let begun = Instant::now();
    compact(&data, &["--closed-now"]);
    let (mut kills, mut unfinished) = (Kills::within(begun.elapsed(), SEED), 0);
    while kills.go_on(ROUNDS) {
        let round = kills.rounds;
        redeemed(admin, "c", &format!("round-{round}"), 40);
        let day = day_that_is_over(round);
        let lines: String =
            (0..40).map(|n| left_over(&format!("OVER{round:02}X{n:02}"), &day)).collect();
        import(&data, "c", &format!("over-{round}"), &lines);
        kills.kill(&data, &["compact", "--closed-now"]);
        let found = verify(&data, &[]).must_be_clean(&format!("round {round}"));
        let notes = &found.summary["notes"];
        unfinished += usize::from(notes.as_object().is_some_and(|notes| !notes.is_empty()));
    }
    let Kills { rounds, at_work, .. } = kills;
    eprintln!("verify: {at_work} of {rounds} killed at work, {unfinished} left something behind");
    assert!(at_work > 0, "each one ended before it was killed");
    compact(&data, &["--closed-now"]);
    let found = verify(&data, &[]).must_be_clean("finished");
    assert_eq!(found.summary["notes"], json!({}), "{}", found.summary);
    server.kill();
    verify(&data, &[]).must_be_clean("killed");
}

/// A restored backup beside a newer cold tier, before and after more is archived.
#[test]
fn after_a_restore() {
    let scene = Scene::new();
    let data = scene.copy("restored");
    let backup = data.folder().join("backup");
    let text = backup.to_str().expect("UTF-8");
    let ran = data.run(&["backup", text]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let server = serve(&data);
    let admin = &mut server.client(&data.token("admin", "root"));
    redeemed(admin, "c", "since", 7);
    let redeem = format!("/v1/coupons/{}/redeem", scene.anns);
    admin.post(&redeem, &order("ann", "a1")).must(201);
    admin.post(&format!("/v1/coupons/{}/void", scene.foreign), &json!({"reason": "x"})).must(200);
    campaign(admin, "later", 20);
    redeemed(admin, "later", "stranger", 3);
    let over = day_that_is_over(3);
    import(&data, "c", "since", &left_over("SINCE00001", &over));
    import(&data, "later", "since", &left_over("SINCE00002", &over));
    compact(&data, &["--closed-now"]);
    verify(&data, &[]).must_be_clean("before the restore");
    server.stop();

    let ran = data.run(&["restore", text, "--replace", "--yes"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let found = verify(&data, &[]).must_be_clean("restored");
    assert_eq!(found.summary["notes"]["stranger"], 5, "{}", found.summary);
    compact(&data, &["--closed-now"]);
    verify(&data, &[]).must_be_clean("compacted");
    let server = serve(&data);
    let admin = &mut server.client(&data.token("admin", "root"));
    redeemed(admin, "c", "after", 7);
    server.stop();
    compact(&data, &["--closed-now"]);
    verify(&data, &[]).must_be_clean("in use again");

    // By hand, without `restore`: `verify` reads nothing.
    for name in ["hot.db-wal", "hot.db-shm"] {
        let _ = fs::remove_file(data.path().join(name));
    }
    fs::copy(backup.join("hot.db"), data.path().join("hot.db")).expect("copied");
    let ran = data.run(&["verify"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("`couponry restore`"), "{ran:?}");
    let ran = data.run(&["restore"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    verify(&data, &[]).must_be_clean("restored by hand");
}

/// `--repair` corrects what follows from the coupons, and nothing else.
#[test]
fn repair() {
    let scene = Scene::new();
    let data = scene.copy("repaired");
    let rows = "SELECT group_concat(code || version || state || hex(record)) FROM \
                (SELECT * FROM coupon ORDER BY number)";
    let before = asked(&data, rows);
    let counts = "SELECT group_concat(campaign_id || ' ' || stock || ' ' || issued || ' ' || \
                  redeemed || ' ' || void || ' ' || cold_issued || ' ' || cold_redeemed || ' ' || \
                  cold_void) FROM campaign";
    let right = asked(&data, counts);
    for sql in [
        "UPDATE campaign SET issued = issued + 3, void = void - 1 WHERE campaign_id = 'open'",
        "UPDATE campaign SET cold_redeemed = cold_redeemed + 2 WHERE campaign_id = 'c'",
        "UPDATE campaign SET stock = stock - 5 WHERE campaign_id = 'paper'",
    ] {
        done(&data, sql);
    }
    done(&data, &format!("UPDATE coupon SET history_full = 1 WHERE code = '{}'", scene.cancelled));
    done(&data, AMOUNTS_WRONG);
    let harmed = asked(&data, rows);
    let found = verify(&data, &["--repair"]);
    let wanted = ["counts-wrong", "row-not-its-events", "rows-fewer", "stock-wrong", "sums-wrong"];
    assert_eq!(found.kinds(), wanted.into_iter().collect(), "{found:#?}");
    // A count that may be the trace of a lost coupon stays until a person has looked.
    assert_eq!(found.summary["mended"]["counts"], 1, "{}", found.summary);
    let found = verify(&data, &["--repair", "--lower-counts"]);
    assert_eq!(found.summary["mended"]["counts"], 2, "{}", found.summary);
    assert_eq!(asked(&data, counts), right);
    assert_eq!((asked(&data, rows), &before), (harmed, &before), "a row was touched");
    let found = verify(&data, &["--repair"]);
    assert_eq!(found.kinds(), ["row-not-its-events"].into_iter().collect(), "{found:#?}");
    assert_eq!(found.summary["mended"]["counts"], 0, "{}", found.summary);
}

/// The output for people, and the message of a wrong call.
#[test]
fn words() {
    let scene = Scene::new();
    let data = scene.copy("words");
    let ran = data.run(&["verify"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.ends_with("nothing found\n"), "{ran:?}");
    assert!(ran.stdout.contains("18 rows and 14 archived markers in hot"), "{ran:?}");
    done(&data, &format!("DELETE FROM claim WHERE code = '{}'", scene.anns));
    let ran = data.run(&["verify"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let line = format!("FAIL claim-missing {}\n     hot, partition 2031-11-30: issued", scene.anns);
    for said in [line.as_str(), "     the claim of ann: does not name it", "safe: ", "1 found\n"] {
        assert!(ran.stdout.contains(said), "{said}: {ran:?}");
    }
    let ran = data.run(&["doctor"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let line = format!("FAIL verify: claim-missing {}: hot, partition 2031-11-30", scene.anns);
    assert!(ran.stdout.contains(&line) && ran.stdout.contains("; safe: "), "{ran:?}");
    for (arguments, code) in [(&["verify", "--format", "csv"] as &[&str], 2), (&["verify", "x"], 2)]
    {
        assert_eq!(data.run(arguments).code, Some(code), "{arguments:?}");
    }
    let empty = Data::new();
    let ran = empty.run(&["verify"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("no couponry data"), "{ran:?}");
}
