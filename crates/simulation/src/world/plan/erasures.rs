//! What a seed draws in which people are erased.

use std::time::Duration;

use super::{CallBurst, SeedPlan};
use simulated_cluster::rng::Rng;

/// A pause between two bursts is at most this long: the coupons have a day to live.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// How many of 1,000 seeds begin their bursts with a late write.
const WRITES_LATE: u32 = 600;

/// Who is erased in a seed, and by how many at a time.
#[derive(Clone, Debug)]
pub(crate) struct ErasurePlan {
    pub(crate) persons: u64,
    pub(crate) operators: usize,
    /// Erasures at most, also of the same persons.
    pub(crate) most: u64,
    /// Whether each burst begins with a write that a stopped process makes late.
    pub(crate) writes_late: bool,
}

impl SeedPlan {
    /// The same world, in which people are erased.
    pub(super) fn with_erasures(mut self, rng: &mut Rng) -> SeedPlan {
        self.users = self.users.max(2);
        let persons = rng.between(1, self.users - 1).min(2);
        let operators = usize::try_from(rng.between(1, 3)).unwrap_or(1);
        let most = rng.between(1, 4);
        let jobs = &mut self.jobs;
        (jobs.cold, jobs.compactors, jobs.to_the_end) = (false, 0, false);
        (jobs.copy, jobs.restore, jobs.meets_closings) = (false, false, false);
        // So that erasures under way end while others ask.
        jobs.lingers_ms = *rng.pick(&[0, 10_000, 40_000]);
        self.think_ms = self.think_ms.max(200);
        for CallBurst { pause, .. } in &mut self.bursts {
            *pause = REST_MAX.min(*pause);
        }
        for offer in &mut self.offers {
            offer.ends_in_days = offer.ends_in_days.max(2);
        }
        // Longer than a process uses what it knows of erasures, and longer than a statement may take.
        let faults = &mut self.faults;
        faults.freeze_ms = *rng.pick(&[1_500, 9_000, 30_000]);
        if faults.stopped_at_step > 0 && rng.chance(500) {
            faults.aims = rng.pick(&AIMS).to_vec();
        }
        let writes_late = rng.chance(WRITES_LATE);
        let most = if writes_late { most + self.bursts.len() as u64 } else { most };
        self.erasures = Some(ErasurePlan { persons, operators, most, writes_late });
        self
    }
}

/// Steps at which a seed stops its processes: those between a look at the list and what is given, and those of erasures.
const AIMS: [&[&str]; 3] = [
    &["claim: entry is written", "wallet: index row is written", "replacement: is won"],
    &["coupon: row is made", "coupon: row is changed", "coupon: row is imported"],
    &["erasure: claim is deleted", "setting: is changed", "directory: entry is won"],
];
