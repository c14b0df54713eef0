//! Lists: who may read which, filters, pages, cursors.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, BOB, Operator, Service, Shop, Who};

/// Coupons of ann in four states, one in each campaign, expiring on consecutive days.
async fn stocked() -> Service {
    let service = Service::new();
    for (nth, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let terms = json!({
            "expires_at": format!("2027-01-0{}T00:00:00Z", nth + 1),
            "valid_from": format!("2026-12-0{}T00:00:00Z", nth + 1),
        });
        service.campaign(id, terms).await;
    }
    service.set("2026-12-05T12:00:00Z");
    for id in ["a", "b", "c", "d"] {
        service.issued(id, "ann").await;
        service.clock.pass(3_600_000);
    }
    let code = |id: &str| {
        let (service, target) = (&service, format!("/v1/coupons?campaign_id={id}"));
        async move { service.get(Admin, &target).await.data("code").remove(0) }
    };
    service.does("redeem", &code("b").await, "1").await.is("201", "b is redeemed");
    service.clock.pass(3_600_000);
    service.admin("void", &code("c").await, json!({})).await.is("200", "c is void");
    service
}

/// A wallet needs one call: each coupon comes with what people read of its campaign.
#[tokio::test]
async fn with_their_campaigns() {
    let service = stocked().await;
    let patch = json!({"name": "Spring", "metadata": {"percent": 10}});
    service.patch(Admin, "/v1/campaigns/a", patch).await.is("200", "named");
    let list = async |query: &str| service.get(ANN, &format!("/v1/coupons{query}")).await;
    let plain = list("").await;
    assert_eq!(plain.json["data"][0]["campaign"], Value::Null);
    let wallet = list("?expand=campaign&order=soonest").await;
    let first = json!({"name": "Spring", "metadata": {"percent": 10}, "worth": null});
    assert_eq!(wallet.json["data"][0]["campaign"], first);
    assert_eq!(wallet.json["data"][3]["campaign"]["metadata"], Value::Null);
    let cases = [
        ("something else", "?expand=batch", "400 INVALID"),
        ("many", "?expand=campaign&limit=101", "400 INVALID"),
        ("as many as may be", "?expand=campaign&limit=100", "200"),
    ];
    for (name, query, want) in cases {
        list(query).await.is(want, name);
    }
    // A page may be read without them, and the next one with them.
    let next = list("?limit=2").await.string("next_cursor");
    let rest = list(&format!("?limit=2&expand=campaign&cursor={next}")).await;
    assert_eq!(rest.is("200", "the rest").data("campaign_id"), ["b", "a"]);
    assert_eq!(rest.json["data"][1]["campaign"], first);
}

