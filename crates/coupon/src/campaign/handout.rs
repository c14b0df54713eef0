//! Handout: how the coupons of a campaign reach people.

crate::words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Handout {
        /// A shop's back end or an admin issues it to a person.
        Shop = "shop",
        /// A signed-in user may take one as well.
        SelfService = "self",
        /// Whoever shows the code redeems it or puts it into their wallet.
        Bearer = "bearer",
        /// One code for everybody, behind which each user gets a coupon of their own.
        Shared = "shared",
    }
    else BadHandout "is {0:?}, want shop, self, bearer or shared"
}
