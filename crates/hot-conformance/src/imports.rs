//! Imports: every line gets an answer, and the same line changes nothing twice.

use coupon::campaign::{Campaign, CampaignCounts, ImportCounts};
use coupon::code::Code;
use coupon::coupon::State;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Day, Millis};
use hot::{ImportLine, ImportOutcome, Named};

use super::kit::{
    ACT, ChangeOutcome, Kit, NOW, cancel, give, hold, order, redeem, reference, release, revoke,
    said, void,
};

const THERE: ImportOutcome = ImportOutcome::AlreadyThere;
const IMPORTED: ImportOutcome = ImportOutcome::Imported;
const TAKEN: ImportOutcome = ImportOutcome::CodeTaken;

fn issued(holder: &UserId) -> ImportedState {
    ImportedState::Issued { holder: holder.clone(), at: Some(NOW.plus_ms(-5)) }
}

fn redeemed(holder: Option<&UserId>, order: Option<&str>) -> ImportedState {
    ImportedState::Redeemed {
        holder: holder.cloned(),
        issued_at: None,
        at: NOW.plus_ms(-3),
        order: order.map(super::kit::order),
        worth: None,
    }
}

fn void_of(holder: &UserId) -> ImportedState {
    ImportedState::Void { holder: Some(holder.clone()), issued_at: Some(NOW.plus_ms(-5)) }
}

pub(crate) async fn imported_twice(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let [ann, bob] = kit.users();
    let imported_states = [
        ImportedState::Available,
        issued(&ann),
        redeemed(Some(&bob), Some("991")),
        redeemed(None, None),
        ImportedState::VOID,
        void_of(&ann),
    ];
    let codes: Vec<Code> = imported_states.iter().map(|_| kit.code()).collect();
    let lines = || -> Vec<ImportLine> {
        let both = codes.iter().zip(imported_states.clone());
        both.map(|(code, imported_state)| kit.line(&campaign, code, imported_state)).collect()
    };
    let mut twice = lines();
    twice.push(twice[0].clone());
    let outcomes = kit.import(&campaign, &batch, twice).await;
    let first = [IMPORTED, IMPORTED, IMPORTED, IMPORTED, IMPORTED, IMPORTED, THERE];
    assert_eq!(outcomes, first, "a line that is twice in a file counts once");
    let want = CampaignCounts { stock: 6, issued: 1, redeemed: 2, void: 2 };
    assert_eq!(kit.counts(&campaign).await, want);
    let mut coupons = Vec::new();
    for code in &codes {
        coupons.push(kit.coupon(code).await);
    }
    assert_eq!(coupons[0].version(), 1, "a row has at least version 1");
    assert_eq!((coupons[1].holder(), coupons[1].issued_at()), (Some(&ann), Some(NOW.plus_ms(-5))));
    assert_eq!(coupons[2].redemption().unwrap().order, order("991"));
    let order = coupons[3].redemption().unwrap().order.to_string();
    assert_eq!((coupons[3].holder(), order), (None, format!("import:{}", codes[3])));
    assert_eq!(coupons[4].state(), &State::Void { holder: None });
    assert_eq!((coupons[5].holder(), coupons[5].issued_at()), (Some(&ann), Some(NOW.plus_ms(-5))));
    assert_eq!(coupons[5].state().as_str(), "void");
    assert_eq!(coupons[0].genesis().batch, batch);

    let other_batch = kit.open_import(&campaign).await;
    for batch in [&batch, &other_batch] {
        assert_eq!(kit.import(&campaign, batch, lines()).await, [THERE; 6], "the same file again");
    }
    for (code, before) in codes.iter().zip(&coupons) {
        assert_eq!(&kit.coupon(code).await, before);
    }
    assert_eq!(kit.counts(&campaign).await, want);
    let count = |batch| kit.hot.batch(&campaign.id, batch);
    assert_eq!(count(&batch).await.unwrap().unwrap().count, 6);
    assert_eq!(count(&other_batch).await.unwrap().unwrap().count, 0);
}

