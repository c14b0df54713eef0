//! What a caller does with one coupon; here is what all of these actions share.

mod admin;
mod check;
mod hold;
mod issue;
mod read;
mod redeem;
mod view;

use coupon::apply::{Change, Outcome};
use coupon::code::CodeText;
use coupon::refusal::Refusal;
use hot::{Applied, CouponSnapshot};

use crate::failure::{Done, Failure};
use crate::{Caller, Engine};

pub use admin::{AdminChange, Expiry};
pub use check::CheckView;
pub use hold::{HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, HoldView};
pub use redeem::RedemptionView;
pub use view::CouponView;

impl Engine {
    async fn change_at(
        &self,
        caller: &Caller,
        text: &CodeText,
        change: Change,
    ) -> Result<Done<CouponSnapshot>, Failure> {
        let found = self.find(text).await?;
        let applied = self.hot.apply(&found, change).await?;
        self.settled(caller, applied)
    }

    /// The coupon after an accepted or replayed change.
    fn settled(&self, caller: &Caller, applied: Applied) -> Result<Done<CouponSnapshot>, Failure> {
        match (applied.outcome, applied.snapshot) {
            (Outcome::Accepted(_), Some(snapshot)) => Ok(Done::Created(snapshot)),
            (Outcome::Replayed, Some(snapshot)) => Ok(Done::Same(snapshot)),
            (Outcome::Refused(refusal), snapshot) => {
                // Callers for whom there is no such coupon learn nothing about it.
                let hidden = matches!(refusal, Refusal::NotFound | Refusal::NotIssued);
                let snapshot = snapshot.filter(|_| !hidden);
                let seen = snapshot.and_then(|snapshot| self.view(caller, &snapshot));
                Err(Failure::Refused { refusal, coupon: seen.map(Box::new) })
            }
            (Outcome::Accepted(_) | Outcome::Replayed, None) => {
                Err(Failure::refused(Refusal::NotFound))
            }
        }
    }
}
