//! Lists of many batches: rows that expire with their batch, merged with those that do not.

use std::collections::BTreeMap;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::time::{DAY_MS, Millis};
use hot::{CouponFilter, ImportLine, ListOrder, ListQuery, ListScope, Span};
use hot_conformance::kit::{Kit, NOW, revoke};

use super::{kit_in, options, tempdir};

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A coupon that a list may show: when it expires, its campaign, and whether Ann holds it.
struct Listed {
    expires_at: Millis,
    campaign: usize,
    is_anns: bool,
}

/// Imports coupons into many batches. Of one batch in three all expire at one instant, of another most,
/// and of the third each on one of six.
async fn filled(kit: &Kit, campaigns: &[Campaign], ann: &UserId) -> BTreeMap<Code, Listed> {
    let (mut all, mut dice) = (BTreeMap::new(), Dice(7));
    for nth in 0..36 {
        let campaign = nth % campaigns.len();
        let terms = &campaigns[campaign];
        let batch = kit.open_import(terms).await;
        let usual = dice.roll(6);
        // More than are found at a time, at times.
        let lines: Vec<ImportLine> = (0..1 + dice.roll(180))
            .map(|at| {
                let own = match nth % 3 {
                    0 => false,
                    1 => dice.roll(9) == 0,
                    _ => true,
                };
                let day = if own && at > 0 { dice.roll(6) } else { usual };
                let expires_at = terms.expires_at.plus_ms(-(day as i64) * DAY_MS / 2);
                let is_anns = dice.roll(3) == 0;
                let imported_state = match is_anns {
                    true => ImportedState::Issued { holder: ann.clone(), at: None },
                    false => ImportedState::Available,
                };
                let code = kit.code();
                all.insert(code.clone(), Listed { expires_at, campaign, is_anns });
                ImportLine { code, valid_from: terms.valid_from, expires_at, imported_state }
            })
            .collect();
        for lines in lines.chunks(kit.hot.import_lines_max()) {
            kit.import(terms, &batch, lines.to_vec()).await;
        }
    }
    all
}

