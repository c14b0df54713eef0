//! A month: what ends on each day.

use std::cmp::Reverse;

use askama::Template;
use axum::extract::Path;
use coupon::calendar::Date;
use coupon::coupon::State;
use coupon::time::Millis;
use engine::{CampaignView, CouponView, NOTICE_TYPE, NoticeRound};

use crate::cursor;
use crate::desk::PageContext;
use crate::extract::from_path;
use crate::index::CampaignSnapshot;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::named;
use crate::text::IsolatedText;
use crate::trouble::{ConsoleError, ConsoleResult};

/// Campaigns that a day names; the page of the day has all.
const NAMED: usize = 3;

const CAMPAIGNS: usize = 50;

#[derive(Template)]
#[template(path = "calendar.html")]
struct CalendarPage<'a> {
    d: &'a PageContext,
    month: String,
    before: String,
    after: String,
    weekdays: [&'static str; 7],
    /// Whole weeks from Monday on, with gaps before the first day and behind the last one.
    days: Vec<Option<CalendarDay>>,
    notices: String,
}

struct CalendarDay {
    date: String,
    number: u16,
    is_today: bool,
    campaigns: Vec<(String, String)>,
    more: u64,
    /// All of them.
    count: u64,
    outstanding: u64,
    /// Coupons of which a notice is due.
    due: u64,
    sent: u64,
}

/// A month, as `2027-03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CalendarMonth {
    year: u16,
    month: u16,
}

impl CalendarMonth {
    fn parse(text: &str) -> Option<CalendarMonth> {
        let (year, month) = text.split_once('-')?;
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        ((2000..=2200).contains(&year) && (1..=12).contains(&month))
            .then_some(CalendarMonth { year, month })
    }

    fn plus(self, months: i32) -> CalendarMonth {
        let all = i32::from(self.year) * 12 + i32::from(self.month) - 1 + months;
        let part = |number: i32| u16::try_from(number).unwrap_or(0);
        CalendarMonth { year: part(all.div_euclid(12)), month: part(all.rem_euclid(12)) + 1 }
    }

    fn text(self) -> String {
        format!("{:04}-{:02}", self.year, self.month)
    }

    /// Its days, and the weekday of the first: 0 is Monday.
    fn days(self) -> ConsoleResult<(Vec<Date>, usize)> {
        let first: Date = from_path(&format!("{}-01", self.text()))?;
        let weekday = first.weekday() as usize;
        let month = self.text();
        let days = (0..31).map(|nth| first.plus_days(nth));
        Ok((days.filter(|day| day.to_string().starts_with(&month)).collect(), weekday))
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let t = desk.t;
    let today = desk.today().to_string();
    let this = today.get(..7).and_then(CalendarMonth::parse).ok_or(ConsoleError::NotFound)?;
    let month = desk.query.get("month").and_then(CalendarMonth::parse).unwrap_or(this);
    let (days, weekday) = month.days()?;
    let listed = desk.all_campaigns().await?;
    let (notices, ends) = (desk.notices().await?, ends(&listed));
    let rounds = desk.engine().notice_rounds().await?;
    // As of campaigns, the day of a round takes longer to compute than to compare.
    let rounds: Vec<(Date, u64)> = rounds.iter().map(|it| (began_on(&desk, it), it.sent)).collect();
    let mut cells: Vec<Option<CalendarDay>> = (0..weekday).map(|_| None).collect();
    for date in days {
        let ending = ends.iter().filter(|(on, _)| *on == date).map(|(_, view)| view);
        let (mut campaigns, mut more, mut outstanding) = (Vec::new(), 0, 0);
        for view in ending {
            outstanding += view.counts().issued;
            if campaigns.len() < NAMED { campaigns.push(named(view)) } else { more += 1 }
        }
        let due = due(&desk, &ends, date).iter().map(|(_, coupons)| coupons).sum();
        let sent = rounds.iter().filter(|(on, _)| *on == date).map(|(_, sent)| sent).sum();
        let date = date.to_string();
        let number = date.get(8..).and_then(|day| day.parse().ok()).unwrap_or(0);
        let is_today = date == today;
        cells.push(Some(CalendarDay {
            date,
            number,
            is_today,
            count: campaigns.len() as u64 + more,
            campaigns,
            more,
            outstanding,
            due,
            sent,
        }));
    }
    cells.resize_with(cells.len().next_multiple_of(7), || None);
    let page = CalendarPage {
        d: &desk,
        month: t.month(month.year, month.month),
        before: month.plus(-1).text(),
        after: month.plus(1).text(),
        weekdays: t.weekdays(),
        days: cells,
        notices,
    };
    desk.page(&page)
}

/// A campaign and its last day, which takes longer to compute than to compare.
type EndingCampaign<'a> = (Date, &'a CampaignView);

fn ends(listed: &CampaignSnapshot) -> Vec<EndingCampaign<'_>> {
    listed.campaigns.iter().map(|it| (it.campaign.expires_on(), it)).collect()
}

