//! Lists: each matching coupon comes once and in order, whatever the page size.

use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::imported::ImportedState;
use coupon::time::{DAY_MS, Millis};
use hot::{CouponFilter, CouponSnapshot, ImportLine, ListOrder, ListQuery, ListScope, Span};

use super::kit::{Kit, NOW, all_of, give, redeem, void};

fn span(from: Millis, before: Millis) -> Span {
    Span { from: Some(from), before: Some(before) }
}

fn ask(scope: ListScope, filter: CouponFilter) -> ListQuery {
    ListQuery { filter, ..all_of(scope) }
}

/// All pages of a query, each checked against its limit.
async fn walk(kit: &Kit, query: &ListQuery) -> Vec<CouponSnapshot> {
    let (mut all, mut query, mut pages) = (Vec::new(), query.clone(), 0);
    loop {
        let page = kit.hot.list(query.clone()).await.unwrap();
        assert!(page.coupons.len() <= query.limit);
        all.extend(page.coupons);
        pages += 1;
        assert!(pages < 10_000, "the walk ends");
        let Some(next) = page.next else { return all };
        assert_ne!(Some(&next), query.after.as_ref(), "each page makes progress");
        query.after = Some(next);
    }
}

async fn codes(kit: &Kit, query: &ListQuery) -> Vec<Code> {
    walk(kit, query).await.into_iter().map(|snapshot| snapshot.coupon.code().clone()).collect()
}

/// Imports a coupon of the campaign that expires at `expires_at`.
async fn one(
    kit: &Kit,
    campaign: &Campaign,
    expires_at: Millis,
    imported_state: ImportedState,
) -> Code {
    let batch = kit.open_import(campaign).await;
    let code = kit.code();
    let line = ImportLine {
        code: code.clone(),
        valid_from: campaign.valid_from,
        expires_at,
        imported_state,
    };
    kit.import(campaign, &batch, vec![line]).await;
    code
}

pub(crate) async fn pages_in_both_orders(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.create(&campaign).await;
    let ann = kit.user("ann");
    let held = || ImportedState::Issued { holder: ann.clone(), at: None };
    let end = campaign.expires_at;
    let mut want = Vec::new();
    // Many coupons on each of three instants.
    for n in 0..24 {
        let expires_at = end.plus_ms([0, 1, -1][n % 3]);
        want.push((expires_at, one(kit, &campaign, expires_at, held()).await));
    }
    want.sort();
    let sorted = |found: &[(Millis, Code)]| {
        let mut sorted = found.to_vec();
        sorted.sort();
        sorted
    };
    let scopes = [
        ListScope::Holder(ann.clone()),
        ListScope::Campaign(campaign.id.clone()),
        ListScope::Everybody,
    ];
    for scope in scopes {
        let expires = span(end.plus_ms(-1), end.plus_ms(2));
        let filter = CouponFilter { expires, ..CouponFilter::default() };
        for limit in [1, 2, 3, 7, 23, 24, 25, 1_000] {
            let soonest = ListQuery {
                order: ListOrder::Soonest,
                limit,
                ..ask(scope.clone(), filter.clone())
            };
            let mut found: Vec<_> = walk(kit, &soonest).await;
            for snapshot in &found {
                assert_eq!(Some(snapshot), kit.see(snapshot.coupon.code()).await.as_ref());
            }
            let place = |snapshot: &CouponSnapshot| {
                (snapshot.coupon.expires_at(), snapshot.coupon.code().clone())
            };
            let soonest: Vec<_> = found.iter().map(place).collect();
            // The store chooses the order of coupons with one expiry.
            assert!(soonest.is_sorted_by_key(|(at, _)| *at), "{scope:?} by {limit}, soonest first");
            assert_eq!(sorted(&soonest), want, "{scope:?} by {limit}, soonest first");
            let latest = ListQuery { limit, ..ask(scope.clone(), filter.clone()) };
            found = walk(kit, &latest).await;
            let latest: Vec<_> = found.iter().rev().map(place).collect();
            assert_eq!(latest, soonest, "{scope:?} by {limit}, latest first");
        }
    }
    let full = ListQuery { limit: 24, ..ask(ListScope::Holder(ann), CouponFilter::default()) };
    let page = kit.hot.list(full).await.unwrap();
    assert_eq!((page.coupons.len(), page.next), (24, None), "a full page may be the last");
}