/// All pages of a list: codes in their order.
async fn walked(kit: &Kit, mut query: ListQuery) -> Vec<(Millis, Code)> {
    let mut all = Vec::new();
    loop {
        let page = kit.hot.list(query.clone()).await.unwrap();
        assert_eq!(page.coupons.len(), page.positions.len());
        all.extend(
            page.coupons.iter().map(|it| (it.coupon.expires_at(), it.coupon.code().clone())),
        );
        match page.next {
            None => return all,
            Some(next) => query.after = Some(next),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_coupon_comes_once_and_in_order() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaigns: Vec<Campaign> =
        (0..3).map(|_| Campaign { per_user_limit: None, ..kit.draft() }).collect();
    for campaign in &campaigns {
        kit.create(campaign).await;
    }
    let ann = kit.user("ann");
    let all = filled(&kit, &campaigns, &ann).await;
    let end = campaigns[0].expires_at;
    let spans = [
        Span::default(),
        Span { from: Some(end.plus_ms(-DAY_MS)), before: None },
        Span { from: None, before: Some(end.plus_ms(-DAY_MS)) },
        Span { from: Some(end.plus_ms(-2 * DAY_MS)), before: Some(end.plus_ms(1)) },
        Span { from: Some(end.plus_ms(1)), before: None },
    ];
    let scopes = [
        ("Ann's", ListScope::Holder(ann)),
        ("the second campaign's", ListScope::Campaign(campaigns[1].id.clone())),
        ("everybody's", ListScope::Everybody),
    ];
    for (name, scope) in scopes {
        let is_in = |it: &Listed| match &scope {
            ListScope::Holder(_) => it.is_anns,
            ListScope::Campaign(_) => it.campaign == 1,
            ListScope::Everybody => true,
        };
        for (order, limit, expires) in [ListOrder::Soonest, ListOrder::Latest]
            .into_iter()
            .flat_map(|order| [1_000, 64, 7].map(|limit| (order, limit)))
            .flat_map(|(order, limit)| spans.map(|span| (order, limit, span)))
        {
            let filter = CouponFilter { expires, ..CouponFilter::default() };
            let scope = scope.clone();
            let query = ListQuery { scope, filter, order, after: None, limit, now: NOW };
            let found = walked(&kit, query).await;
            let said = format!("{name}, {order:?}, pages of {limit}, {expires:?}");
            let is_in_order = match order {
                ListOrder::Soonest => found.is_sorted_by_key(|(at, _)| *at),
                ListOrder::Latest => found.iter().rev().is_sorted_by_key(|(at, _)| *at),
            };
            assert!(is_in_order, "{said}");
            let mut found: Vec<Code> = found.into_iter().map(|(_, code)| code).collect();
            found.sort();
            let want = all.iter().filter(|(_, it)| is_in(it) && expires.holds(Some(it.expires_at)));
            let want: Vec<Code> = want.map(|(code, _)| code.clone()).collect();
            assert_eq!(found.len(), want.len(), "{said}");
            assert_eq!(found, want, "{said}");
        }
    }
}

/// More batches than are read at a time expire at the exclusive end of the span.
#[tokio::test(flavor = "multi_thread")]
async fn batches_at_the_end_of_a_span() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let end = campaign.expires_at;
    let mut wanted = Vec::new();
    for nth in 0..60 {
        let expires_at = if nth < 40 { end } else { end.plus_ms(-nth) };
        let code = kit.code();
        if expires_at < end {
            wanted.push((expires_at, code.clone()));
        }
        let (valid_from, imported_state) = (campaign.valid_from, ImportedState::Available);
        let line = ImportLine { code, valid_from, expires_at, imported_state };
        let batch = kit.open_import(&campaign).await;
        kit.import(&campaign, &batch, vec![line]).await;
    }
    wanted.sort();
    for order in [ListOrder::Soonest, ListOrder::Latest] {
        let expires = Span { from: None, before: Some(end) };
        let filter = CouponFilter { expires, ..CouponFilter::default() };
        let scope = ListScope::Everybody;
        let query = ListQuery { scope, filter, order, after: None, limit: 7, now: NOW };
        let mut found = walked(&kit, query).await;
        found.sort();
        assert_eq!(found, wanted, "{order:?}");
    }
}

/// The wallet has the first claims of a user and the index of holders: a coupon that comes again may be in both.
#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_that_comes_again_is_in_the_wallet_once() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    // Few, so that each comes often, but not so often that its history is full.
    kit.stocked(&campaign, 12).await;
    let [ann, bob] = kit.users();
    for round in 0..40 {
        let mut codes = [
            kit.issued(&campaign, &ann, &format!("one {round}")).await,
            kit.issued(&campaign, &ann, &format!("two {round}")).await,
        ];
        codes.sort();
        let other = kit.issued(&campaign, &bob, &format!("{round}")).await;
        for (order, limit) in
            [(ListOrder::Soonest, 10), (ListOrder::Latest, 10), (ListOrder::Latest, 1)]
        {
            let mine = |user: &UserId| ListQuery {
                scope: ListScope::Holder(user.clone()),
                filter: CouponFilter::default(),
                order,
                after: None,
                limit,
                now: NOW,
            };
            let found = walked(&kit, mine(&ann)).await;
            let mut found: Vec<Code> = found.into_iter().map(|(_, code)| code).collect();
            found.sort();
            assert_eq!(found, codes, "round {round}, {order:?}");
            let bobs = walked(&kit, mine(&bob)).await;
            assert_eq!(bobs.iter().map(|(_, code)| code).collect::<Vec<_>>(), [&other]);
        }
        for (code, user) in codes.iter().map(|code| (code, &ann)).chain([(&other, &bob)]) {
            kit.done(code, revoke(user)).await;
        }
    }
    kit.is_sound().await;
}