pub(crate) async fn states_only_go_forward(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let [ann, bob] = kit.users();
    let spent = || redeemed(Some(&ann), Some("1"));
    let refused = ImportOutcome::Refused;
    let cases = [
        ("issued later", ImportedState::Available, issued(&ann), IMPORTED),
        ("redeemed later", issued(&ann), spent(), IMPORTED),
        ("redeemed at once", ImportedState::Available, spent(), IMPORTED),
        ("voided later", issued(&ann), ImportedState::VOID, IMPORTED),
        ("voided later, with its holder", issued(&ann), void_of(&ann), IMPORTED),
        ("issued and voided at once", ImportedState::Available, void_of(&ann), IMPORTED),
        ("void, and whose it was", ImportedState::VOID, void_of(&ann), THERE),
        ("another user's, void", issued(&ann), void_of(&bob), refused(Refusal::AlreadyIssued)),
        ("an old file", spent(), issued(&ann), THERE),
        ("a very old file", spent(), ImportedState::Available, THERE),
        ("another holder", issued(&ann), issued(&bob), refused(Refusal::AlreadyIssued)),
        (
            "redeemed by another user",
            issued(&ann),
            redeemed(Some(&bob), None),
            refused(Refusal::AlreadyIssued),
        ),
        (
            "another order",
            spent(),
            redeemed(Some(&ann), Some("2")),
            refused(Refusal::AlreadyRedeemed),
        ),
        ("redeemed after the void", ImportedState::VOID, spent(), refused(Refusal::Voided)),
    ];
    let mut want = CampaignCounts::default();
    for (name, first, second, outcome) in cases {
        let code = kit.code();
        let line = |imported_state| vec![kit.line(&campaign, &code, imported_state)];
        assert_eq!(kit.import(&campaign, &batch, line(first)).await, [IMPORTED], "{name}");
        let before = kit.coupon(&code).await;
        assert_eq!(kit.import(&campaign, &batch, line(second.clone())).await, [outcome], "{name}");
        let after = kit.coupon(&code).await;
        assert_eq!(after != before, outcome == IMPORTED, "{name}");
        let again = if outcome == IMPORTED { THERE } else { outcome };
        assert_eq!(kit.import(&campaign, &batch, line(second)).await, [again], "{name}, again");
        want.stock += 1;
        match after.state() {
            State::Available => {}
            State::Issued { .. } => want.issued += 1,
            State::Redeemed { .. } => want.redeemed += 1,
            State::Void { .. } => want.void += 1,
        }
    }
    assert_eq!(kit.counts(&campaign).await, want);
}

/// An import does not overwrite what happened in couponry since the first file.
pub(crate) async fn last_file_after_a_cut_over(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let [ann, bob] = kit.users();
    let refused = ImportOutcome::Refused;
    let cases: [(&str, Vec<_>, ImportedState, ImportOutcome); 6] = [
        (
            "redeemed here by another order",
            vec![redeem(&ann, "here")],
            redeemed(Some(&ann), Some("there")),
            refused(Refusal::AlreadyRedeemed),
        ),
        (
            "redeemed here by the same order",
            vec![redeem(&ann, "1")],
            redeemed(Some(&ann), Some("1")),
            THERE,
        ),
        (
            "cancelled here",
            vec![redeem(&ann, "1"), cancel("1")],
            redeemed(Some(&ann), Some("1")),
            THERE,
        ),
        ("voided here", vec![void()], redeemed(Some(&ann), Some("1")), refused(Refusal::Voided)),
        (
            "issued to another user here",
            vec![revoke(&ann), give(&bob, None)],
            redeemed(Some(&ann), Some("1")),
            refused(Refusal::AlreadyIssued),
        ),
        (
            "held and released",
            vec![hold(&ann, "1", 5), release("1")],
            redeemed(Some(&ann), None),
            IMPORTED,
        ),
    ];
    for (name, here, line, outcome) in cases {
        let code = kit.code();
        let import = |imported_state| vec![kit.line(&campaign, &code, imported_state)];
        kit.import(&campaign, &batch, import(issued(&ann))).await;
        for action in here {
            kit.done(&code, action).await;
        }
        let before = kit.coupon(&code).await;
        assert_eq!(kit.import(&campaign, &batch, import(line)).await, [outcome], "{name}");
        assert_eq!(kit.coupon(&code).await != before, outcome == IMPORTED, "{name}");
    }
}

