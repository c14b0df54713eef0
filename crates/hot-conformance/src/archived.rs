//! What shops, users and imports see of archived coupons: the same answers as before.

mod answers;
mod claims;
mod imports;
mod races;
mod reads;

use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::time::{DAY_MS, Millis};
use hot::HotError;

use crate::kit::{Kit, MINUTE, NOW, cancel, give, hold, redeem, revoke, void};

pub(crate) use answers::{closed_coupons_answer_as_before, sealed_coupons_answer_as_before};
pub(crate) use claims::{
    an_archived_coupon_counts, an_archived_coupon_is_replaced, bearer_codes,
    redeemed_by_a_shared_code, three_archived_coupons_count,
};
pub(crate) use imports::{imported_again, imported_beside_other_lines};
pub(crate) use races::{limits_hold_while_archiving, one_order_redeems_while_archiving};
pub(crate) use reads::{
    an_outage_of_cold_is_an_error, an_untouched_code_behind_a_seal, archived_coupons_are_read,
    extended_and_archived, untouched_asks_cold,
};

/// No redemption made until `NOW` can be cancelled now, with `cancel_days` of 30.
const CLOSED: Millis = Millis(NOW.0 + 30 * DAY_MS);

/// A clock that is behind: every redemption can still be cancelled, and every hold has ended.
const BEHIND: Millis = Millis(NOW.0 + 10 * MINUTE);

const BY_CLOCKS: [(&str, Millis); 2] = [("closed", CLOSED), ("by a clock that is behind", BEHIND)];

/// A coupon in each state that is closed at [`CLOSED`].
async fn closed_ones(kit: &Kit, campaign: &Campaign, ann: &UserId) -> Vec<(&'static str, Code)> {
    let minted = kit.codes(&kit.mint(campaign, 5).await);
    let stories = [
        ("redeemed", vec![give(ann, None), redeem(ann, "1")]),
        (
            "redeemed, cancelled and redeemed",
            vec![give(ann, None), redeem(ann, "0"), cancel("0"), redeem(ann, "1")],
        ),
        ("void", vec![void()]),
        ("void, in a wallet", vec![give(ann, None), void()]),
    ];
    let mut closed = Vec::new();
    for ((name, story), code) in stories.into_iter().zip(&minted) {
        for action in story {
            kit.done(code, action).await;
        }
        closed.push((name, code.clone()));
    }
    if campaign.handout == Handout::Bearer {
        kit.done(&minted[4], redeem(ann, "1")).await;
        closed.push(("redeemed by its bearer", minted[4].clone()));
    }
    let redeemed = |holder: Option<&UserId>| ImportedState::Redeemed {
        holder: holder.cloned(),
        issued_at: None,
        at: NOW.plus_ms(-5),
        order: Some(crate::kit::order("1")),
        worth: None,
    };
    let imported = [
        ("imported as redeemed", redeemed(Some(ann))),
        ("imported as redeemed, without a holder", redeemed(None)),
        ("imported as void", ImportedState::VOID),
    ];
    let batch = kit.open_import(campaign).await;
    for (name, imported_state) in imported {
        let line = kit.line(campaign, &kit.code(), imported_state);
        closed.push((name, line.code.clone()));
        kit.import(campaign, &batch, vec![line]).await;
    }
    closed
}

/// A coupon in each state that only a seal makes final.
async fn open_ones(kit: &Kit, campaign: &Campaign, ann: &UserId) -> Vec<(&'static str, Code)> {
    let codes = kit.codes(&kit.mint(campaign, 3).await);
    kit.done(&codes[0], give(ann, None)).await;
    kit.done(&codes[1], give(ann, None)).await;
    kit.done(&codes[1], hold(ann, "1", 5)).await;
    kit.done(&codes[2], give(ann, None)).await;
    kit.done(&codes[2], revoke(ann)).await;
    let imported = kit.imported(campaign, 1).await.remove(0);
    vec![
        ("issued", codes[0].clone()),
        ("issued, and was held", codes[1].clone()),
        ("revoked", codes[2].clone()),
        ("imported", imported),
    ]
}

fn is_cold<T>(answer: &Result<T, HotError>) -> bool {
    matches!(answer, Err(HotError::Cold(_)))
}
