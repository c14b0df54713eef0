//! Redemptions newest first, and by their orders.

use coupon::campaign::Campaign;
use coupon::time::{Day, Millis};
use hot::redemptions::{RedemptionPosition, RedemptionQuery, Redemptions};
use hot_conformance::kit::{ChangeOutcome, Kit, NOW, cancel, order, redeem, said};

use super::{kit_in, options, raw, tempdir};

fn list(kit: &Kit) -> &dyn Redemptions {
    kit.hot.redemptions().expect("SQLite has it")
}

fn query(campaign: Option<&Campaign>, limit: usize) -> RedemptionQuery {
    RedemptionQuery {
        campaign: campaign.map(|campaign| campaign.id.clone()),
        from: Millis(0),
        before: Millis(i64::MAX),
        after: None,
        limit,
    }
}

/// The orders of the pages of `query`, page by page.
async fn orders(kit: &Kit, mut query: RedemptionQuery) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = list(kit).redemptions(query.clone()).await.unwrap();
        found.extend(page.rows.iter().map(|row| {
            let cancelled = if row.redemption.cancelled_at.is_some() { " cancelled" } else { "" };
            let text = row.redemption.order.as_str().trim_start_matches("주문:");
            format!("{text}{cancelled}")
        }));
        let Some(read_to) = page.read_to else { return found };
        query.after = Some(read_to);
    }
}

/// Two campaigns, whose redemptions are a second apart; the second one is cancelled.
async fn redeemed(kit: &Kit) -> [Campaign; 2] {
    let [ann] = kit.users();
    let made = [(); 2].map(|()| Campaign { per_user_limit: Some(100), ..kit.draft() });
    for campaign in &made {
        kit.stocked(campaign, 10).await;
    }
    for (nth, of) in [0, 1, 0, 0, 1].into_iter().enumerate() {
        let order = format!("o{nth}");
        let code = kit.issued(&made[of], &ann, &order).await;
        assert_eq!(
            said(&kit.at(NOW.plus_ms(1_000 * nth as i64), &code, redeem(&ann, &order)).await),
            ChangeOutcome::Accepted
        );
        if nth == 1 {
            assert_eq!(
                said(&kit.at(NOW.plus_ms(9_000), &code, cancel(&order)).await),
                ChangeOutcome::Accepted
            );
        }
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_first() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let [one, two] = redeemed(&kit).await;
    let all = ["o4", "o3", "o2", "o1 cancelled", "o0"];
    let cases: [(&str, Option<&Campaign>, &[&str]); 3] = [
        ("all", None, &all),
        ("of the first", Some(&one), &["o3", "o2", "o0"]),
        ("of the second", Some(&two), &["o4", "o1 cancelled"]),
    ];
    for (name, campaign, want) in cases {
        for limit in [1, 2, 50] {
            assert_eq!(orders(&kit, query(campaign, limit)).await, want, "{name}, {limit} a page");
        }
    }
    let span = |from: i64, before: i64| RedemptionQuery {
        from: NOW.plus_ms(from),
        before: NOW.plus_ms(before),
        ..query(None, 50)
    };
    assert_eq!(
        orders(&kit, span(1_000, 3_000)).await,
        ["o2", "o1 cancelled"],
        "the end is excluded"
    );
    let behind = RedemptionPosition { at: NOW.plus_ms(2_000), tie: 0 };
    let behind = RedemptionQuery { after: Some(behind), ..query(None, 50) };
    assert_eq!(orders(&kit, behind).await, ["o1 cancelled", "o0"], "behind all of an instant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_redemption_whose_row_is_gone_is_passed_over() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    redeemed(&kit).await;
    let store = raw(folder.path());
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        store.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    // As if the coupon had been archived.
    let gone = "DELETE FROM coupon WHERE number IN (SELECT number FROM cancelled_redemption)";
    store.execute(gone, []).unwrap();
    assert_eq!(orders(&kit, query(None, 1)).await, ["o4", "o3", "o2", "o0"]);
    assert_eq!(count("cancelled_redemption"), 1);
    list(&kit).forget_orders(Day(0)).await.unwrap();
    assert_eq!(count("cancelled_redemption"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_found_until_they_are_forgotten() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    redeemed(&kit).await;
    let [ann] = kit.users();
    let many = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.stocked(&many, 10).await;
    let mut codes = Vec::new();
    for nth in 0..3 {
        let code = kit.issued(&many, &ann, &format!("many-{nth}")).await;
        kit.done(&code, redeem(&ann, "many")).await;
        codes.push(code);
    }
    let found = async |text: &str| {
        let found = list(&kit).codes_of_order(&order(text)).await.unwrap();
        found.expect("it is kept").len()
    };
    let today = NOW.day();
    let cases = [("o0", 1), ("o1", 1), ("many", 3), ("another", 0)];
    for (order, want) in cases {
        assert_eq!(found(order).await, want, "{order}");
    }
    let later = [("not before its day", today, 0, 3), ("then", Day(today.0 + 1), 8, 0)];
    for (name, before, forgotten, left) in later {
        assert_eq!(list(&kit).forget_orders(before).await.unwrap(), forgotten, "{name}");
        assert_eq!(found("many").await, left, "{name}");
    }
}
