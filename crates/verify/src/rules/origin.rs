//! The origin of a coupon: what its batch, or the line of its import, says.

use coupon::coupon::Coupon;
use coupon::time::Millis;
use hot::inventory::EntryIs;

use super::{CodeHome, CodeView, RuleResults, TableAnswer};
use crate::finding::{FindingKind, Note, PlaceStatement};

/// A coupon of a batch that hot does not know. An archived coupon may be one, after a restore; a coupon
/// with a row may not.
pub(super) fn stranger(view: &CodeView, coupon: &Coupon, judged: &mut RuleResults) {
    if view.hot_coupon().is_none() {
        return judged.notes.push(Note::Stranger);
    }
    let owner = coupon.genesis();
    let says = format!("of {}, batch {}", owner.campaign, owner.batch);
    let other = PlaceStatement::new(format!("campaign {}", owner.campaign), "has no such batch");
    judged.find(
        FindingKind::OriginDiffers,
        &view.code,
        PlaceStatement::new(view.hot_place(), says),
        other,
    );
}

pub(super) fn origin(view: &CodeView, coupon: &Coupon, judged: &mut RuleResults) {
    let genesis = coupon.genesis();
    let came = [genesis.valid_from, genesis.expires_at, genesis.created_at];
    let said = |owner: &str, batch: &str, dates: &[Millis]| {
        let dates: Vec<String> =
            dates.iter().map(|at| coupon::calendar::format_instant(*at)).collect();
        format!("{owner}, {batch}, {}", dates.join(", "))
    };
    let one = |dates: &[Millis]| {
        let place = if view.hot_coupon().is_some() { "hot" } else { "cold" };
        let place = format!("{place}, partition {}", view.day);
        PlaceStatement::new(place, said(genesis.campaign.as_str(), genesis.batch.as_str(), dates))
    };
    match &view.home {
        CodeHome::Minted { owner, dates, .. } => {
            let is_its = owner.campaign == genesis.campaign && owner.batch == genesis.batch;
            if !is_its || *dates != came {
                let says = said(owner.campaign.as_str(), owner.batch.as_str(), dates);
                let other = PlaceStatement::new("the batch of its serial", says);
                judged.find(FindingKind::OriginDiffers, &view.code, one(&came), other);
            }
        }
        CodeHome::Foreign => {
            let TableAnswer::Is(Some(entry)) = &view.entry else { return };
            let EntryIs::Coupon { owner, line, .. } = &entry.is else { return };
            let is_its = owner.campaign == genesis.campaign && owner.batch == genesis.batch;
            let dates = line.as_ref().is_none_or(|(from, until, _)| [*from, *until] == came[..2]);
            if !is_its || !dates {
                let dates: Vec<Millis> =
                    line.iter().flat_map(|(from, until, _)| [*from, *until]).collect();
                let says = said(owner.campaign.as_str(), owner.batch.as_str(), &dates);
                let other = PlaceStatement::new("the directory", says);
                judged.find(FindingKind::OriginDiffers, &view.code, one(&came[..2]), other);
            }
        }
    }
}
