//! Claims: archived coupons count towards the limit.

use coupon::apply::{Action, Asker};
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::{ImportLine, Tier};

use super::{CLOSED, is_cold};
use crate::kit::{ChangeOutcome, Kit, NOW, cancel, give, hold, of, redeem, reference, said, void};

pub(crate) async fn an_archived_coupon_counts(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let [ann, bob] = kit.users();
    let code = kit.issued(&campaign, &ann, "a").await;
    let redeemed = kit.done(&code, redeem(&ann, "1")).await;
    let counts = kit.counts(&campaign).await;
    let day = campaign.expiry_day();
    let late = kit.time_to_seal(day).await;
    assert_eq!(kit.archive_closed(day, NOW).await, 1);
    for at in [NOW, late] {
        if at == late {
            assert_eq!(kit.archive_partition(day, late).await, 1);
        }
        for name in [None, reference("a"), reference("b"), reference("b")] {
            kit.archive.asked();
            let again = kit.issue_at(at, &campaign.id, &ann, name.clone()).await;
            assert_eq!(kit.archive.asked().0, 1, "once");
            assert_eq!(
                (said(&again), of(&again)),
                (ChangeOutcome::Replayed, &redeemed),
                "{name:?}"
            );
            assert_eq!(again.snapshot.unwrap().tier, Tier::Cold);
        }
        assert_eq!(kit.counts(&campaign).await, counts);
    }
    let none = kit.issue_at(late, &campaign.id, &bob, None).await;
    assert_eq!(said(&none), ChangeOutcome::Refused(Refusal::Expired));
}

pub(crate) async fn three_archived_coupons_count(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(3), cancel_days: 0, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let batch = kit.open_import(&campaign).await;
    let ann = kit.user("ann");
    let [first, second] =
        [kit.issued(&campaign, &ann, "a").await, kit.issued(&campaign, &ann, "b").await];
    kit.done(&first, redeem(&ann, "1")).await;
    kit.done(&second, void()).await;
    // The third coupon is in another partition.
    let spent = ImportedState::Redeemed {
        holder: Some(ann.clone()),
        issued_at: None,
        at: NOW,
        order: None,
        worth: None,
    };
    let expires_at = campaign.expires_at.plus_days(1);
    let line = ImportLine { expires_at, ..kit.line(&campaign, &kit.code(), spent) };
    kit.import(&campaign, &batch, vec![line]).await;
    let counts = kit.counts(&campaign).await;
    let partitions = [campaign.expiry_day(), Day::expiry_day_of(expires_at)];
    let limit = ChangeOutcome::Refused(Refusal::LimitPerUser);
    let fourth = async |at: Millis, asked: (usize, usize)| {
        kit.archive.asked();
        let fourth = kit.issue_at(at, &campaign.id, &ann, reference("d")).await;
        assert_eq!((said(&fourth), kit.archive.asked()), (limit, asked));
        for (name, code) in [("a", &first), ("b", &second)] {
            let again = kit.issue_at(at, &campaign.id, &ann, reference(name)).await;
            assert_eq!(
                (said(&again), of(&again).code()),
                (ChangeOutcome::Replayed, code),
                "{name}"
            );
        }
        assert_eq!(kit.counts(&campaign).await, counts);
    };
    fourth(NOW, (0, 0)).await;
    assert_eq!(kit.archive_closed(partitions[0], NOW).await, 2);
    fourth(NOW, (1, 2)).await;
    assert_eq!(kit.archive_closed(partitions[1], NOW).await, 1);
    fourth(NOW, (2, 3)).await;
    let late = kit.time_to_seal(partitions[1]).await;
    for partition in partitions {
        kit.archive_partition(partition, late).await;
    }
    fourth(NOW, (2, 3)).await;
    fourth(late, (2, 3)).await;
}

