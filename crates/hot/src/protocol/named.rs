//! What is made or changed under a name that the caller chose.

use std::cmp::Ordering;

use coupon::campaign::{
    BATCHES_MAX, Batch, BatchKind, Campaign, CampaignCounts, EARLIER_ENDS_MAX, Handout,
};
use coupon::refusal::Refusal;
use coupon::time::Millis;
use xxhash_rust::xxh3::xxh3_64;

use crate::{CampaignPatch, Named, Patched, worth_text};

/// The answer to a call that makes a batch, if nothing has to be made for it. `found` is the batch of
/// that name; `count` is how many codes the call mints, and `None` for the batch of an import;
/// `batches` is how many the campaign has.
pub fn batch_before(
    found: Option<Batch>,
    count: Option<u64>,
    batches: usize,
) -> Option<Named<Batch>> {
    let Some(batch) = found else {
        return (batches >= BATCHES_MAX).then_some(Named::Refused(Refusal::HistoryFull));
    };
    let is_same = match batch.kind {
        BatchKind::Minted(run) => count == Some(run.count),
        BatchKind::Imported => count.is_none(),
    };
    Some(if is_same { Named::Same(batch) } else { Named::Refused(Refusal::NameTaken) })
}

/// Differs after each change of a campaign, and is the same in every process and release.
pub fn terms_tag(campaign: &Campaign) -> u64 {
    let Campaign { name, metadata, paused, per_user_limit, worth, expires_at, .. } = campaign;
    let window = [campaign.issue_from, campaign.issue_until].map(|at| at.map(|at| at.0));
    let terms = serde_json::json!([name, metadata, paused, per_user_limit, window, expires_at.0]);
    xxh3_64((terms.to_string() + &worth_text(worth).unwrap_or_default()).as_bytes())
}

/// The campaign with an end that is later than its present one.
///
/// # Errors
/// [`Refusal::NotLater`]; [`Refusal::ExpiryDayClosed`] once its coupons can no longer be extended;
/// [`Refusal::HistoryFull`] once it got a later end [`EARLIER_ENDS_MAX`] times.
fn extended(campaign: Campaign, expires_at: Millis, now: Millis) -> Result<Campaign, Refusal> {
    let present = campaign.expires_at;
    match expires_at.cmp(&present) {
        Ordering::Equal => return Ok(campaign),
        Ordering::Less => return Err(Refusal::NotLater),
        Ordering::Greater => {}
    }
    if now >= present.plus_days(campaign.extend_days) {
        return Err(Refusal::ExpiryDayClosed);
    }
    if campaign.earlier_ends.len() >= EARLIER_ENDS_MAX {
        return Err(Refusal::HistoryFull);
    }
    let earlier_ends = campaign.earlier_ends.iter().copied().chain([present]).collect();
    Ok(Campaign { expires_at, earlier_ends, ..campaign })
}

/// `counts` and what is `spent` are those of the campaign `now`, or any if the patch does not need them.
pub fn patched(
    campaign: &Campaign,
    counts: CampaignCounts,
    spent: u64,
    patch: &CampaignPatch,
    now: Millis,
) -> Result<Campaign, Patched> {
    // First: a caller who has seen other terms must not get a refusal of these.
    if patch.if_tagged.as_ref().is_some_and(|tags| !tags.contains(&terms_tag(campaign))) {
        return Err(Patched::OtherTag);
    }
    let mut campaign = campaign.clone();
    if let Some(limit) = patch.per_user_limit {
        let present = campaign.per_user_limit;
        let raised = match (present, limit) {
            (Some(present), Some(limit)) => limit >= present,
            (None, Some(_)) => false,
            (_, None) => campaign.handout == Handout::Bearer,
        };
        if !raised {
            return Err(Patched::LimitNotRaised { present });
        }
        campaign.per_user_limit = limit;
    }
    let mut worth = campaign.worth.clone();
    worth.currency = patch.currency.unwrap_or(worth.currency);
    if let Some(benefit) = patch.benefit.clone() {
        let (benefit, title) = benefit.unzip();
        (worth.benefit, worth.title) = (benefit, title.unwrap_or_default());
    }
    if worth != campaign.worth && counts.available() < counts.stock {
        return Err(Patched::WorthFixed);
    }
    worth.budget = patch.budget.unwrap_or(worth.budget);
    if worth != campaign.worth {
        if worth.lacks_currency() {
            return Err(Patched::CurrencyMissing);
        }
        if worth.budget.is_some_and(|budget| budget < spent) {
            return Err(Patched::BudgetBelow { spent });
        }
        campaign.worth = worth;
    }
    let end = patch.expires_on.map(|on| on.end(&campaign.zone)).or(patch.expires_at);
    if let Some(end) = end {
        campaign = extended(campaign, end, now).map_err(Patched::NotExtended)?;
    }
    campaign.name = patch.name.clone().unwrap_or(campaign.name);
    campaign.metadata = patch.metadata.clone().unwrap_or(campaign.metadata);
    campaign.paused = patch.paused.unwrap_or(campaign.paused);
    campaign.issue_from = patch.issue_from.unwrap_or(campaign.issue_from);
    campaign.issue_until = patch.issue_until.unwrap_or(campaign.issue_until);
    match (campaign.issue_from, campaign.issue_until) {
        (Some(from), Some(until)) if from >= until => Err(Patched::WindowEmpty),
        _ => Ok(campaign),
    }
}

#[cfg(test)]
mod tests {
    use coupon::benefit::BenefitTitle;
    use coupon::campaign::{ImportCounts, MintedRun};
    use coupon::minted::CodeKey;

