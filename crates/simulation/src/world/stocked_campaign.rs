//! One campaign of a seed as it is drawn, and the files that are imported into it.

use coupon::calendar::Zone;
use coupon::campaign::{Campaign, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::ids::{BatchId, UserId};
use coupon::imported::ImportedState;
use coupon::time::{DAY_MS, Millis};
use hot::ImportLine;

use super::plan::{CampaignOffer, SeedPlan};
use simulated_cluster::rng::Rng;

/// A campaign, and the file that is imported into it.
pub(crate) struct StockedCampaign {
    pub(crate) campaign: Campaign,
    /// The batch of its import.
    pub(crate) batch: BatchId,
    /// A first file, and a later one of the same coupons.
    pub(crate) files: [Vec<ImportLine>; 2],
    /// Coupons of its first batch.
    pub(crate) minted: u64,
}

/// A user by number.
pub(crate) fn user(number: u64) -> UserId {
    format!("김{number}").parse().expect("a short word is a name")
}

/// Draws a campaign and its files.
pub(crate) fn drawn(
    rng: &mut Rng,
    plan: &SeedPlan,
    nth: usize,
    offer: &CampaignOffer,
    now: Millis,
) -> StockedCampaign {
    let shared = (offer.handout == Handout::Shared)
        .then(|| format!("SHARED{nth}").parse().expect("letters are a code"));
    let campaign = Campaign {
        id: format!("c{nth}").parse().expect("a short word is a name"),
        name: format!("Campaign {nth}"),
        handout: offer.handout,
        shared_code: shared,
        code_prefix: None,
        valid_from: now.plus_ms(-DAY_MS),
        expires_at: now.plus_days(offer.ends_in_days).day().end(),
        earlier_ends: Vec::new(),
        zone: Zone::utc(),
        valid_days: offer.valid_days,
        issue_from: None,
        issue_until: None,
        per_user_limit: offer.limit,
        cancel_days: offer.cancel_days,
        extend_days: offer.extend_days,
        paused: false,
        metadata: None,
        worth: CampaignWorth::default(),
        created_at: now,
    };
    let mut files = [Vec::new(), Vec::new()];
    for number in 0..offer.lines {
        // Some are as long as minted codes, which everybody is told of before.
        let code = match rng.chance(200) {
            true => format!("UUUUUUUUUUUUUUUUC{nth}N{number:03}"),
            false => format!("UC{nth}N{number:03}"),
        };
        let code = if number < offer.common_lines { format!("UANYN{number:03}") } else { code };
        let code: Code = code.parse().expect("letters and digits are a code");
        let later = u16::try_from(rng.below(4) / 3).unwrap_or(0);
        let expires_at = campaign.expires_at.plus_days(later);
        let first = imported_state(rng, plan, now, 0);
        let second = imported_state(rng, plan, now, first.0);
        for (file, (_, imported_state)) in files.iter_mut().zip([first, second]) {
            let (code, valid_from) = (code.clone(), campaign.valid_from);
            file.push(ImportLine { code, valid_from, expires_at, imported_state });
        }
    }
    let batch = "file".parse().expect("a short word is a name");
    StockedCampaign { campaign, batch, files, minted: offer.minted }
}

/// A state at least as late as `rank`, and its rank.
fn imported_state(rng: &mut Rng, plan: &SeedPlan, now: Millis, rank: u64) -> (u64, ImportedState) {
    let holder = user(rng.below(plan.users));
    let at = now.plus_ms(-60_000);
    let order = format!("o{}", rng.below(plan.orders)).parse().ok();
    match rank.max(rng.below(8).saturating_sub(4)) {
        0 => (0, ImportedState::Available),
        1 => (1, ImportedState::Issued { holder, at: Some(at) }),
        2 => {
            let holder = Some(holder);
            (2, ImportedState::Redeemed { holder, issued_at: None, at, order, worth: None })
        }
        _ => (3, ImportedState::VOID),
    }
}
