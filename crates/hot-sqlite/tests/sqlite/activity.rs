//! Sums by the quarter of an hour: each event once, by whichever process, and for two years.

use coupon::campaign::Campaign;
use coupon::imported::ImportedState;
use coupon::time::Millis;
use futures::future::join_all;
use hot::activity::{ALL_TIME, Activities, Activity, QUARTER_MS, quarter_of};
use hot_conformance::kit::{Kit, NOW, cancel, hold, redeem_worth, reference};

use super::{kit_in, options, raw, tempdir};

fn sums(kit: &Kit) -> &dyn Activities {
    kit.hot.activities().expect("SQLite has them")
}

/// Quarter after [`NOW`], issued, redeemed, cancelled.
type Line = (i64, u64, u64, u64);

fn line((quarter, it): &(i64, Activity)) -> Line {
    (quarter - quarter_of(NOW), it.issued, it.redeemed, it.cancelled)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_counted_once() {
    let folder = tempdir();
    let (kit, other) = (kit_in(folder.path(), options()), kit_in(folder.path(), options()));
    let [ann] = kit.users();
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    let second = Campaign { per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    kit.stocked(&second, 10).await;
    let issue = async |campaign: &Campaign, nth: usize, at: Millis| {
        kit.issue_at(at, &campaign.id, &ann, reference(&format!("no-{nth}"))).await
    };
    issue(&campaign, 0, NOW).await;
    // More than one transaction counts.
    raw(folder.path())
        .execute(
            "WITH RECURSIVE n(nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM n WHERE nth < 5099) \
             INSERT INTO event (at, kind, batch, code, version) \
             SELECT at, kind, batch, 'C' || nth, version FROM n, event WHERE kind = 1",
            [],
        )
        .unwrap();
    issue(&second, 0, NOW.plus_ms(2 * QUARTER_MS)).await;
    // Both processes count at the same time.
    let counts = [&kit, &other].map(|kit| sums(kit).count_activity());
    join_all(counts).await.into_iter().for_each(|counted| counted.unwrap());
    let code = kit.issued(&second, &ann, "last").await;
    kit.done(&code, hold(&ann, "1", 10)).await;
    kit.done(&code, redeem_worth(&ann, "1", "KRW 30000 3000")).await;
    kit.done(&code, cancel("1")).await;
    let read = async |kit: &Kit, campaign: Option<&Campaign>, from, until| {
        let campaign = campaign.map(|campaign| campaign.id.clone());
        let (from, until) = (quarter_of(NOW) + from, quarter_of(NOW) + until);
        let found = sums(kit).activity(campaign, from, until).await.unwrap();
        found.iter().map(line).collect::<Vec<_>>()
    };
    let (one, two, nobody) = (Some(&campaign), Some(&second), kit.draft());
    let cases = [
        ("of the first", one, (0, 9), vec![(0, 5_100, 0, 0)]),
        ("of the second", two, (0, 9), vec![(0, 1, 1, 1), (2, 1, 0, 0)]),
        ("of all", None, (0, 9), vec![(0, 5_101, 1, 1), (2, 1, 0, 0)]),
        ("not the last quarter", None, (0, 2), vec![(0, 5_101, 1, 1)]),
        ("of nobody", Some(&nobody), (0, 9), vec![]),
    ];
    for (name, campaign, (from, until), want) in cases {
        assert_eq!(read(&kit, campaign, from, until).await, want, "{name}");
        assert_eq!(read(&other, campaign, from, until).await, want, "{name}, by the other");
    }
    assert_eq!(sums(&kit).forget_activity(quarter_of(NOW) + 1).await.unwrap(), 3);
    assert_eq!(read(&kit, None, 0, 9).await, [(2, 1, 0, 0)]);
    // Amounts of all time are kept, and have those of redemptions that an import brings.
    let batch = kit.open_import(&campaign).await;
    let spent = ImportedState::Redeemed {
        holder: None,
        issued_at: None,
        at: NOW,
        order: None,
        worth: "KRW 7 2".parse().map(Box::new).ok(),
    };
    kit.import(&campaign, &batch, vec![kit.line(&campaign, &kit.code(), spent)]).await;
    let cases = [
        ("of the second", two, "KRW 1 30000 3000 3000 1 30000 3000 3000"),
        ("of the first", one, "KRW 1 7 2 2 0 0 0 0"),
        ("of all", None, "KRW 2 30007 3002 3002 1 30000 3000 3000"),
    ];
    for (name, campaign, want) in cases {
        let id = campaign.map(|campaign| campaign.id.clone());
        let kept = sums(&kit).activity(id, ALL_TIME, ALL_TIME + 1).await.unwrap();
        assert_eq!(kept[0].1.worth.to_string(), want, "{name}");
    }
}
