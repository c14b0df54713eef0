//! The directory entry of a reconciled coupon.

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::OperationId;
use coupon::time::Day;
use hot::imported_state_text;
use hot::protocol::imported_state_of;
use router::home;

use crate::Store;
use crate::campaigns::CampaignHere;
use crate::values::{date, instant, uuid as uuid_of};
use cql_session::{Result, StatementProfile};

impl Store {
    pub(super) async fn enter_in_directory(
        &self,
        coupon: &Coupon,
        campaign: &CampaignHere,
        day: Day,
        foreign: bool,
    ) -> Result<()> {
        let (code, genesis) = (coupon.code(), coupon.genesis());
        let mut attempts = self.attempts("the directory entry of an archived coupon");
        loop {
            let present = attempts.looked(self.directory_day(code).await)?;
            if present == Some(day) {
                return Ok(());
            }
            let id = campaign.terms.id.as_str();
            let cas = match (present, foreign) {
                (None, true) => {
                    let cql = "INSERT INTO directory (code, kind, campaign_id, batch_id, \
                               expiry_day, valid_from, expires_at, first_imported_state, \
                               imported_state, arrived_at, actor, operation) VALUES (?, 'coupon', \
                               ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
                    let imported_state = imported_state_text::to_json(&imported_state_of(coupon));
                    let event = coupon.events().first();
                    let values = (
                        code.as_str(),
                        id,
                        genesis.batch.as_str(),
                        date(day),
                        instant(genesis.valid_from),
                        instant(genesis.expires_at),
                        imported_state.as_str(),
                        imported_state.as_str(),
                        instant(genesis.created_at),
                        event.map(|event| event.actor.as_str().to_owned()),
                        uuid_of(event.map_or(OperationId(0), |event| event.operation)),
                    );
                    self.session.change(attempts.profile(), cql, values).await
                }
                (present, _) => {
                    let cql = "UPDATE directory SET kind = 'coupon', campaign_id = ?, \
                               batch_id = ?, expiry_day = ? WHERE code = ? IF expiry_day = ?";
                    let batch = genesis.batch.as_str();
                    let values = (id, batch, date(day), code.as_str(), present.map(date));
                    self.session.change(attempts.profile(), cql, values).await
                }
            };
            attempts.wrote(cas).await?;
        }
    }

    /// A code of a campaign that this store does not know: no call finds it. If it is a foreign
    /// code, no import takes it as new either.
    pub(super) async fn stranger(&self, code: &Code) -> Result<()> {
        if home(&self.keys.current(), code).is_some() {
            return Ok(());
        }
        let cql = "INSERT INTO directory (code, kind) VALUES (?, 'gone') IF NOT EXISTS";
        let cas = self.session.change(StatementProfile::Change, cql, (code.as_str(),)).await?;
        cas.known().map(drop)
    }
}
