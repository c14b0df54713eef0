//! What a store learns from the cold tier after it was restored from a backup.

use coupon::coupon::{Coupon, State};
use coupon::imported::ImportedState;

/// What a line of an import would have to say for the coupon to be as it is: no later line moves it
/// forward.
pub fn imported_state_of(coupon: &Coupon) -> ImportedState {
    match coupon.state() {
        State::Available => ImportedState::Available,
        State::Issued { holder } => {
            ImportedState::Issued { holder: holder.clone(), at: coupon.issued_at() }
        }
        State::Redeemed { redemption, .. } => ImportedState::Redeemed {
            holder: redemption.by.clone(),
            issued_at: coupon.issued_at(),
            at: redemption.at,
            // A line that named no order has got this one.
            order: Some(redemption.order.clone())
                .filter(|order| order.as_str() != format!("import:{}", coupon.code())),
        },
        State::Void { .. } => ImportedState::Void,
    }
}
