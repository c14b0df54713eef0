//! Revokes, voids and extends a coupon: what only an admin may do.

use coupon::apply::{Action, Change};
use coupon::calendar::{Date, Zone};
use coupon::code::CodeText;
use coupon::ids::{Reason, RevokeRef, UserId};
use coupon::refusal::Refusal;
use coupon::time::Millis;
use router::Found;

use crate::coupon_view::CouponView;
use crate::failure::{Failure, Result, WriteResult, found};
use crate::{Caller, Engine, Role};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewExpiry {
    /// First instant at which it no longer works.
    At(Millis),
    /// Last day on which it works.
    On(Date, Zone),
}

/// What an admin adds to a revoke, a void or an extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminChange {
    /// Why, for readers of the history.
    pub reason: Option<Reason>,
    /// Change the coupon only if it has this version: see [`Change::if_version`].
    pub if_version: Option<u64>,
}

impl Engine {
    /// Takes a coupon back from its holder. With a `reference`, a repeat returns the same answer,
    /// even if the coupon has been issued to the user again since.
    pub async fn revoke(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: UserId,
        reference: Option<RevokeRef>,
        with: AdminChange,
    ) -> Result<WriteResult<CouponView>> {
        let action = Action::Revoke { user, reference, reason: with.reason };
        self.by_admin(caller, text, action, with.if_version).await
    }

    pub async fn void(
        &self,
        caller: &Caller,
        text: &CodeText,
        with: AdminChange,
    ) -> Result<WriteResult<CouponView>> {
        self.by_admin(caller, text, Action::Void { reason: with.reason }, with.if_version).await
    }

    pub async fn extend(
        &self,
        caller: &Caller,
        text: &CodeText,
        expiry: NewExpiry,
        with: AdminChange,
    ) -> Result<WriteResult<CouponView>> {
        caller.must_be(&[Role::Admin])?;
        let (field, expires_at, zone) = match expiry {
            NewExpiry::On(on, zone) => ("expires_on", on.end(&zone), zone),
            NewExpiry::At(at) => ("expires_at", at, self.zone_of(text).await?),
        };
        let last = coupon::minted::LAST_DAY.end();
        if expires_at > last {
            let last = coupon::calendar::format_instant(last);
            return Err(Failure::invalid(field, format!("lies after {last}")));
        }
        let action = Action::Extend { expires_at, zone, reason: with.reason };
        self.by_admin(caller, text, action, with.if_version).await
    }

    /// The zone in which people read the coupon's dates now.
    async fn zone_of(&self, text: &CodeText) -> Result<Zone> {
        match self.find(text).await? {
            Found::Coupon(address) => {
                let snapshot = found(self.hot.read(&address).await?)?;
                Ok(snapshot.coupon.zone().clone())
            }
            Found::Shared { .. } => Err(Failure::refused(Refusal::NotFound)),
        }
    }

    async fn by_admin(
        &self,
        caller: &Caller,
        text: &CodeText,
        action: Action,
        if_version: Option<u64>,
    ) -> Result<WriteResult<CouponView>> {
        caller.must_be(&[Role::Admin])?;
        let change = Change { if_version, ..self.change(caller, action) };
        let done = self.change_at(caller, text, change).await?;
        Ok(done.map(|snapshot| self.view_of(caller, &snapshot, true)))
    }
}
