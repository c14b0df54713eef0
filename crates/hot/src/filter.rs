//! The filter of a list of coupons.
//!
//! [`CouponFilter::predicates`] alone reads the fields of a filter; every store reads the predicates. So a
//! new field does not compile until it is a predicate, and a new kind of predicate does not compile until
//! each store that filters by columns knows its column.

use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::Millis;

/// A half-open span of instants; `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Inclusive.
    pub from: Option<Millis>,
    /// Exclusive.
    pub before: Option<Millis>,
}

/// Which coupons a list shows. `None`, or an open span, does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CouponFilter {
    pub campaign: Option<CampaignId>,
    /// Only coupons in this state: `available`, `issued`, `redeemed` or `void`.
    pub state: Option<&'static str>,
    pub expired: Option<bool>,
    /// When they begin to work.
    pub valid: Span,
    pub expires: Span,
    pub issued: Span,
    pub redeemed: Span,
    pub created: Span,
    pub modified: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate<'a> {
    Campaign(&'a CampaignId),
    State(&'static str),
    Within(Instant, Span),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instant {
    ValidFrom,
    /// From when it no longer works.
    ExpiresAt,
    IssuedAt,
    RedeemedAt,
    CreatedAt,
    ModifiedAt,
}

impl CouponFilter {
    /// The conditions at the moment `now`. All of them must hold.
    pub fn predicates(&self, now: Millis) -> impl Iterator<Item = Predicate<'_>> {
        // No `..`: a new field has to become a predicate.
        let CouponFilter {
            campaign,
            state,
            expired,
            valid,
            expires,
            issued,
            redeemed,
            created,
            modified,
        } = self;
        let within = |instant, span: &Span| {
            (*span != Span::default()).then_some(Predicate::Within(instant, *span))
        };
        // A coupon has expired from `expires_at` on.
        let expired = expired.map(|is_expired| match is_expired {
            true => Span { from: None, before: Some(now.plus_ms(1)) },
            false => Span { from: Some(now.plus_ms(1)), before: None },
        });
        let all: [Option<Predicate<'_>>; 9] = [
            campaign.as_ref().map(Predicate::Campaign),
            state.map(Predicate::State),
            expired.map(|span| Predicate::Within(Instant::ExpiresAt, span)),
            within(Instant::ValidFrom, valid),
            within(Instant::ExpiresAt, expires),
            within(Instant::IssuedAt, issued),
            within(Instant::RedeemedAt, redeemed),
            within(Instant::CreatedAt, created),
            within(Instant::ModifiedAt, modified),
        ];
        all.into_iter().flatten()
    }

    pub fn holds(&self, coupon: &Coupon, now: Millis) -> bool {
        self.predicates(now).all(|predicate| predicate.holds(coupon))
    }
}

impl Predicate<'_> {
    pub fn holds(&self, coupon: &Coupon) -> bool {
        match self {
            Predicate::Campaign(id) => **id == coupon.genesis().campaign,
            Predicate::State(state) => *state == coupon.state().as_str(),
            Predicate::Within(instant, span) => span.holds(instant.of(coupon)),
        }
    }
}

impl Instant {
    pub fn of(self, coupon: &Coupon) -> Option<Millis> {
        match self {
            Instant::ValidFrom => Some(coupon.genesis().valid_from),
            Instant::ExpiresAt => Some(coupon.expires_at()),
            Instant::IssuedAt => coupon.issued_at(),
            Instant::RedeemedAt => coupon.redemption().map(|redemption| redemption.at),
            Instant::CreatedAt => Some(coupon.genesis().created_at),
            Instant::ModifiedAt => Some(coupon.modified_at()),
        }
    }
}

impl Span {
    /// Whether `at` lies in it. Only a span that is open on both sides holds `None`.
    pub fn holds(&self, at: Option<Millis>) -> bool {
        match (self.from, self.before, at) {
            (None, None, _) => true,
            (_, _, None) => false,
            (from, before, Some(at)) => {
                from.is_none_or(|from| at >= from) && before.is_none_or(|before| at < before)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_a_predicate() {
        let span = Span { from: Some(Millis(1)), before: None };
        // No `..Default`: a new field belongs here, too.
        let all = CouponFilter {
            campaign: Some("spring".parse().unwrap()),
            state: Some("issued"),
            expired: Some(true),
            valid: span,
            expires: span,
            issued: span,
            redeemed: span,
            created: span,
            modified: span,
        };
        assert_eq!(all.predicates(Millis(5)).count(), 9);
        assert_eq!(CouponFilter::default().predicates(Millis(5)).count(), 0);
    }

    #[test]
    fn expired_from_the_instant_on() {
        let cases = [(true, 4, true), (true, 5, true), (true, 6, false), (false, 5, false)];
        for (is_expired, expires_at, want) in cases {
            let filter = CouponFilter { expired: Some(is_expired), ..CouponFilter::default() };
            let first = filter.predicates(Millis(5)).next();
            let Some(Predicate::Within(Instant::ExpiresAt, span)) = first else {
                panic!("{is_expired}: {first:?}");
            };
            assert_eq!(span.holds(Some(Millis(expires_at))), want, "{is_expired}, {expires_at}");
        }
    }
}