pub(crate) async fn filters_at_both_edges(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let (ann, bob) = (kit.user("ann"), kit.user("bob"));
    let spent = kit.code();
    let at = NOW.plus_ms(-5_000);
    let line = ImportLine {
        code: spent.clone(),
        valid_from: at.plus_ms(1),
        expires_at: campaign.expires_at,
        imported_state: ImportedState::Redeemed {
            holder: Some(ann.clone()),
            issued_at: Some(at.plus_ms(2)),
            at: at.plus_ms(3),
            order: None,
            worth: None,
        },
    };
    kit.import(&campaign, &batch, vec![line]).await;
    // Created at NOW and changed later.
    let moved = one(kit, &campaign, campaign.expires_at.plus_ms(7), ImportedState::Available).await;
    let later = NOW.plus_ms(9);
    kit.at(later, &moved, give(&bob, None)).await;
    type SpanSetter = fn(&mut CouponFilter, Span);
    let rows: [(&str, &Code, Millis, SpanSetter); 6] = [
        ("valid", &spent, at.plus_ms(1), |filter, span| filter.valid = span),
        ("issued", &spent, at.plus_ms(2), |filter, span| filter.issued = span),
        ("redeemed", &spent, at.plus_ms(3), |filter, span| filter.redeemed = span),
        ("expires", &moved, campaign.expires_at.plus_ms(7), |filter, span| filter.expires = span),
        ("created", &moved, NOW, |filter, span| filter.created = span),
        ("modified", &moved, later, |filter, span| filter.modified = span),
    ];
    let scopes =
        [ListScope::Campaign(campaign.id.clone()), ListScope::Holder(ann), ListScope::Holder(bob)];
    for (name, code, instant, set) in rows {
        let spans = [
            ("from the instant on", Some(instant), None, true),
            ("from a millisecond later", Some(instant.plus_ms(1)), None, false),
            ("before it", None, Some(instant), false),
            ("before a millisecond later", None, Some(instant.plus_ms(1)), true),
            ("both", Some(instant), Some(instant.plus_ms(1)), true),
            ("an empty span", Some(instant), Some(instant), false),
        ];
        for (edge, from, before, want) in spans {
            let mut filter = CouponFilter::default();
            set(&mut filter, Span { from, before });
            let mut found = false;
            for scope in &scopes {
                found |= codes(kit, &ask(scope.clone(), filter.clone())).await.contains(code);
            }
            assert_eq!(found, want, "{name}: {edge}");
        }
    }
    let filter =
        CouponFilter { redeemed: span(Millis(0), campaign.expires_at), ..CouponFilter::default() };
    let found = codes(kit, &ask(scopes[0].clone(), filter)).await;
    assert_eq!(found, [spent], "a coupon without the instant is in no span");
}

pub(crate) async fn states_and_expiry(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    let minted = kit.stocked(&campaign, 3).await;
    let ann = kit.user("ann");
    kit.done(&minted[0], give(&ann, None)).await;
    kit.done(&minted[1], give(&ann, None)).await;
    kit.done(&minted[1], redeem(&ann, "1")).await;
    let dead = one(kit, &campaign, NOW, ImportedState::Available).await;
    kit.done(&dead, void()).await;
    let soon = one(kit, &campaign, NOW.plus_ms(1), ImportedState::Available).await;
    let of = |filter| ask(ListScope::Campaign(campaign.id.clone()), filter);
    let state = |state| CouponFilter { state: Some(state), ..CouponFilter::default() };
    let expired = |expired| CouponFilter { expired: Some(expired), ..CouponFilter::default() };
    let cases = [
        ("available, with a row", state("available"), vec![&soon]),
        ("issued", state("issued"), vec![&minted[0]]),
        ("redeemed", state("redeemed"), vec![&minted[1]]),
        ("void", state("void"), vec![&dead]),
        ("expired", expired(true), vec![&dead]),
        ("not expired", expired(false), vec![&soon, &minted[0], &minted[1]]),
        ("all with rows", CouponFilter::default(), vec![&soon, &dead, &minted[0], &minted[1]]),
    ];
    for (name, filter, mut want) in cases {
        let mut found = codes(kit, &of(filter)).await;
        found.sort();
        want.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), want, "{name}");
    }
    let a_moment_later = ListQuery { now: NOW.plus_ms(1), ..of(expired(true)) };
    assert_eq!(codes(kit, &a_moment_later).await.len(), 2, "the clock is the query's");
    let empty = ask(ListScope::Campaign(kit.draft().id), CouponFilter::default());
    assert_eq!(codes(kit, &empty).await, [], "an unknown campaign has none");
}