#[tokio::test]
async fn filters() {
    let service = stocked().await;
    let cases = [
        ("all", "", "d c b a"),
        ("soonest first", "&order=soonest", "a b c d"),
        ("latest first", "&order=latest", "d c b a"),
        ("issued", "&state=issued", "d a"),
        ("redeemed", "&state=redeemed", "b"),
        ("void", "&state=void", "c"),
        ("available", "&state=available", ""),
        ("not expired", "&expired=false", "d c b a"),
        ("expired", "&expired=true", ""),
        ("one campaign", "&campaign_id=b", "b"),
        ("no such campaign", "&campaign_id=nowhere", ""),
        ("expires from, inclusive", "&expires_from=2027-01-03T00:00:00Z", "d c"),
        ("expires from, a millisecond on", "&expires_from=2027-01-03T00:00:00.001Z", "d"),
        ("expires before, exclusive", "&expires_before=2027-01-02T00:00:00Z", "a"),
        ("expires before, a millisecond on", "&expires_before=2027-01-02T00:00:00.001Z", "b a"),
        ("valid from", "&valid_from=2026-12-03T00:00:00Z", "d c"),
        ("valid before", "&valid_before=2026-12-02T00:00:00Z", "a"),
        ("issued from", "&issued_from=2026-12-05T15:00:00Z", "d"),
        ("issued before", "&issued_before=2026-12-05T13:00:00Z", "a"),
        ("redeemed from", "&redeemed_from=2026-12-05T16:00:00Z", "b"),
        ("redeemed before", "&redeemed_before=2026-12-05T16:00:00Z", ""),
        ("created from", "&created_from=2026-11-20T12:00:00Z", "d c b a"),
        ("created before", "&created_before=2026-11-20T12:00:00Z", ""),
        ("modified from", "&modified_from=2026-12-05T16:00:00Z", "c b"),
        ("modified before", "&modified_before=2026-12-05T13:00:00Z", "a"),
        ("last day", "&expires_on=2027-01-02", "c"),
        ("last day in UTC", "&expires_on=2027-01-02&time_zone=UTC", "c"),
        ("last day in Seoul", "&expires_on=2027-01-02&time_zone=Asia/Seoul", "b"),
        ("two filters", "&state=issued&expires_from=2027-01-02T00:00:00Z", "d"),
    ];
    for (name, query, want) in cases {
        let want: Vec<&str> = want.split_whitespace().collect();
        let shop = service.get(Shop, &format!("/v1/coupons?user_id=ann{query}")).await;
        assert_eq!(shop.is("200", name).data("campaign_id"), want, "{name}");
        let target = format!("/v1/coupons?{}", query.trim_start_matches('&'));
        let own = service.get(ANN, &target).await;
        assert_eq!(own.is("200", name).json, shop.json, "{name}: the user's own list");
        let others = service.get(BOB, &target).await;
        assert_eq!(others.is("200", name).data("campaign_id").len(), 0, "{name}: bob's");
    }
    service.set("2027-01-02T00:00:00Z");
    for (name, query, want) in
        [("expired", "true", vec!["b", "a"]), ("not", "false", vec!["d", "c"])]
    {
        let answer = service.get(ANN, &format!("/v1/coupons?expired={query}")).await;
        assert_eq!(answer.data("campaign_id"), want, "{name}");
    }
}

#[tokio::test]
async fn lists_that_would_scan_everything() {
    let service = stocked().await;
    let from = "expires_from=2027-01-01T00:00:00Z";
    let month = format!("{from}&expires_before=2027-02-01T00:00:00Z");
    let more = format!("{from}&expires_before=2027-02-01T00:00:00.001Z");
    let backwards = format!("{from}&expires_before=2026-01-01T00:00:00Z");
    let cases = [
        ("nothing", "", "400 INVALID"),
        ("a state", "state=issued", "400 INVALID"),
        ("an open end", from, "400 INVALID"),
        ("an open start", "expires_before=2027-01-01T00:00:00Z", "400 INVALID"),
        ("31 days", &month, "200"),
        ("31 days and a millisecond", &more, "400 INVALID"),
        ("backwards", &backwards, "200"),
        (
            "another span",
            "issued_from=2027-01-01T00:00:00Z&issued_before=2027-01-02T00:00:00Z",
            "400 INVALID",
        ),
        ("a last day", "expires_on=2027-01-02", "200"),
        ("a campaign", "campaign_id=a", "200"),
        ("a user", "user_id=ann", "200"),
    ];
    for (name, query, want) in cases {
        for who in [Operator, Admin] {
            service.get(who, &format!("/v1/coupons?{query}")).await.is(want, name);
        }
        let shop = service.get(Shop, &format!("/v1/coupons?{query}")).await;
        let want = if query.starts_with("user_id") { "200" } else { "400 INVALID" };
        shop.is(want, &format!("{name}, by a shop"));
    }
    let found = service.get(Operator, &format!("/v1/coupons?{month}")).await;
    assert_eq!(
        found.data("campaign_id"),
        ["d", "c", "b", "a"],
        "the coupons of all users in a month"
    );
    let unknown = service.get(Operator, "/v1/coupons?campaign_id=nowhere").await;
    unknown.is("404 NOT_FOUND", "no such campaign");
}

