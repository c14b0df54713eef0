//! Which calls need the writer, and what the store reports of a writer that does not write.

use std::fs::File;
use std::sync::Arc;

use coupon::apply::Asker;
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use hot::{HotError, HotStore, ImportLine};
use router::Found;

use super::{kit_in, options, raw, short_options, tempdir};
use hot_conformance::kit::{
    ChangeOutcome, Kit, NOW, give, redeem, reference, revoke, run_of, said, void,
};

/// Holds the fair file lock, like a process whose write does not end.
fn another_process_writes(folder: &std::path::Path) -> File {
    let lock = File::options().write(true).open(folder.join("hot.write")).unwrap();
    lock.lock().unwrap();
    lock
}

/// A command of a newer release may upgrade the store beside a `serve` that still runs. Rows of this
/// release would lack the new columns.
#[tokio::test]
async fn an_upgraded_store_is_only_read() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    kit.stocked(&campaign, 1).await;
    let conn = raw(folder.path());
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    conn.pragma_update(None, "user_version", version + 1).unwrap();
    let Err(HotError::Unavailable(why)) = kit.hot.touch(NOW).await else { panic!("it writes") };
    assert!(why.to_string().contains("start the new release"), "{why}");
    assert!(kit.hot.writable().await.is_err(), "operators see it");
    assert!(kit.hot.campaign(&campaign.id, NOW).await.unwrap().is_some(), "it reads");
    conn.pragma_update(None, "user_version", version).unwrap();
    writes_again(&*kit.hot).await;
}

/// How often a store with a short wait is asked for a write that succeeds.
const WRITES_MAX: usize = 1_000;

/// Waits until the store writes. The machine may stop for longer than its callers wait.
pub(super) async fn writes_again(hot: &dyn HotStore) {
    for _ in 0..WRITES_MAX {
        if hot.touch(NOW).await.is_ok() && hot.writable().await.is_ok() {
            return;
        }
    }
    panic!("no write in {WRITES_MAX} tries");
}

/// A caller whose answer needs no write, such as a replay or "sold out", does not wait for the
/// writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replays_and_refusals_do_not_need_the_writer() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let one = kit.draft();
    let two = Campaign { per_user_limit: Some(2), ..kit.draft() };
    let word = Campaign { handout: Handout::Shared, shared_code: Some(kit.code()), ..kit.draft() };
    for campaign in [&one, &two, &word] {
        kit.stocked(campaign, 5).await;
    }
    let ann = kit.user("ann");
    for (campaign, name) in [(&one, "a"), (&two, "a"), (&two, "b"), (&two, "gone")] {
        if name == "gone" {
            let first = kit.issue(campaign, &ann, reference("a")).await;
            kit.done(super::of(&first).code(), revoke(&ann)).await;
        }
        kit.issued(campaign, &ann, name).await;
    }
    let shared = kit.found(word.shared_code.as_ref().unwrap()).await;
    let redeem_word = |order| kit.change(redeem(&ann, order), Asker::Shop, NOW);
    let first = kit.hot.apply(&shared, redeem_word("1")).await.unwrap();
    assert_eq!(said(&first), ChangeOutcome::Accepted);

    // A second store on the same folder, whose callers do not wait long.
    let short = kit_in(folder.path(), short_options()).hot;
    let lock = another_process_writes(folder.path());
    let limit = ChangeOutcome::Refused(Refusal::LimitPerUser);
    let issues = [
        ("a replay with issue_ref", &one, reference("a"), ChangeOutcome::Replayed),
        ("a replay without issue_ref", &one, None, ChangeOutcome::Replayed),
        ("a replay of two", &two, reference("b"), ChangeOutcome::Replayed),
        ("over the limit", &two, reference("c"), limit),
        ("a used issue_ref", &two, reference("a"), ChangeOutcome::Refused(Refusal::NameTaken)),
        ("no such campaign", &kit.draft(), None, ChangeOutcome::Refused(Refusal::NotFound)),
    ];
    for (name, campaign, reference, want) in issues {
        let change = kit.change(give(&ann, reference), Asker::Shop, NOW);
        let applied = short.issue(&campaign.id, change).await.unwrap();
        assert_eq!(said(&applied), want, "{name}");
    }
    let again = short.apply(&shared, redeem_word("1")).await.unwrap();
    assert_eq!(said(&again), ChangeOutcome::Replayed, "by the shared code");
    let more = short.apply(&shared, redeem_word("2")).await.unwrap();
    assert!(matches!(said(&more), ChangeOutcome::Refused(_)), "by the shared code, over the limit");
    let change = kit.change(give(&kit.user("bob"), None), Asker::Shop, NOW);
    let waits = short.issue(&one.id, change).await;
    assert!(
        matches!(waits, Err(HotError::Unavailable(_))),
        "a change waits for the writer: {waits:?}"
    );
    lock.unlock().unwrap();
    writes_again(&*short).await;
}

