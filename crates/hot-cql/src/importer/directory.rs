//! Directory entries, written by a copy.

use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::time::{Day, Millis};
use hot::inventory::{EntryIs, EntryItem, Pass};
use hot::protocol::untouched;
use hot::{HotError, imported_state_text};
use router::{Owner, home};
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::LONG_AGO;
use super::coupons::ForwardingNeed;
use crate::CqlStore;
use crate::values::{date, instant, parsed};
use cql_session::{Result, StatementProfile};

impl CqlStore {
    pub(super) async fn put_entry(&self, it: &EntryItem, pass: Pass) -> Result<()> {
        let code: Code = parsed("code", &it.code)?;
        match &it.is {
            EntryIs::Unreadable(why) => Err(HotError::Damaged(format!("{code}: {why}"))),
            EntryIs::Gone => {
                let cql = "INSERT INTO directory (code, kind) VALUES (?, 'gone') USING TIMESTAMP ?";
                self.session.write(cql, (code.as_str(), LONG_AGO)).await
            }
            EntryIs::Shared { campaign } => {
                let cql = "INSERT INTO directory (code, kind, campaign_id) \
                           VALUES (?, 'shared', ?) USING TIMESTAMP ?";
                self.session.write(cql, (code.as_str(), campaign.as_str(), LONG_AGO)).await
            }
            EntryIs::Coupon { owner, day, line } => {
                let Owner { campaign, batch } = owner;
                let before = match pass {
                    Pass::First => None,
                    Pass::Again => self.directory_day(&code).await?,
                };
                let mut left: Vec<(Day, ForwardingNeed)> =
                    match (home(&self.keys.current(), &code), line) {
                        (Some(home), _) => vec![(home, ForwardingNeed::Surely)],
                        (None, Some((_, until, _))) => {
                            vec![(Day::expiry_day_of(*until), ForwardingNeed::Perhaps)]
                        }
                        (None, None) => Vec::new(),
                    };
                if pass == Pass::First {
                    // Only an earlier pass can have written a row into a partition in which the
                    // coupon was not minted.
                    left.retain(|(_, leaves)| *leaves == ForwardingNeed::Surely);
                }
                left.extend(before.map(|expiry_day| (expiry_day, ForwardingNeed::Perhaps)));
                left.retain(|(expiry_day, _)| expiry_day < day);
                if !left.is_empty() && !self.has_come(*day, &code).await? {
                    // The source is in use, and the coupon has moved after the coupons of this pass
                    // were read. A row that forwarded it now would lead to nothing, and a reader of
                    // that row would write the coupon there as it was. So it has not moved here: the
                    // next pass brings its row first, and then this entry.
                    return Ok(());
                }
                self.put_coupon_entry(&code, owner, *day, line.as_ref()).await?;
                if left.is_empty() {
                    return Ok(());
                }
                let found = self.batch_of(campaign, batch).await?;
                let gone = || HotError::Damaged(format!("{campaign}/{batch} was not copied"));
                let (here, _) = found.ok_or_else(gone)?;
                let made_at = here.terms.created_at;
                let coupon = untouched(&here.terms, batch.clone(), made_at, code);
                for (expiry_day, leaves) in left {
                    self.send_on(expiry_day, *day, &coupon, leaves).await?;
                }
                Ok(())
            }
        }
    }

    /// Whether a coupon is in the partition `day`, or has been there.
    pub(crate) async fn has_come(&self, day: Day, code: &Code) -> Result<bool> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(false) };
        let row = self.row_of(StatementProfile::Read, day, bucket, code).await?;
        // In a sealed bucket without a row: it came, and was archived.
        Ok(row.is_some() || self.is_sealed(day, bucket).await?)
    }

    async fn put_coupon_entry(
        &self,
        code: &Code,
        owner: &Owner,
        expiry_day: Day,
        line: Option<&(Millis, Millis, String)>,
    ) -> Result<()> {
        let imported_state = line.map(|(_, _, said)| imported_state_text::from_json(said));
        let imported_state = imported_state
            .transpose()
            .map_err(|why| HotError::Damaged(format!("imported state: {why}")))?;
        let rank = match imported_state {
            None | Some(ImportedState::Available) => 0,
            Some(ImportedState::Issued { .. }) => 1,
            Some(ImportedState::Redeemed { .. } | ImportedState::Void { .. }) => 2,
        };
        let cql = "INSERT INTO directory (code, kind, campaign_id, batch_id, expiry_day, \
                   valid_from, expires_at, first_imported_state, imported_state, arrived_at, \
                   actor, operation) VALUES (?, 'coupon', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING \
                   TIMESTAMP ?";
        let said = line.map(|(_, _, said)| said.as_str());
        let values = (
            code.as_str(),
            owner.campaign.as_str(),
            owner.batch.as_str(),
            date(expiry_day),
            MaybeUnset::from_option(line.map(|(from, _, _)| instant(*from))),
            MaybeUnset::from_option(line.map(|(_, until, _)| instant(*until))),
            MaybeUnset::from_option(said),
            MaybeUnset::from_option(said),
            // The row has when and by whom it was imported: these are never used.
            MaybeUnset::from_option(line.map(|_| instant(Millis(0)))),
            MaybeUnset::from_option(line.map(|_| "import")),
            MaybeUnset::from_option(line.map(|_| Uuid::nil())),
            // The partition and the imported state only go forward.
            LONG_AGO + 4 * i64::from(expiry_day.0) + rank,
        );
        self.session.write(cql, values).await
    }
}
