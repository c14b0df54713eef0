//! What may be done to a coupon on its page.

use coupon::coupon::State;

use crate::roles::ConsoleAction;

coupon::words! {
    /// Their words are in addresses, here and in the API.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum CouponAction {
        Issue = "issue",
        Extend = "extend",
        CancelRedemption = "cancel-redemption",
        Revoke = "revoke",
        Void = "void",
    }
}

impl CouponAction {
    pub(crate) fn action(self) -> ConsoleAction {
        match self {
            CouponAction::Issue => ConsoleAction::Issue,
            CouponAction::Revoke => ConsoleAction::Revoke,
            CouponAction::Void => ConsoleAction::Void,
            CouponAction::Extend => ConsoleAction::Extend,
            CouponAction::CancelRedemption => ConsoleAction::CancelRedemption,
        }
    }

    /// What a coupon in this state can be asked for. The rules decide in the end.
    pub(crate) fn of(state: &State) -> &'static [CouponAction] {
        match state {
            State::Available => &[CouponAction::Issue, CouponAction::Extend, CouponAction::Void],
            State::Issued { .. } => {
                &[CouponAction::Extend, CouponAction::Revoke, CouponAction::Void]
            }
            State::Redeemed { .. } => &[CouponAction::CancelRedemption],
            State::Void { .. } => &[],
        }
    }

    pub(crate) fn is_dangerous(self) -> bool {
        matches!(self, CouponAction::Revoke | CouponAction::Void)
    }
}