pub(crate) async fn taken_codes(kit: &Kit) {
    let campaign = kit.draft();
    let minted = kit.stocked(&campaign, 1).await.remove(0);
    let other = Campaign { expires_at: campaign.expires_at, ..kit.draft() };
    kit.create(&other).await;
    let (batch, elsewhere) = (kit.open_import(&campaign).await, kit.open_import(&other).await);
    let code = kit.code();
    let line = kit.line(&campaign, &code, ImportedState::Available);
    assert_eq!(kit.import(&campaign, &batch, vec![line.clone()]).await, [IMPORTED]);
    let variants = [
        ("a later end", ImportLine { expires_at: line.expires_at.plus_ms(1), ..line.clone() }),
        (
            "an earlier start",
            ImportLine { valid_from: line.valid_from.plus_ms(-1), ..line.clone() },
        ),
    ];
    for (name, variant) in variants {
        assert_eq!(kit.import(&campaign, &batch, vec![variant]).await, [TAKEN], "{name}");
    }
    assert_eq!(kit.import(&other, &elsewhere, vec![line]).await, [TAKEN], "another campaign");
    assert_eq!(kit.counts(&other).await, CampaignCounts::default());
    kit.done(&minted, super::kit::extend(campaign.expires_at.plus_days(1))).await;
    let line = kit.line(&campaign, &minted, ImportedState::Available);
    assert_eq!(
        kit.import(&campaign, &batch, vec![line]).await,
        [TAKEN],
        "a minted code that was extended"
    );
}

pub(crate) async fn the_dates_of_a_line_count(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let code = kit.code();
    let (valid_from, expires_at) = (NOW.plus_ms(7), Millis(campaign.expires_at.0 + 5 * DAY_MS));
    let line = ImportLine {
        code: code.clone(),
        valid_from,
        expires_at,
        imported_state: ImportedState::Available,
    };
    assert_eq!(kit.import(&campaign, &batch, vec![line]).await, [IMPORTED]);
    let coupon = kit.coupon(&code).await;
    assert_eq!((coupon.genesis().valid_from, coupon.expires_at()), (valid_from, expires_at));
    let plan = kit.hot.bucket_bits(Day::expiry_day_of(expires_at)).await.unwrap();
    assert!(plan.is_some(), "its day has a plan");
    let late = kit.issue_at(campaign.expires_at, &campaign.id, &kit.user("ann"), None).await;
    assert_eq!(said(&late), ChangeOutcome::Accepted, "its own dates count, not the campaign's");
}

pub(crate) async fn holders_count_and_are_never_refused(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    kit.stocked(&campaign, 5).await;
    let batch = kit.open_import(&campaign).await;
    let [ann, bob] = kit.users();
    let spent = |n: &str| redeemed(Some(&ann), Some(n));
    let lines = [issued(&ann), spent("1"), spent("2")];
    let lines =
        lines.map(|imported_state| kit.line(&campaign, &kit.code(), imported_state)).to_vec();
    assert_eq!(kit.import(&campaign, &batch, lines).await, [IMPORTED; 3], "over the limit");
    let limit = kit.issue(&campaign, &ann, reference("r")).await;
    assert_eq!(said(&limit), ChangeOutcome::Refused(Refusal::LimitPerUser));
    let code = kit.code();
    let line = |imported_state| vec![kit.line(&campaign, &code, imported_state)];
    kit.import(&campaign, &batch, line(ImportedState::Available)).await;
    kit.issued(&campaign, &bob, "a").await;
    assert_eq!(kit.import(&campaign, &batch, line(redeemed(Some(&bob), None))).await, [IMPORTED]);
    let limit = kit.issue(&campaign, &bob, reference("b")).await;
    assert_eq!(
        said(&limit),
        ChangeOutcome::Refused(Refusal::LimitPerUser),
        "a coupon of a later line counts, too"
    );
}

pub(crate) async fn long_codes_are_remembered(kit: &Kit) {
    kit.hot.announce_long_codes().await.unwrap();
    assert!(kit.hot.has_long_codes().await.unwrap());
    kit.hot.announce_long_codes().await.unwrap();
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let code: Code = format!("UUUUUUUUUUUUUUUUUUUU{}", kit.code()).parse().unwrap();
    let line = kit.line(&campaign, &code, ImportedState::Available);
    kit.import(&campaign, &batch, vec![line]).await;
    assert_eq!(kit.coupon(&code).await.code(), &code);
}

pub(crate) async fn counted_lines(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let again = kit.hot.open_import(&campaign.id, &batch, &ACT).await.unwrap();
    assert!(matches!(again, Named::Same(_)), "{again:?}");
    let counts = ImportCounts { lines: 9, imported: 5, already_there: 3, rejected: 1 };
    let closed =
        kit.hot.close_import(&campaign.id, &batch, counts, Some(&ACT)).await.unwrap().unwrap();
    assert_eq!(closed.import, counts);
    assert_eq!(kit.hot.batch(&campaign.id, &batch).await.unwrap(), Some(closed));
    let nobody =
        kit.hot.close_import(&campaign.id, &kit.batch_id(), counts, Some(&ACT)).await.unwrap();
    assert_eq!(nobody, None);
}