pub(crate) async fn redeemed_by_a_shared_code(kit: &Kit) {
    for limit in [1, 3] {
        let word = kit.code();
        let campaign = Campaign {
            handout: Handout::Shared,
            shared_code: Some(word.clone()),
            per_user_limit: Some(limit),
            ..kit.draft()
        };
        kit.stocked(&campaign, 9).await;
        let found = kit.found(&word).await;
        let [ann, bob] = kit.users();
        let ask = async |asker: Asker, action: Action, at: Millis| {
            kit.archive.asked();
            let change = kit.change(action, asker, at);
            let dry_run = kit.hot.dry_run(&found, change.clone()).await.unwrap();
            let asked = kit.archive.asked();
            let applied = kit.hot.apply(&found, change).await.unwrap();
            assert_eq!(kit.archive.asked(), asked);
            assert_eq!(said(&dry_run), said(&applied));
            (applied, asked)
        };
        let orders: Vec<String> = (1..=limit).map(|n| n.to_string()).collect();
        let mut before = Vec::new();
        for order in &orders {
            let (applied, _) = ask(Asker::Shop, redeem(&ann, order), NOW).await;
            assert_eq!(said(&applied), ChangeOutcome::Accepted);
            before.push(of(&applied).clone());
        }
        assert_eq!(kit.archive_closed(campaign.expiry_day(), CLOSED).await, u64::from(limit));
        let all = (1, usize::from(limit));
        for (order, before) in orders.iter().zip(&before) {
            for asker in [Asker::Shop, Asker::User(ann.clone())] {
                let (again, asked) = ask(asker, redeem(&ann, order), CLOSED).await;
                assert_eq!(
                    (said(&again), of(&again)),
                    (ChangeOutcome::Replayed, before),
                    "{order}"
                );
                assert_eq!(again.snapshot.unwrap().tier, Tier::Cold);
                assert_eq!(asked, all, "one read for all coupons of the user");
            }
            let (kept, _) = ask(Asker::User(ann.clone()), cancel(order), NOW).await;
            let closed = ChangeOutcome::Refused(Refusal::CancelClosed);
            assert_eq!(said(&kept), closed, "also by a clock that is behind");
        }
        let (more, asked) = ask(Asker::Shop, redeem(&ann, "more"), CLOSED).await;
        let refusal = if limit == 1 { Refusal::AlreadyRedeemed } else { Refusal::LimitPerUser };
        assert_eq!((said(&more), asked), (ChangeOutcome::Refused(refusal), all));
        let (held, _) = ask(Asker::Shop, hold(&ann, "more", 5), NOW).await;
        assert_eq!(said(&held), ChangeOutcome::Refused(refusal));
        let (other, asked) = ask(Asker::Shop, redeem(&bob, "1"), NOW).await;
        assert_eq!((said(&other), asked), (ChangeOutcome::Accepted, (0, 0)));
    }
}

