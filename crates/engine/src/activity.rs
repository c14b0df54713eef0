//! How often coupons were issued, redeemed and given back, and what that was worth, by the hour or the day of a time
//! zone.

use std::ops::RangeInclusive;

use coupon::calendar::{Date, Zone};
use coupon::ids::CampaignId;
use coupon::time::Millis;
use coupon::worth::WorthSums;
use hot::activity::{ALL_TIME, Activity, QUARTER_MS, quarter_of};

use crate::failure::{Failure, Result};
use crate::{Caller, Engine, Role};

/// Most days of one request by the hour: 744 hours.
const HOURLY_DAYS_MAX: u16 = 31;

/// Most days of one request by the day: as long as sums are kept, two years.
const DAILY_DAYS_MAX: u16 = 731;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountInterval {
    /// An hour, counted from the first instant of the day.
    Hour,
    Day,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountsRequest {
    /// Of one campaign, or of all together.
    pub campaign: Option<CampaignId>,
    pub by: CountInterval,
    /// The days, both ends inclusive.
    pub days: RangeInclusive<Date>,
    /// The zone of the days. Without it, that of the campaign if one is named, else UTC.
    pub zone: Option<Zone>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountsOfTime {
    pub begins_at: Millis,
    /// The first instant after it.
    pub ends_at: Millis,
    /// The day that it is, or is in.
    pub on: Date,
    pub activity: Activity,
}

/// Sums, oldest first, also of hours and days in which nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountsView {
    pub zone: Zone,
    pub counts: Vec<CountsOfTime>,
}

impl CountsView {
    pub fn sum(&self) -> Activity {
        let mut sum = Activity::default();
        self.counts.iter().for_each(|it| sum.add(&it.activity));
        sum
    }

    /// The quarters of an hour from which on, and before which, they are, by their numbers since 1970.
    pub fn quarters(&self) -> (i64, i64) {
        let from = self.counts.first().map_or(0, |first| quarter_of(first.begins_at));
        let until = self.counts.last().map_or(0, |last| quarter_of(last.ends_at));
        (from, until)
    }

    pub fn of_quarter(&mut self, quarter: i64) -> Option<&mut CountsOfTime> {
        let at = quarter * QUARTER_MS;
        let behind = self.counts.partition_point(|it| it.begins_at.0 <= at);
        self.counts.get_mut(behind.checked_sub(1)?).filter(|it| at < it.ends_at.0)
    }
}

impl Engine {
    /// How often coupons were issued, redeemed and given back. `None`: the store does not count that.
    ///
    /// # Errors
    /// `Forbidden` for users; `NotFound` for the campaign; `Invalid` for too many days.
    pub async fn activity(
        &self,
        caller: &Caller,
        request: CountsRequest,
    ) -> Result<Option<CountsView>> {
        caller.must_be(&[Role::Shop, Role::Operator, Role::Admin])?;
        let Some(activities) = self.hot.activities() else { return Ok(None) };
        let zone = self.zone_of_days(request.campaign.as_ref(), request.zone).await?;
        let counts = times(request.by, &request.days, &zone)?;
        let mut view = CountsView { zone, counts };
        let (from, until) = view.quarters();
        for (quarter, activity) in activities.activity(request.campaign, from, until).await? {
            if let Some(it) = view.of_quarter(quarter) {
                it.activity.add(&activity);
            }
        }
        Ok(Some(view))
    }

    /// What all redemptions so far were worth, of one campaign or of all together. `None`: the store does not
    /// count that.
    ///
    /// # Errors
    /// `Forbidden` for users.
    pub async fn worth(
        &self,
        caller: &Caller,
        campaign: Option<CampaignId>,
    ) -> Result<Option<WorthSums>> {
        caller.must_be(&[Role::Shop, Role::Operator, Role::Admin])?;
        let Some(activities) = self.hot.activities() else { return Ok(None) };
        let sums = activities.activity(campaign, ALL_TIME, ALL_TIME + 1).await?;
        Ok(Some(sums.into_iter().map(|(_, sums)| sums.worth).next().unwrap_or_default()))
    }

    /// Adds up what happened, so that its events may be deleted.
    pub async fn count_activity(&self) -> Result<()> {
        match self.hot.activities() {
            Some(activities) => Ok(activities.count_activity().await?),
            None => Ok(()),
        }
    }

    /// Deletes sums that are older than two years, if the store has any. Returns how many.
    pub async fn forget_activity(&self) -> Result<u64> {
        let Some(activities) = self.hot.activities() else { return Ok(0) };
        let before = quarter_of(self.now()) - i64::from(DAILY_DAYS_MAX) * 96;
        Ok(activities.forget_activity(before).await?)
    }
}

/// Refuses days of which there are none, or more than `most`.
pub(crate) fn must_be_short(days: &RangeInclusive<Date>, most: u16) -> Result<()> {
    if days.is_empty() {
        return Err(Failure::invalid("to", "is before from"));
    }
    match days.start().plus_days(most - 1) < *days.end() {
        true => Err(Failure::invalid("to", format!("is more than {most} days after from"))),
        false => Ok(()),
    }
}

/// Every hour or day of these days, with nothing done.
fn times(by: CountInterval, days: &RangeInclusive<Date>, zone: &Zone) -> Result<Vec<CountsOfTime>> {
    let most = if by == CountInterval::Hour { HOURLY_DAYS_MAX } else { DAILY_DAYS_MAX };
    must_be_short(days, most)?;
    let (mut times, mut on) = (Vec::new(), *days.start());
    while on <= *days.end() {
        let (mut begins_at, end) = (on.first_instant(zone), on.end(zone));
        while begins_at < end {
            let ends_at = match by {
                CountInterval::Hour => begins_at.plus_ms(4 * QUARTER_MS).min(end),
                CountInterval::Day => end,
            };
            times.push(CountsOfTime { begins_at, ends_at, on, activity: Activity::default() });
            begins_at = ends_at;
        }
        let next = on.plus_days(1);
        if next == on {
            break;
        }
        on = next;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::day;

    #[test]
    fn hours_and_days_of_a_zone() {
        // By what, the first and the last day, the zone; how many, and the length of the shortest and the
        // longest in quarters.
        use CountInterval::{Day, Hour};
        let (berlin, lord_howe) = ("Europe/Berlin", "Australia/Lord_Howe");
        let cases = [
            ("a day", Hour, "2027-03-08", "2027-03-08", "UTC", Ok((24, 4, 4))),
            ("clocks put forward", Hour, "2027-03-28", "2027-03-28", berlin, Ok((23, 4, 4))),
            ("clocks put back", Hour, "2027-10-31", "2027-10-31", berlin, Ok((25, 4, 4))),
            ("half an hour", Hour, "2027-04-04", "2027-04-04", lord_howe, Ok((25, 2, 4))),
            ("three quarters", Day, "2027-03-08", "2027-03-09", "Asia/Kathmandu", Ok((2, 96, 96))),
            ("a month", Day, "2027-03-01", "2027-03-31", berlin, Ok((31, 92, 96))),
            ("the most days", Day, "2026-01-01", "2028-01-01", "UTC", Ok((731, 96, 96))),
            ("one too many", Day, "2026-01-01", "2028-01-02", "UTC", Err("to")),
            ("too many for hours", Hour, "2027-01-01", "2027-02-01", "UTC", Err("to")),
            ("the wrong way round", Day, "2027-03-02", "2027-03-01", "UTC", Err("to")),
        ];
        for (name, by, from, to, zone, want) in cases {
            let found = times(by, &(day(from)..=day(to)), &zone.parse().unwrap());
            let found = found.as_deref().map(|times| {
                let quarters = times.iter().map(|it| (it.ends_at.0 - it.begins_at.0) / QUARTER_MS);
                let (least, most) = (quarters.clone().min(), quarters.max());
                (times.len(), least.unwrap_or(0), most.unwrap_or(0))
            });
            let found = found.map_err(|failure| match failure {
                Failure::Invalid(faults) => faults[0].field.clone(),
                other => panic!("{name}: {other:?}"),
            });
            assert_eq!(found, want.map_err(str::to_owned), "{name}");
        }
    }
}
