//! The week that is over, for whoever wants to be told each Monday.

use std::cmp::Reverse;
use std::ops::RangeInclusive;
use std::sync::Arc;

use coupon::calendar::{Date, Zone};
use coupon::campaign::Campaign;
use coupon::ids::CampaignId;
use coupon::time::Millis;
use hot::activity::{Activities, Activity, quarter_of};
use hot::{HotError, bounded_join};

use crate::Engine;
use crate::failure::Result;
use crate::pages::PAGE_MAX;

/// Campaigns that are listed: those of which most was redeemed.
const CAMPAIGNS_MAX: usize = 50;

/// Sums that are read at a time.
const AT_ONCE: usize = 5;

/// What happened from a Monday to a Sunday.
#[derive(Clone, Debug)]
pub struct WeekReport {
    pub zone: Zone,
    pub days: RangeInclusive<Date>,
    pub sum: Activity,
    /// Of the week before.
    pub before: Activity,
    /// Those of which most was redeemed, the first of them first.
    pub campaigns: Vec<(Arc<Campaign>, Activity)>,
}

impl Engine {
    /// The days of the last week that is over, Monday to Sunday.
    pub fn last_week(&self, zone: &Zone) -> RangeInclusive<Date> {
        last_week(self.now(), zone)
    }

    /// What happened in a week. `None`: the store does not count that. Reads all campaigns, and the sums of those that had
    /// not ended.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn week_report(
        &self,
        days: RangeInclusive<Date>,
        zone: &Zone,
    ) -> Result<Option<WeekReport>> {
        let Some(activities) = self.hot.activities() else { return Ok(None) };
        let span = (days.start().first_instant(zone), days.end().end(zone));
        let week_before = (days.start().minus_days(7).first_instant(zone), span.0);
        let campaigns = self.campaigns_within(span).await?;
        let sums = campaigns.iter().map(|it| sum_of(activities, Some(it.id.clone()), span));
        let sums = bounded_join(AT_ONCE, sums).await?;
        let mut campaigns: Vec<_> = campaigns.into_iter().zip(sums).collect();
        campaigns.retain(|(_, sum)| *sum != Activity::default());
        campaigns.sort_by_key(|(_, sum)| Reverse((sum.redeemed, sum.issued)));
        campaigns.truncate(CAMPAIGNS_MAX);
        let sum = sum_of(activities, None, span).await?;
        let before = sum_of(activities, None, week_before).await?;
        Ok(Some(WeekReport { zone: zone.clone(), days, sum, before, campaigns }))
    }

    async fn campaigns_within(&self, (begin, end): (Millis, Millis)) -> Result<Vec<Arc<Campaign>>> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let rows = self.hot.campaigns(after, PAGE_MAX, self.now()).await?;
            let Some(last) = rows.last() else { return Ok(found) };
            after = Some(last.campaign.id.clone());
            let campaigns = rows.into_iter().map(|row| row.campaign);
            found.extend(campaigns.filter(|it| begin < it.expires_at && it.created_at < end));
        }
    }
}

async fn sum_of(
    activities: &dyn Activities,
    campaign: Option<CampaignId>,
    (begin, end): (Millis, Millis),
) -> Result<Activity, HotError> {
    let mut sum = Activity::default();
    let sums = activities.activity(campaign, quarter_of(begin), quarter_of(end)).await?;
    sums.iter().for_each(|(_, it)| sum.add(it));
    Ok(sum)
}

fn last_week(now: Millis, zone: &Zone) -> RangeInclusive<Date> {
    let today = Date::of(now, zone);
    let sunday = today.minus_days(today.weekday() + 1);
    sunday.minus_days(6)..=sunday
}

#[cfg(test)]
mod tests {
    use coupon::calendar::parse_instant;
    use coupon::time::DAY_MS;

    use super::*;
    use crate::testing::{World, admin, day, zone};
    use crate::{CampaignDraft, WriteResult};

    #[tokio::test]
    async fn a_week_and_the_one_before() {
        let world = World::new("UTC", [7; 16]).await;
        let (engine, utc, id) = (&world.engine, Zone::utc(), "weekly");
        let draft = CampaignDraft {
            id: id.parse().ok(),
            stock: Some(9),
            expires_on: "2060-12-31".parse().ok(),
            ..CampaignDraft::default()
        };
        engine.create_campaign(&admin(), draft).await.unwrap();
        for user in ["ann", "bob"] {
            let user = user.parse().ok();
            let issued = engine.issue(&admin(), &id.parse().unwrap(), user, None).await;
            assert!(matches!(issued, Ok(WriteResult::Created(_))));
        }
        for (name, want, before) in [("now", 0, 0), ("next week", 2, 0), ("the week after", 0, 2)] {
            let days = engine.last_week(&utc);
            let report = engine.week_report(days, &utc).await.unwrap().unwrap();
            assert_eq!((report.sum.issued, report.before.issued), (want, before), "{name}");
            let listed = report.campaigns.iter().map(|(it, sum)| (it.id.as_str(), sum.issued));
            let want: &[_] = if want == 0 { &[] } else { &[(id, want)] };
            assert_eq!(listed.collect::<Vec<_>>(), want, "{name}");
            world.clock.pass(7 * DAY_MS);
        }
    }

    #[test]
    fn the_week_that_is_over() {
        let cases = [
            ("Monday, its first instant", "2026-11-23T00:00:00Z", "UTC", "2026-11-16"),
            ("Sunday, its last", "2026-11-22T23:59:59Z", "UTC", "2026-11-09"),
            ("Monday in Seoul already", "2026-11-22T15:00:00Z", "Asia/Seoul", "2026-11-16"),
            ("a week of two years", "2027-01-05T12:00:00Z", "UTC", "2026-12-28"),
        ];
        for (name, now, of, monday) in cases {
            let days = last_week(parse_instant(now).unwrap(), &zone(of));
            assert_eq!(days, day(monday)..=day(monday).plus_days(6), "{name}");
        }
    }
}
