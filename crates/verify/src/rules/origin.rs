//! The origin of a coupon: what its batch, or the line of its import, says.

use coupon::coupon::Coupon;
use coupon::time::Millis;
use hot::inventory::EntryIs;
use router::Owner;

use super::{CodeHome, CodeJudge, TableAnswer};
use crate::finding::{FindingKind, Note};

impl CodeJudge<'_> {
    /// A coupon of a batch that hot does not know. An archived coupon may be one, after a restore; a coupon
    /// with a row may not.
    pub(super) fn stranger(&mut self, coupon: &Coupon) {
        if self.view.hot_coupon().is_none() {
            return self.note(Note::Stranger);
        }
        let owner = coupon.genesis();
        let says = format!("of {}, batch {}", owner.campaign, owner.batch);
        let other = (format!("campaign {}", owner.campaign), "has no such batch");
        self.find(FindingKind::OriginDiffers, (self.view.hot_place(), says), other);
    }

    pub(super) fn origin(&mut self, coupon: &Coupon) {
        let view = self.view;
        let genesis = coupon.genesis();
        let came = [genesis.valid_from, genesis.expires_at, genesis.created_at];
        let of_line;
        let (place, owner, dates, shown) = match &view.home {
            CodeHome::Minted { owner, dates, .. } => {
                ("the batch of its serial", owner, dates.as_slice(), 3)
            }
            CodeHome::Foreign => {
                let TableAnswer::Is(Some(entry)) = &view.entry else { return };
                let EntryIs::Coupon { owner, line, .. } = &entry.is else { return };
                of_line = line.as_ref().map(|(from, until, _)| [*from, *until]);
                ("the directory", owner, of_line.as_slice().as_flattened(), 2)
            }
        };
        let is_its = owner.campaign == genesis.campaign && owner.batch == genesis.batch;
        // Of an entry without a line, no date is compared.
        if !is_its || !came.starts_with(dates) {
            let its = Owner { campaign: genesis.campaign.clone(), batch: genesis.batch.clone() };
            let one = (view.tier_place(), said(&its, &came[..shown]));
            self.find(FindingKind::OriginDiffers, one, (place, said(owner, dates)));
        }
    }
}

fn said(owner: &Owner, dates: &[Millis]) -> String {
    let dates: Vec<String> = dates.iter().map(|at| coupon::calendar::format_instant(*at)).collect();
    format!("{}, {}, {}", owner.campaign, owner.batch, dates.join(", "))
}