pub(crate) async fn holders_see_their_coupons(kit: &Kit) {
    let (one, two) = (kit.draft(), kit.draft());
    kit.stocked(&one, 3).await;
    kit.stocked(&two, 3).await;
    let [ann, bob] = kit.users();
    let first = kit.issued(&one, &ann, "r").await;
    let second = kit.issued(&two, &ann, "r").await;
    kit.issued(&one, &bob, "r").await;
    let of = |user: &_, campaign: Option<CampaignId>| {
        let filter = CouponFilter { campaign, ..CouponFilter::default() };
        ask(ListScope::Holder(Clone::clone(user)), filter)
    };
    let mut both = codes(kit, &of(&ann, None)).await;
    both.sort();
    let mut want = [first.clone(), second];
    want.sort();
    assert_eq!(both, want);
    let theirs = codes(kit, &of(&ann, Some(one.id.clone()))).await;
    assert_eq!(theirs.iter().collect::<Vec<_>>(), [&first]);
    kit.done(&first, super::kit::revoke(&ann)).await;
    assert_eq!(codes(kit, &of(&ann, Some(one.id.clone()))).await, []);
    let paper = Campaign { handout: Handout::Bearer, ..kit.draft() };
    let code = kit.stocked(&paper, 1).await.remove(0);
    kit.done(&code, redeem(&ann, "1")).await;
    assert!(codes(kit, &of(&ann, None)).await.contains(&code), "the user who redeemed it holds it");
}

/// A page reads a bounded number of rows, so it may be short. The walk is still complete.
pub(crate) async fn pages_with_few_matches(kit: &Kit) {
    const ALL: usize = 6_003;
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let end = campaign.expires_at;
    let mut want = Vec::new();
    let mut lines = Vec::new();
    for n in 0..ALL {
        let imported_state =
            if n % 1_000 == 2 { ImportedState::VOID } else { ImportedState::Available };
        let line = ImportLine {
            code: kit.code(),
            valid_from: campaign.valid_from,
            expires_at: end.plus_ms(-((n / 100) as i64)),
            imported_state,
        };
        if line.imported_state == ImportedState::VOID {
            want.push((line.expires_at, line.code.clone()));
        }
        lines.push(line);
    }
    for group in lines.chunks(3_000) {
        kit.import(&campaign, &batch, group.to_vec()).await;
    }
    want.sort();
    let filter = CouponFilter {
        state: Some("void"),
        expires: span(end.plus_ms(-DAY_MS), end.plus_ms(DAY_MS)),
        ..CouponFilter::default()
    };
    for scope in [ListScope::Campaign(campaign.id.clone()), ListScope::Everybody] {
        for order in [ListOrder::Latest, ListOrder::Soonest] {
            for limit in [3, 1_000] {
                let query = ListQuery { order, limit, ..ask(scope.clone(), filter.clone()) };
                let mut found: Vec<_> = walk(kit, &query)
                    .await
                    .into_iter()
                    .map(|snapshot| (snapshot.coupon.expires_at(), snapshot.coupon.code().clone()))
                    .collect();
                if order == ListOrder::Latest {
                    found.reverse();
                }
                assert_eq!(found, want, "{scope:?} {order:?} by {limit}");
            }
        }
    }
    let all = ListQuery {
        limit: 1_000,
        ..ask(ListScope::Campaign(campaign.id), CouponFilter::default())
    };
    assert_eq!(codes(kit, &all).await.len(), ALL);
}

pub(crate) async fn a_page_after_a_coupon_that_left(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    kit.imported(&campaign, 4).await;
    let query = ListQuery {
        order: ListOrder::Soonest,
        ..ask(ListScope::Campaign(campaign.id.clone()), CouponFilter::default())
    };
    let all = codes(kit, &query).await;
    let after = kit.hot.list(ListQuery { limit: 2, ..query.clone() }).await.unwrap().next;
    assert!(after.is_some());
    // It leaves between two pages. The coupons after its old position still come.
    kit.done(&all[1], super::kit::extend_days(&campaign, 2)).await;
    let rest = codes(kit, &ListQuery { after, ..query }).await;
    assert_eq!(rest, [all[2].clone(), all[3].clone(), all[1].clone()]);
}

/// More coupons on one day than the first CQL partitions of an index take: each is listed once.
pub(crate) async fn many_on_one_day(kit: &Kit) {
    const MANY: usize = 600;
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let mut want = kit.imported(&campaign, MANY).await;
    want.sort();
    for limit in [97, 1_000] {
        let scope = ListScope::Campaign(campaign.id.clone());
        let query = ListQuery { limit, ..ask(scope, CouponFilter::default()) };
        let mut listed = codes(kit, &query).await;
        listed.sort();
        assert_eq!(listed, want, "pages of {limit}");
    }
}