#[tokio::test]
async fn parameters_that_cannot_be_used() {
    let service = stocked().await;
    let cases = [
        ("unknown", "colour=red", "colour"),
        ("a wrong state", "state=used", "state"),
        ("a state in capitals", "state=ISSUED", "state"),
        ("expired is not a state", "expired=maybe", "expired"),
        ("order", "order=random", "order"),
        ("limit 0", "limit=0", "limit"),
        ("limit 1,001", "limit=1001", "limit"),
        ("limit -1", "limit=-1", "limit"),
        ("limit 2^64", "limit=18446744073709551616", "limit"),
        ("limit is a word", "limit=all", "limit"),
        ("not an instant", "issued_from=yesterday", "issued_from"),
        ("not a day", "expires_on=2027-02-30", "expires_on"),
        ("not a zone", "expires_on=2027-01-02&time_zone=Mars/Base", "time_zone"),
        ("a zone alone", "time_zone=UTC", "time_zone"),
        ("day and span", "expires_on=2027-01-02&expires_from=2027-01-01T00:00:00Z", "expires_on"),
        ("a bad campaign", "campaign_id=a%20b", "campaign_id"),
        ("an invented cursor", "cursor=abc", "cursor"),
        ("an empty cursor", "cursor=", "cursor"),
        ("a parameter twice", "limit=1&limit=2", "limit"),
    ];
    for (name, query, field) in cases {
        let answer = service.get(ANN, &format!("/v1/coupons?{query}")).await;
        assert_eq!(answer.is("400 INVALID", name).fields(), [field], "{name}: {}", answer.text);
    }
    let others = [
        ("campaigns", Admin, "/v1/campaigns?colour=red"),
        ("batches", Admin, "/v1/campaigns/a/batches?colour=red"),
        ("codes", Admin, "/v1/campaigns/a/codes?colour=red"),
        ("a coupon", ANN, "/v1/coupons/AAAA?colour=red"),
    ];
    for (name, who, target) in others {
        let answer = service.get(who, target).await;
        assert_eq!(answer.is("400 INVALID", name).fields(), ["colour"], "{name}");
    }
    for (target, _) in [("/v1/campaigns", 0), ("/v1/campaigns/a/batches", 0)] {
        for (query, field) in
            [("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=abc", "cursor")]
        {
            let answer = service.get(Admin, &format!("{target}?{query}")).await;
            assert_eq!(answer.is("400 INVALID", target).fields(), [field], "{target} {query}");
        }
    }
}

/// A detail names the wrong parameter, once.
#[tokio::test]
async fn details_name_the_wrong_parameter() {
    let service = stocked().await;
    let from = "expires_from=2027-01-01T00:00:00Z";
    let before = "expires_before=2027-03-01T00:00:00Z";
    let cases = [
        ("a negative limit", "limit=-1".to_owned(), "limit is \"-1\", want 1 to 1000"),
        ("limit 0", "limit=0".to_owned(), "limit is \"0\", want 1 to 1000"),
        ("a word for true", "expired=maybe".to_owned(), "expired is \"maybe\", want true or false"),
        ("an unknown parameter", "nonsense=1".to_owned(), "nonsense is unknown: known are"),
        ("a range without an end", from.to_owned(), "expires_before is missing: a range"),
        ("a range without a beginning", before.to_owned(), "expires_from is missing: a range"),
        ("two months", format!("{from}&{before}"), "expires_before is too late: a range"),
    ];
    for (name, query, want) in cases {
        let answer = service.get(Admin, &format!("/v1/coupons?{query}")).await;
        let detail = answer.is("400 INVALID", name).string("detail");
        assert!(detail.starts_with(want), "{name}: {detail}");
        let first = want.split(' ').next().unwrap_or_default();
        assert_eq!(answer.fields(), [first], "{name}");
        assert_eq!(detail.matches(first).count(), 1, "{name} names it once: {detail}");
    }
    let unknown = service.post(Admin, "/v1/campaigns", serde_json::json!({"nonsense": 1})).await;
    let detail = unknown.is("400 INVALID", "a field").string("detail");
    assert!(detail.starts_with("nonsense is unknown: known are"), "{detail}");
    let gone = [
        ("a path", "/v1/nowhere", "there is no such path"),
        ("a campaign", "/v1/campaigns/nowhere", "there is no such campaign"),
        ("no name of a campaign", "/v1/campaigns/a%20b", "there is no such campaign"),
        (
            "a batch",
            "/v1/campaigns/a/batches/nowhere",
            "there is no such campaign, or no such batch",
        ),
        ("its batches", "/v1/campaigns/nowhere/batches", "there is no such campaign"),
        ("its codes", "/v1/campaigns/nowhere/codes", "there is no such campaign"),
        ("its coupons", "/v1/coupons?campaign_id=nowhere", "there is no such campaign"),
        ("a page", "/docs/problems/NOWHERE", "there is no such page"),
        ("a coupon", "/v1/coupons/NOSUCHCODE", "there is no such coupon"),
    ];
    for (name, target, want) in gone {
        let detail = service.get(Admin, target).await.is("404 NOT_FOUND", name).string("detail");
        assert!(detail.starts_with(want), "{name}: {detail}");
    }
}