pub(crate) async fn an_archived_coupon_is_replaced(kit: &Kit) {
    let over = Campaign { cancel_days: 1, extend_days: 0, per_user_limit: Some(9), ..kit.draft() };
    kit.stocked(&over, 9).await;
    let running = Campaign { expires_at: over.expires_at.plus_days(5), ..kit.draft() };
    kit.stocked(&running, 9).await;
    let foreign = kit.imported(&over, 1).await.remove(0);
    let users: [UserId; 4] = kit.users();
    let bob = kit.user("bob");
    let [dead, spent, expired] = {
        let mut codes = Vec::new();
        kit.done(&foreign, give(&users[3], None)).await;
        for user in &users[..3] {
            codes.push(kit.issued(&over, user, "a").await);
        }
        <[Code; 3]>::try_from(codes).unwrap()
    };
    kit.done(&dead, void()).await;
    kit.done(&foreign, void()).await;
    kit.done(&spent, redeem(&users[1], "1")).await;
    let day = over.expiry_day();
    let late = kit.time_to_seal(day).await;
    assert_eq!(kit.archive_closed(day, NOW.plus_days(1)).await, 3);
    let ask = async |user: &UserId, code: &Code, at: Millis| {
        let name = reference(&format!("replaces:{code}"));
        kit.issue_at(at, &running.id, user, name).await
    };
    let refused = ChangeOutcome::Refused;
    let cases = [
        ("another user's coupon", &bob, &dead, NOW, refused(Refusal::NotFound)),
        ("it can be cancelled", &users[1], &spent, NOW, refused(Refusal::AlreadyRedeemed)),
        ("it can still be redeemed", &users[2], &expired, NOW, ChangeOutcome::Replayed),
        ("a void coupon", &users[0], &dead, NOW, ChangeOutcome::Accepted),
        ("once", &users[0], &dead, NOW, ChangeOutcome::Replayed),
        ("not for another", &bob, &dead, NOW, refused(Refusal::NameTaken)),
        ("an imported coupon", &users[3], &foreign, NOW, ChangeOutcome::Accepted),
        ("once", &users[3], &foreign, NOW, ChangeOutcome::Replayed),
        ("it cannot be cancelled", &users[1], &spent, NOW.plus_days(1), ChangeOutcome::Accepted),
        ("once", &users[1], &spent, NOW.plus_days(1), ChangeOutcome::Replayed),
    ];
    for (name, user, code, at, want) in cases {
        assert_eq!(said(&ask(user, code, at).await), want, "{name}");
    }
    kit.archive_partition(day, late).await;
    let counts = kit.counts(&running).await;
    kit.archive.goes_out();
    let name = reference(&format!("replaces:{expired}"));
    let change = kit.change(give(&users[2], name), Asker::Shop, late);
    let unknown = kit.hot.issue(&running.id, change).await;
    assert!(is_cold(&unknown), "{unknown:?}");
    assert_eq!(kit.counts(&running).await, counts);
    kit.archive.comes_back();
    let first = ask(&users[2], &expired, late).await;
    assert_eq!(said(&first), ChangeOutcome::Accepted, "it cannot work again");
    let again = ask(&users[2], &expired, late).await;
    assert_eq!((said(&again), of(&again)), (ChangeOutcome::Replayed, of(&first)));
    assert_eq!(
        kit.counts(&running).await,
        CampaignCounts { stock: 9, issued: 4, ..CampaignCounts::default() }
    );
}

pub(crate) async fn bearer_codes(kit: &Kit) {
    let campaign = Campaign { handout: Handout::Bearer, per_user_limit: Some(1), ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let [ann, bob] = kit.users();
    let redeemed = kit.done(&codes[0], redeem(&ann, "1")).await;
    assert_eq!(kit.archive_closed(campaign.expiry_day(), CLOSED).await, 1);
    let refused = ChangeOutcome::Refused;
    let limit = refused(Refusal::LimitPerUser);
    let cases = [
        ("the same order", &codes[0], redeem(&ann, "1"), ChangeOutcome::Replayed),
        (
            "another order of the user",
            &codes[0],
            redeem(&ann, "2"),
            refused(Refusal::AlreadyRedeemed),
        ),
        (
            "redeemed by another user",
            &codes[0],
            redeem(&bob, "1"),
            refused(Refusal::AlreadyRedeemed),
        ),
        ("held for another user", &codes[0], hold(&bob, "1", 5), refused(Refusal::AlreadyRedeemed)),
        (
            "put into another user's wallet",
            &codes[0],
            give(&bob, None),
            refused(Refusal::AlreadyRedeemed),
        ),
        ("a second coupon", &codes[1], redeem(&ann, "2"), limit),
        ("a second one put into the wallet", &codes[1], give(&ann, None), limit),
        ("a second one held", &codes[1], hold(&ann, "2", 5), limit),
    ];
    for (name, code, action, want) in cases {
        assert_eq!(kit.said(code, action).await, want, "{name}");
    }
    assert_eq!(kit.coupon(&codes[0]).await, redeemed);
    kit.archive.goes_out();
    let found = kit.found(&codes[1]).await;
    let change = kit.change(redeem(&ann, "2"), Asker::Shop, NOW);
    let unknown = kit.hot.apply(&found, change).await;
    assert!(is_cold(&unknown), "cold has to say what the user had: {unknown:?}");
    assert_eq!(
        kit.said(&codes[1], redeem(&bob, "2")).await,
        ChangeOutcome::Accepted,
        "this user had none"
    );
    kit.archive.comes_back();
}
