//! Rows of imported coupons: only the directory leads to them.

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::DAY_MS;
use hot::inventory::RowIs;
use hot::{ImportLine, ImportOutcome, Tier};
use hot_conformance::kit::{ChangeOutcome, Kit, NOW, give, redeem, void};
use router::Found;
use rusqlite::Connection;

use super::{kit_in, options, raw, tempdir};

fn number_of(conn: &Connection, code: &Code) -> i64 {
    let sql = "SELECT number FROM coupon WHERE code = ?1";
    conn.query_row(sql, [code.as_str()], |row| row.get(0)).unwrap()
}

/// Imports one line, and returns what became of it.
async fn import(kit: &Kit, campaign: &Campaign, code: &Code, said: ImportedState) -> ImportOutcome {
    let batch = kit.open_import(campaign).await;
    kit.import(campaign, &batch, vec![kit.line(campaign, code, said)]).await.remove(0)
}

/// The row of an archived coupon is gone, and a later coupon of its batch gets its number.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_used_again_leads_to_one_coupon() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let [first, archived, later] = [(); 3].map(|()| kit.code());
    let available = |code: &Code| kit.line(&campaign, code, ImportedState::Available);
    kit.import(&campaign, &batch, vec![available(&first), available(&archived)]).await;
    kit.done(&archived, void()).await;
    let conn = raw(folder.path());
    let number = number_of(&conn, &archived);
    let Found::Coupon(before) = kit.found(&archived).await else { panic!("it is a coupon") };
    assert_eq!(before.hint, Some(number), "the directory says so");
    assert_eq!(kit.archive_closed(campaign.expiry_day(), NOW).await, 1);
    kit.import(&campaign, &batch, vec![available(&later)]).await;
    assert_eq!(number_of(&conn, &later), number, "it is used again");

    let read_by_old_address = kit.hot.read(&before).await.unwrap();
    for snapshot in [kit.see(&archived).await, read_by_old_address] {
        let snapshot = snapshot.unwrap();
        assert_eq!((snapshot.tier, snapshot.coupon.state().as_str()), (Tier::Cold, "void"));
    }
    let ann = kit.user("ann");
    assert_eq!(
        kit.said(&archived, give(&ann, None)).await,
        ChangeOutcome::Refused(Refusal::Voided)
    );
    assert_eq!(kit.see(&later).await.unwrap().tier, Tier::Hot);
    assert_eq!(kit.said(&later, give(&ann, None)).await, ChangeOutcome::Accepted);
    assert_eq!(kit.coupon(&first).await.version(), 1);
    kit.is_sound().await;
}

/// What the last line said goes from the row to the directory, and is still what a line is compared
/// with.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_outlives_the_row() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.create(&campaign).await;
    let conn = raw(folder.path());
    let kept = |code: &Code| -> Option<Vec<u8>> {
        let sql = "SELECT last_line FROM directory WHERE code = ?1";
        conn.query_row(sql, [code.as_str()], |row| row.get(0)).unwrap()
    };
    let (ann, bob, code) = (kit.user("ann"), kit.user("bob"), kit.code());
    let issued = |holder| ImportedState::Issued { holder, at: None };
    let to_ann = issued(ann.clone());
    assert_eq!(import(&kit, &campaign, &code, to_ann.clone()).await, ImportOutcome::Imported);
    assert_eq!(kept(&code), None, "the row has it");
    assert_eq!(import(&kit, &campaign, &code, to_ann.clone()).await, ImportOutcome::AlreadyThere);
    kit.done(&code, redeem(&ann, "1")).await;
    let contradicts = |outcome: ImportOutcome| matches!(outcome, ImportOutcome::Refused(_));
    for archived in [false, true] {
        if archived {
            let day = campaign.expiry_day();
            kit.archive_partition(day, kit.time_to_seal(day).await).await;
        }
        assert_eq!(kept(&code).is_some(), archived);
        let again = import(&kit, &campaign, &code, to_ann.clone()).await;
        assert_eq!(again, ImportOutcome::AlreadyThere, "archived: {archived}");
        let other = import(&kit, &campaign, &code, issued(bob.clone())).await;
        assert!(contradicts(other), "archived: {archived}");
    }
    kit.is_sound().await;
}

/// A page of a partition has as many rows as were asked for, also if some are gone since the rows were
/// collected: fewer are the end.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_gone_do_not_end_a_walk() {
    const PAGE: usize = 10;
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    let day = campaign.expiry_day();
    let minted = kit.stocked(&campaign, 40).await;
    for code in &minted {
        kit.done(code, void()).await;
    }
    let batch = kit.open_import(&campaign).await;
    let mut codes: Vec<Code> = (0..200).map(|_| kit.code()).collect();
    let lines = codes.iter().enumerate().map(|(nth, code)| {
        // Some have an expiry of their own on the same day, others on the day before.
        let earlier = [0, 1, DAY_MS][nth % 3];
        let line = kit.line(&campaign, code, ImportedState::Available);
        ImportLine { expires_at: line.expires_at.plus_ms(-earlier), ..line }
    });
    kit.import(&campaign, &batch, lines.collect()).await;
    let mut nth = 0..;
    codes.retain(|_| nth.next().is_some_and(|nth: usize| nth % 3 < 2));
    codes.extend(minted);
    codes.sort_unstable();
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let rows = kit.hot.rows_by_code(day, after.clone(), PAGE).await.unwrap();
        found.extend(rows.iter().map(|row| {
            assert!(!matches!(row.is, RowIs::Unreadable(_)), "{row:?}");
            row.code.clone()
        }));
        let Some(last) = rows.last().filter(|_| rows.len() >= PAGE) else { break };
        after.clone_from(&last.code);
        if found.len() == 3 * PAGE {
            // Most of the next rows go, more than two pages of them.
            let next = codes.partition_point(|code| code.as_str() <= after.as_str());
            let gone: Vec<Code> = codes.drain(next + 1..next + 40).collect();
            let conn = raw(folder.path());
            for code in gone {
                conn.execute("DELETE FROM coupon WHERE code = ?1", [code.as_str()]).unwrap();
            }
        }
    }
    let want: Vec<String> = codes.iter().map(Code::to_string).collect();
    assert_eq!(found, want);
}
