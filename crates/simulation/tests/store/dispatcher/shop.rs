//! What happens to coupons meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use coupon::apply::{Action, Asker, Outcome};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::UserId;
use hot_conformance::kit::{Kit, NOW, cancel, give, hold, redeem, revoke};
use router::Found;
use simulated_cluster::rng::Rng;
use tokio::time::{Instant, sleep};

/// Coupons of each campaign.
const COUPONS: u64 = 4;

/// Changes of a coupon: fewer than its history may have.
const CHANGES_MAX: usize = 28;

struct ShopCoupon {
    found: Found,
    code: Code,
    user: UserId,
    changes: usize,
}

/// Sells coupons of two campaigns, and knows which changes were accepted.
pub(crate) struct Shop {
    pub(crate) kit: Kit,
    pub(crate) campaigns: [Campaign; 2],
    coupons: Vec<ShopCoupon>,
    /// When the store said that a coupon has this version.
    pub(crate) accepted: BTreeMap<(Code, u64), Instant>,
}

impl Shop {
    /// Whose campaigns are not created yet.
    pub(crate) fn new(kit: Kit) -> Shop {
        let campaigns = [(); 2].map(|()| Campaign { per_user_limit: None, ..kit.draft() });
        Shop { kit, campaigns, coupons: Vec::new(), accepted: BTreeMap::new() }
    }

    pub(crate) async fn opens(&mut self) {
        for campaign in &self.campaigns {
            for code in self.kit.stocked(campaign, COUPONS).await {
                let (found, user) = (self.kit.found(&code).await, self.kit.user("user"));
                self.coupons.push(ShopCoupon { found, code, user, changes: 0 });
            }
        }
    }

    /// Changes coupons until a moment.
    pub(crate) async fn sells(&mut self, rng: &mut Rng, until: Instant) {
        while Instant::now() < until {
            sleep(Duration::from_millis(rng.between(100, 15_000))).await;
            for _ in 0..rng.between(1, 3) {
                let nth = usize::try_from(rng.below(self.coupons.len() as u64)).unwrap();
                self.changes(nth).await;
            }
        }
    }

    async fn changes(&mut self, nth: usize) {
        let coupon = &mut self.coupons[nth];
        if coupon.changes == CHANGES_MAX {
            return;
        }
        let action = next(coupon);
        coupon.changes += 1;
        let change = self.kit.change(action, Asker::Shop, NOW);
        let applied = loop {
            match self.kit.hot.apply(&coupon.found, change.clone()).await {
                Ok(applied) => break applied,
                // Whatever became of it, the repeat has the same operation.
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        };
        assert!(!matches!(applied.outcome, Outcome::Refused(_)), "{applied:?}");
        let version = applied.snapshot.expect("an accepted change has a coupon").coupon.version();
        self.accepted.insert((coupon.code.clone(), version), Instant::now());
    }
}

/// The next change of a coupon. An order whose redemption was cancelled does not redeem again.
fn next(coupon: &ShopCoupon) -> Action {
    let (user, [round, step]) = (&coupon.user, [coupon.changes / 7, coupon.changes % 7]);
    let [first, second] = [1, 2].map(|nth| format!("{round}-{nth}"));
    match step {
        0 => give(user, None),
        1 => hold(user, &first, 10),
        2 => redeem(user, &first),
        3 => cancel(&first),
        4 => redeem(user, &second),
        5 => cancel(&second),
        _ => revoke(user),
    }
}