/// All pages of a list, by one field of its items.
async fn pages(
    service: &Service,
    who: Who<'_>,
    target: &str,
    limit: usize,
    field: &str,
) -> Vec<String> {
    let join = if target.contains('?') { '&' } else { '?' };
    let mut all = Vec::new();
    let mut cursor = Value::Null;
    for _ in 0..10_000 {
        let mut page = format!("{target}{join}limit={limit}");
        if let Some(cursor) = cursor.as_str() {
            page += &format!("&cursor={cursor}");
        }
        let answer = service.get(who, &page).await;
        let data = answer.is("200", &page).data(field);
        assert!(data.len() <= limit, "{page}");
        all.extend(data);
        cursor = answer.json["next_cursor"].clone();
        if cursor.is_null() {
            return all;
        }
    }
    panic!("{target} does not end");
}

#[tokio::test]
async fn pages_have_everything_once() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 100, "stock": 100})).await;
    for nth in 0..60 {
        let body = json!({"user_id": "ann", "issue_ref": format!("r{nth}")});
        service.post(Shop, "/v1/campaigns/c/issue", body).await.is("201", "issue");
    }
    let whole = pages(&service, ANN, "/v1/coupons", 1_000, "code").await;
    assert_eq!(whole.len(), 60);
    assert_eq!(service.get(ANN, "/v1/coupons").await.data("code").len(), 50, "50 by default");
    let targets = [
        (ANN, "/v1/coupons"),
        (ANN, "/v1/coupons?order=soonest"),
        (ANN, "/v1/coupons?state=issued"),
        (Shop, "/v1/coupons?user_id=ann"),
        (Admin, "/v1/coupons?campaign_id=c"),
        (Operator, "/v1/coupons?expires_on=2027-12-31"),
    ];
    for (who, target) in targets {
        for limit in [1, 7, 60, 61, 1_000] {
            let mut found = pages(&service, who, target, limit, "code").await;
            let asked = format!("{target} by {limit}");
            if target.contains("soonest") {
                found.sort();
                let mut whole = whole.clone();
                whole.sort();
                assert_eq!(found, whole, "{asked}");
            } else {
                assert_eq!(found, whole, "{asked}");
            }
        }
    }
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_query() {
    let service = stocked().await;
    let first = service.get(ANN, "/v1/coupons?limit=1&state=issued").await;
    let cursor = first.string("next_cursor");
    let tampered = format!("{}A", &cursor[..cursor.len() - 1]);
    let cases = [
        ("the same query", ANN, format!("state=issued&cursor={cursor}"), "200"),
        ("another limit", ANN, format!("limit=7&state=issued&cursor={cursor}"), "200"),
        ("without the filter", ANN, format!("cursor={cursor}"), "400 INVALID"),
        ("another filter", ANN, format!("state=void&cursor={cursor}"), "400 INVALID"),
        (
            "another order",
            ANN,
            format!("state=issued&order=soonest&cursor={cursor}"),
            "400 INVALID",
        ),
        ("another user", BOB, format!("state=issued&cursor={cursor}"), "400 INVALID"),
        ("a shop", Shop, format!("user_id=ann&state=issued&cursor={cursor}"), "400 INVALID"),
        ("cut short", ANN, format!("state=issued&cursor={}", &cursor[1..]), "400 INVALID"),
        ("not base64", ANN, "state=issued&cursor=%21%21".into(), "400 INVALID"),
        ("too long", ANN, format!("state=issued&cursor={}", "A".repeat(5_000)), "400 INVALID"),
    ];
    for (name, who, query, want) in cases {
        let answer = service.get(who, &format!("/v1/coupons?{query}")).await;
        answer.is(want, name);
        if want != "200" {
            assert_eq!(answer.fields(), ["cursor"], "{name}");
        }
    }
    let answer = service.get(ANN, &format!("/v1/coupons?state=issued&cursor={tampered}")).await;
    assert!(answer.status == 400 || answer.status == 200, "{}", answer.text);
    let campaigns = service.get(Admin, "/v1/campaigns?limit=1").await.string("next_cursor");
    let batches = service.get(Admin, &format!("/v1/campaigns/a/batches?cursor={campaigns}")).await;
    assert_eq!(batches.is("400 INVALID", "of another list").fields(), ["cursor"]);
}