/// A store whose commits do not end is not writable until they end again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stuck_writer_is_not_writable() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), short_options());
    writes_again(&*kit.hot).await;
    let lock = another_process_writes(folder.path());
    let stuck = kit.hot.touch(NOW).await;
    assert!(stuck.is_err(), "{stuck:?}");
    // The caller gave up before the writer took the job.
    let why = loop {
        match kit.hot.writable().await {
            Ok(()) => tokio::task::yield_now().await,
            Err(why) => break why,
        }
    };
    assert!(why.contains("no commit has ended for"), "{why}");
    lock.unlock().unwrap();
    writes_again(&*kit.hot).await;
}

/// Issues of one transaction look for stock once, and still hand out a coupon that came back between them before the
/// next serial.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_coupon_comes_back_within_a_group() {
    let folder = tempdir();
    let kit = Arc::new(kit_in(folder.path(), options()));
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 5).await;
    let ann = kit.user("ann");
    let of_ann = kit.issued(&campaign, &ann, "ann").await;
    let found = kit.found(&of_ann).await;
    let lock = another_process_writes(folder.path());
    // This one is a group that waits for the lock; what comes later is the next group.
    let mut touching = Box::pin(kit.hot.touch(NOW));
    assert!(futures::poll!(&mut touching).is_pending(), "it waits for its commit");
    while kit.hot.gauge().waiting > 0 {
        tokio::task::yield_now().await;
    }
    let mut issues = Vec::new();
    for name in ["bob", "", "cid", "dan"] {
        let before = kit.hot.gauge().waiting;
        let (kit_of, campaign, found, ann) =
            (Arc::clone(&kit), campaign.id.clone(), found.clone(), ann.clone());
        issues.push(tokio::spawn(async move {
            if name.is_empty() {
                let change = kit_of.change(revoke(&ann), Asker::Shop, NOW);
                return kit_of.hot.apply(&found, change).await;
            }
            let change = kit_of.change(give(&kit_of.user(name), None), Asker::Shop, NOW);
            kit_of.hot.issue(&campaign, change).await
        }));
        while kit.hot.gauge().waiting == before {
            tokio::task::yield_now().await;
        }
    }
    let commits = kit.hot.gauge().commits;
    lock.unlock().unwrap();
    touching.await.unwrap();
    let mut got = Vec::new();
    for issue in issues {
        got.push(super::of(&issue.await.unwrap().unwrap()).code().clone());
    }
    assert_eq!(kit.hot.gauge().commits - commits, 2, "the group that waited, and this one");
    assert_eq!(got, [&codes[1], &of_ann, &of_ann, &codes[2]].map(Code::clone));
    let next = kit.issued(&campaign, &kit.user("eve"), "eve").await;
    assert_eq!(next, codes[3], "the cursor was written");
    kit.is_sound().await;
}

