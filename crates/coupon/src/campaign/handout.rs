//! Handout: how the coupons of a campaign reach people.

use std::str::FromStr;

/// How a campaign's coupons reach people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handout {
    /// A shop's back end or an admin issues it to a person.
    Shop,
    /// A signed-in user may take one as well.
    SelfService,
    /// Whoever shows the code redeems it or puts it into their wallet.
    Bearer,
    /// One code for everybody, behind which each user gets a coupon of their own.
    Shared,
}

impl Handout {
    /// `shop`, `self`, `bearer` or `shared`.
    pub fn as_str(self) -> &'static str {
        match self {
            Handout::Shop => "shop",
            Handout::SelfService => "self",
            Handout::Bearer => "bearer",
            Handout::Shared => "shared",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {0:?}, want shop, self, bearer or shared")]
pub struct BadHandout(String);

impl FromStr for Handout {
    type Err = BadHandout;

    fn from_str(text: &str) -> Result<Handout, BadHandout> {
        [Handout::Shop, Handout::SelfService, Handout::Bearer, Handout::Shared]
            .into_iter()
            .find(|handout| handout.as_str() == text)
            .ok_or_else(|| BadHandout(text.chars().take(20).collect()))
    }
}