#[tokio::test]
async fn campaigns_and_batches() {
    let service = Service::new();
    let ids: Vec<String> = (0..12).map(|nth| format!("c{nth:02}")).collect();
    for id in &ids {
        service.campaign(id, json!({})).await;
    }
    for limit in [1, 5, 12, 13, 1_000] {
        let found = pages(&service, Shop, "/v1/campaigns", limit, "campaign_id").await;
        assert_eq!(found, ids, "campaigns by {limit}");
    }
    let mut batches = vec!["first".to_owned()];
    for nth in (0..7).rev() {
        let body = json!({"batch_id": format!("b{nth}"), "count": 1});
        service.post(Admin, "/v1/campaigns/c00/batches", body).await.is("201", "mint");
        batches.push(format!("b{nth}"));
    }
    for limit in [1, 3, 8, 9] {
        let target = "/v1/campaigns/c00/batches";
        let found = pages(&service, Operator, target, limit, "batch_id").await;
        assert_eq!(found, batches, "batches by {limit}, oldest first");
    }
    for target in ["/v1/campaigns/nowhere/batches", "/v1/campaigns/nowhere/codes"] {
        service.get(Admin, target).await.is("404 NOT_FOUND", target);
    }
}

#[tokio::test]
async fn untouched_codes() {
    let service = Service::new();
    service.campaign("c", json!({"code_prefix": "GOLD", "stock": 5})).await;
    let body = json!({"batch_id": "b", "count": 3});
    service.post(Admin, "/v1/campaigns/c/batches", body).await.is("201", "mint");
    service.import("c", "i", "code\nOLD0001\n").await.is("201", "import");
    let all = service.codes("c").await;
    assert_eq!(all.len(), 8, "minted coupons");
    assert!(all.iter().all(|code| code.starts_with("GOLD-") && code.len() == 24), "{all:?}");
    let issued = service.issued("c", "ann").await;
    let left = service.codes("c").await;
    assert_eq!(left.len(), 7);
    assert!(all.contains(&issued) && !left.contains(&issued), "touched");
    service.admin("revoke", &issued, json!({"user_id": "ann"})).await.is("200", "revoke");
    assert_eq!(service.codes("c").await, left, "a coupon with a history is not untouched");
    let get = async |query: &str| {
        let answer = service.get(Admin, &format!("/v1/campaigns/c/codes?{query}")).await;
        answer.is("200", query).text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(get(&format!("after={}", left[2])).await, left[3..], "continues after a code");
    assert_eq!(get("batch_id=b").await.len(), 3, "one batch");
    assert_eq!(get("batch_id=i").await.len(), 0, "imported coupons have rows");
    let bad = service.get(Admin, "/v1/campaigns/c/codes?after=%21").await;
    assert_eq!(bad.is("400 INVALID", "no code").fields(), ["after"]);
}