/// A dry run skips used serials in parts. It does not answer SOLD_OUT while a coupon is left, and
/// the next dry run does not skip them again.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_skips_serials_in_parts() {
    /// More serials than one read transaction of a dry run skips.
    const GONE: u64 = 100_001;
    let folder = tempdir();
    let kit = Arc::new(kit_in(folder.path(), options()));
    let campaign =
        Campaign { handout: Handout::Shared, shared_code: Some(kit.code()), ..kit.draft() };
    kit.create(&campaign).await;
    let run = run_of(&kit.mint(&campaign, GONE + 1).await);
    let mut conn = raw(folder.path());
    let write = conn.transaction().unwrap();
    for offset in 0..GONE {
        let code = kit.code_at(&run, offset);
        let mut insert = write
            .prepare_cached(
                "INSERT INTO directory (code, number, expiry_day) VALUES (?1, 1 << 37, ?2)",
            )
            .unwrap();
        insert.execute(rusqlite::params![code.as_str(), run.day.0]).unwrap();
    }
    write.execute("UPDATE batch SET moved = 1", []).unwrap();
    write.commit().unwrap();
    let found: Found = kit.found(campaign.shared_code.as_ref().unwrap()).await;
    let dry_run = async |kit: &Kit| {
        let change = kit.change(redeem(&kit.user("ann"), "1"), Asker::Shop, NOW);
        let before = kit.hot.gauge().reads;
        let applied = kit.hot.dry_run(&found, change).await.unwrap();
        (said(&applied), kit.hot.gauge().reads - before)
    };
    assert_eq!(dry_run(&kit).await, (ChangeOutcome::Accepted, GONE.div_ceil(1_000)), "in parts");
    assert_eq!(dry_run(&kit).await, (ChangeOutcome::Accepted, 1), "they are skipped once");
    let counts = kit.counts(&campaign).await;
    assert_eq!((counts.stock, counts.issued), (GONE + 1, 0), "nothing was issued");
}

/// Imported coupons that are gone are skipped in parts, and are skipped once. A coupon that comes back
/// is issued again.
#[tokio::test(flavor = "multi_thread")]
async fn imported_stock_is_found_behind_many_that_are_gone() {
    /// More rows than one transaction looks at.
    const GONE: usize = 2_300;
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let gone: Vec<ImportLine> = (0..GONE)
        .map(|nth| {
            let holder = format!("user-{nth}").parse().unwrap();
            kit.line(&campaign, &kit.code(), ImportedState::Issued { holder, at: None })
        })
        .collect();
    let left: Vec<Code> = (0..3).map(|_| kit.code()).collect();
    let free = left.iter().map(|code| kit.line(&campaign, code, ImportedState::Available));
    let lines: Vec<ImportLine> = gone.into_iter().chain(free).collect();
    for lines in lines.chunks(kit.hot.import_lines_max()) {
        kit.import(&campaign, &batch, lines.to_vec()).await;
    }
    let issue = async |name: &str| said(&kit.issue(&campaign, &kit.user(name), None).await);
    let commits = || kit.hot.gauge().commits;
    let before = commits();
    let ann = kit.user("ann");
    assert_eq!(kit.issued(&campaign, &ann, "1").await, left[0]);
    assert_eq!(commits() - before, 1 + GONE as u64 / 1_000, "in parts");
    let before = commits();
    assert_eq!(kit.issued(&campaign, &kit.user("b"), "1").await, left[1]);
    assert_eq!(commits() - before, 1, "they are skipped once");
    kit.done(&left[2], void()).await;
    assert_eq!(issue("c").await, ChangeOutcome::Refused(Refusal::SoldOut));
    kit.done(&left[0], revoke(&ann)).await;
    assert_eq!(kit.issued(&campaign, &kit.user("d"), "1").await, left[0]);
    assert_eq!(issue("e").await, ChangeOutcome::Refused(Refusal::SoldOut));
    // The row of the last line is deleted, and no other row takes its place before those offered.
    assert_eq!(kit.archive_closed(campaign.expiry_day(), NOW).await, 1);
    let later = kit.code();
    let line = kit.line(&campaign, &later, ImportedState::Available);
    kit.import(&campaign, &batch, vec![line]).await;
    assert_eq!(kit.issued(&campaign, &kit.user("f"), "1").await, later);
    kit.is_sound().await;
}