    use super::*;
    use crate::protocol::testing::{DAY, NOW, campaign};
    use crate::{earlier_ends_of, earlier_ends_text};

    #[test]
    fn tags_of_terms() {
        let campaign = campaign();
        let tag = terms_tag(&campaign);
        let none = CampaignPatch::default();
        let won = Some("KRW".parse().ok());
        let off = ("amount 5000".parse().expect("a benefit"), BenefitTitle::default());
        let patches = [
            ("name", CampaignPatch { name: Some("other".into()), ..none.clone() }),
            ("metadata", CampaignPatch { metadata: Some(Some("{}".into())), ..none.clone() }),
            ("paused", CampaignPatch { paused: Some(!campaign.paused), ..none.clone() }),
            ("from", CampaignPatch { issue_from: Some(Some(NOW)), ..none.clone() }),
            ("until", CampaignPatch { issue_until: Some(Some(NOW)), ..none.clone() }),
            ("end", CampaignPatch { expires_at: Some(DAY.end().plus_days(1)), ..none.clone() }),
            ("limit", CampaignPatch { per_user_limit: Some(Some(99)), ..none.clone() }),
            ("currency", CampaignPatch { currency: won, ..none.clone() }),
            ("benefit", CampaignPatch { currency: won, benefit: Some(Some(off)), ..none.clone() }),
        ];
        let mut tags = vec![tag];
        for (name, patch) in patches {
            let wants = |tags: &[u64]| {
                let patch = CampaignPatch { if_tagged: Some(tags.to_vec()), ..patch.clone() };
                patched(&campaign, CampaignCounts::default(), 0, &patch, NOW)
            };
            let changed = wants(&[1, tag]).unwrap_or_else(|why| panic!("{name}: {why:?}"));
            tags.push(terms_tag(&changed));
            assert_eq!(wants(&[1]), Err(Patched::OtherTag), "{name}");
            assert_eq!(wants(&[]), Err(Patched::OtherTag), "{name}");
        }
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 10, "each change has a tag of its own");
        let same = patched(&campaign, CampaignCounts::default(), 0, &none, NOW);
        assert_eq!(same.map(|it| terms_tag(&it)), Ok(tag));
    }

    #[test]
    fn later_ends() {
        let end = DAY.end();
        let campaign = Campaign { extend_days: 2, expires_at: end, ..campaign() };
        let ends = |count: i64| (0..count).map(|it| end.plus_ms(it - count)).collect::<Vec<_>>();
        let of = |count| Campaign { earlier_ends: ends(count), ..campaign.clone() };
        let (later, last) = (end.plus_ms(1), end.plus_days(2).plus_ms(-1));
        let not = |why| Err(Patched::NotExtended(why));
        // A name, the ends before the present one, the wanted one, the moment; the ends then.
        let cases = [
            ("later", 0, later, NOW, Ok((later, 1))),
            ("once more", 1, later, NOW, Ok((later, 2))),
            ("too often", 8, later, NOW, not(Refusal::HistoryFull)),
            ("what it is, in time or not", 8, end, last.plus_ms(1), Ok((end, 8))),
            ("earlier", 0, end.plus_ms(-1), NOW, not(Refusal::NotLater)),
            ("after it has ended", 0, later, last, Ok((later, 1))),
            ("too late", 0, later, last.plus_ms(1), not(Refusal::ExpiryDayClosed)),
        ];
        for (name, ends, wanted, now, want) in cases {
            let patch = CampaignPatch { expires_at: Some(wanted), ..CampaignPatch::default() };
            let after = patched(&of(ends), CampaignCounts::default(), 0, &patch, now);
            assert_eq!(after.map(|it| (it.expires_at, it.earlier_ends.len())), want, "{name}");
        }
        let twice = Campaign { earlier_ends: vec![end, end.plus_ms(1)], ..campaign };
        let text = earlier_ends_text(&twice);
        assert_eq!(earlier_ends_of(text.as_deref()).ok(), Some(twice.earlier_ends));
    }

    #[test]
    fn batches_by_name() {
        let run = MintedRun { key: CodeKey::new([7; 16]).id(), day: DAY, first: 100, count: 50 };
        let batch = |kind, count| Batch {
            id: "first".parse().unwrap(),
            campaign: campaign().id,
            kind,
            count,
            paused: false,
            import: ImportCounts::default(),
            created_at: NOW,
        };
        let minted = || batch(BatchKind::Minted(run), 50);
        // Of an import, with as many coupons by now.
        let imported = || batch(BatchKind::Imported, 50);
        let taken = || Some(Named::Refused(Refusal::NameTaken));
        let full = || Some(Named::Refused(Refusal::HistoryFull));
        let (most, mint) = (BATCHES_MAX, Some(50));
        // A name, the batch of that name, the codes that are minted, the batches; the answer.
        let cases = [
            ("minted", None, mint, most - 1, None),
            ("minted again", Some(minted()), mint, 1, Some(Named::Same(minted()))),
            ("minted with more codes", Some(minted()), Some(51), 1, taken()),
            ("minted under the name of an import", Some(imported()), mint, 1, taken()),
            ("one too many", None, mint, most, full()),
            ("minted again, the last one", Some(minted()), mint, most, Some(Named::Same(minted()))),
            ("opened", None, None, most - 1, None),
            ("opened again", Some(imported()), None, 1, Some(Named::Same(imported()))),
            ("opened under the name of minted codes", Some(minted()), None, 1, taken()),
            ("one too many to import into", None, None, most, full()),
        ];
        for (name, found, count, batches, want) in cases {
            assert_eq!(batch_before(found, count, batches), want, "{name}");
        }
    }
}