/// The day of a round, in the zone of whoever looks.
fn began_on(desk: &PageContext, round: &NoticeRound) -> Date {
    Date::of(Millis(round.began_at), &desk.zone)
}

/// Notices that the settings ask for on a day: how many days before the last one, and of how many coupons. None on
/// days that have passed: those have what was sent.
fn due(desk: &PageContext, ends: &[EndingCampaign<'_>], date: Date) -> Vec<(u16, u64)> {
    let of = |days: &u16| {
        let last = date.plus_days(*days);
        let ending = ends.iter().filter(|(on, _)| *on == last).map(|(_, view)| view);
        // Coupons of a paused campaign wait until it is resumed.
        let told = ending.filter(|it| !it.campaign.paused && date >= today(desk, it));
        (*days, told.map(|it| it.counts().issued).sum())
    };
    desk.console.setup.notice_days.iter().map(of).filter(|(_, coupons)| *coupons > 0).collect()
}

fn today(desk: &PageContext, view: &CampaignView) -> Date {
    Date::of(desk.now, &view.campaign.zone)
}

impl PageContext {
    /// Who gets which notices, and what is not known of them.
    async fn notices(&self) -> ConsoleResult<String> {
        let days = &self.console.setup.notice_days;
        let has_asked = match &self.console.setup.webhooks {
            Some(webhooks) => webhooks.has_asked(NOTICE_TYPE).await?,
            None => false,
        };
        let days = days.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        Ok(match has_asked {
            true => self.t.notices_by_settings(days),
            false => self.t.notices_to_nobody(days),
        })
    }
}

#[derive(Template)]
#[template(path = "day.html")]
struct DayPage<'a> {
    d: &'a PageContext,
    day: String,
    listed: &'a CampaignSnapshot,
    campaigns: Vec<&'a CampaignView>,
    more_campaigns: Option<String>,
    /// Which notice, and of how many coupons.
    due: Vec<(String, u64)>,
    sent: Vec<NoticeRound>,
    notices: String,
    coupons: Vec<CouponView>,
    next: Option<String>,
    curl: String,
}

/// `GET /console/calendar/{day}`: what ends on a day.
pub(crate) async fn day(desk: PageContext, Path(day): Path<String>) -> ConsoleResult {
    let t = desk.t;
    let day: Date = from_path(&day)?;
    let listed = desk.all_campaigns().await?;
    let skipped: usize = desk.query.may("skip")?.unwrap_or_default();
    let ending = listed.campaigns.iter().filter(|it| it.campaign.expires_on() == day);
    let mut ending: Vec<&CampaignView> = ending.collect();
    // Those first from which people still have something.
    ending.sort_by_key(|it| Reverse(it.counts().issued));
    let has_more = ending.len() > skipped.saturating_add(CAMPAIGNS);
    let mut list = desk.coupons(None, Some((day, desk.zone.clone()))).await?;
    if !desk.may(ConsoleAction::DownloadCodes) {
        // Whoever has a code that nobody holds may be able to use it.
        list.coupons.retain(|view| !matches!(view.coupon.state(), State::Available));
    }
    let due = due(&desk, &ends(&listed), day);
    let due = due.iter().map(|(days, coupons)| {
        let last = t.date(day.plus_days(*days));
        (t.notice_before(u64::from(*days), last), *coupons)
    });
    let due = due.collect();
    let rounds = desk.engine().notice_rounds().await?;
    let zone = crate::fields::encoded(desk.zone.name());
    let page = DayPage {
        d: &desk,
        day: t.date(day),
        listed: &listed,
        campaigns: ending.into_iter().skip(skipped).take(CAMPAIGNS).collect(),
        more_campaigns: has_more.then(|| desk.with("skip", &(skipped + CAMPAIGNS).to_string())),
        due,
        sent: rounds.into_iter().filter(|it| began_on(&desk, it) == day).collect(),
        notices: desk.notices().await?,
        coupons: list.coupons,
        next: list
            .next
            .as_ref()
            .map(|next| desk.with("cursor", &cursor::written(next.expires_at, &next.tie))),
        curl: desk.curl_get(&format!("/v1/coupons?expires_on={day}&time_zone={zone}")),
    };
    desk.page(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months() {
        // The days, and the weekday of the first, Monday being 0.
        let cases =
            [("2026-11", 30, 6), ("2027-02", 28, 0), ("2028-02", 29, 1), ("2027-12", 31, 2)];
        for (text, days, weekday) in cases {
            let month = CalendarMonth::parse(text).unwrap();
            let (found, first) = month.days().unwrap();
            assert_eq!((found.len(), first), (days, weekday), "{text}");
        }
        let december = CalendarMonth { year: 2026, month: 12 };
        assert_eq!(december.plus(1).text(), "2027-01");
        assert_eq!(CalendarMonth { year: 2027, month: 1 }.plus(-1), december);
        for text in ["", "2027", "2027-13", "2027-00", "1999-01", "x-1"] {
            assert_eq!(CalendarMonth::parse(text), None, "{text}");
        }
    }
}
