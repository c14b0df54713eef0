//! The feed of events, read while the run goes on: it has each change of each coupon, and no other.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::data::PATIENCE;
use super::sale::plain;
use super::services::Caller;

/// Pause after a page behind which nothing is yet, and after one that did not come.
const NEXT_PAGE: Duration = Duration::from_millis(500);

/// How long the last events may take at rest: those of replicas that did not answer come after some minutes.
const LAST_EVENTS: Duration = PATIENCE.saturating_mul(4);

/// The kinds of the events of each coupon, oldest first, by code.
pub(super) type EventsAtRest = BTreeMap<String, Vec<String>>;

/// One reader with one cursor, which asks one service after the other.
pub(super) struct FeedReader {
    caller: Caller,
    cursor: Option<String>,
    /// The kind of each version of each coupon, by code.
    kinds: BTreeMap<String, BTreeMap<u64, String>>,
    ids: BTreeSet<String>,
    pages: usize,
    failed: usize,
    repeated: usize,
    wrong: Vec<String>,
}

impl FeedReader {
    pub(super) fn new(caller: Caller) -> FeedReader {
        let (kinds, ids, wrong) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let (pages, failed, repeated) = (0, 0, 0);
        FeedReader { caller, cursor: None, kinds, ids, pages, failed, repeated, wrong }
    }

    /// Reads until nothing is left, or a page does not come.
    pub(super) fn follow(&mut self) {
        while self.page() {}
        std::thread::sleep(NEXT_PAGE);
    }

    /// Whether more pages are behind this one.
    fn page(&mut self) -> bool {
        let after = self.cursor.as_ref().map_or(String::new(), |it| format!("&after={it}"));
        self.pages += 1;
        let heard = self.caller.call(self.pages % 2, &format!("/v1/events?limit=500{after}"), None);
        let Some(answer) = heard.ok().filter(|answer| answer.status != 503) else {
            self.failed += 1;
            return false;
        };
        assert!(answer.is_good(), "the feed at {after}: {} {}", answer.status, answer.text());
        let page = answer.json();
        page["data"].as_array().expect("events").iter().for_each(|event| self.take(event));
        self.cursor = page["next_cursor"].as_str().map(str::to_owned);
        page["has_more"] == true
    }

    fn take(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let coupon = &event["coupon"];
        if coupon.is_null() {
            return;
        }
        let (code, kind) = (plain(&text(&coupon["code"])), text(&event["type"]));
        let kind = kind.trim_start_matches("coupon.").to_owned();
        let version = coupon["version"].as_u64().expect("a version");
        let is_new = self.ids.insert(text(&event["event_id"]));
        let versions = self.kinds.entry(code).or_default();
        let last = versions.last_key_value().map(|(version, _)| *version);
        let is_late = last.is_some_and(|last| version < last);
        match versions.entry(version) {
            Entry::Occupied(entry) if !is_new && *entry.get() == kind => self.repeated += 1,
            Entry::Vacant(entry) if is_new && !is_late => drop(entry.insert(kind)),
            Entry::Occupied(_) => self.wrong.push(format!("another event of a version: {event}")),
            Entry::Vacant(_) => self.wrong.push(format!("after a later version: {event}")),
        }
    }

    /// Reads on until the feed has told all of these coupons, and checks that it has told nothing else.
    pub(super) fn must_be_right(&mut self, at_rest: &EventsAtRest) {
        let begun = Instant::now();
        loop {
            self.follow();
            let wrong = self.differences(at_rest);
            if wrong.is_empty() {
                break;
            }
            let (count, some) = (wrong.len(), &wrong[..wrong.len().min(20)]);
            assert!(begun.elapsed() < LAST_EVENTS, "{count} wrong in the feed: {some:#?}");
        }
        let events: usize = self.kinds.values().map(BTreeMap::len).sum();
        let FeedReader { pages, failed, repeated, .. } = self;
        println!(
            "feed: {events} events of {} coupons, {repeated} came twice; {pages} pages, {failed} of them failed; \
             complete {:.1?} after the run",
            self.kinds.len(),
            begun.elapsed()
        );
        assert!(self.wrong.is_empty(), "{} in the feed: {:#?}", self.wrong.len(), self.wrong);
    }

    fn differences(&self, at_rest: &EventsAtRest) -> Vec<String> {
        let none = Vec::new();
        let codes: BTreeSet<&String> = at_rest.keys().chain(self.kinds.keys()).collect();
        let differs = |code: &String| {
            let versions = self.kinds.get(code);
            let told: Vec<&String> = versions.into_iter().flat_map(BTreeMap::values).collect();
            let want = at_rest.get(code).unwrap_or(&none);
            let is_same = told.iter().copied().eq(want);
            (!is_same).then(|| format!("{code} has {want:?}, and the feed told {versions:?}"))
        };
        codes.into_iter().filter_map(differs).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::services::Addresses;
    use super::*;

    #[test]
    fn what_is_wrong_is_found() {
        /// The id of an event, its version and its kind.
        type Told = (&'static str, u64, &'static str);
        let issued = ("1", 1, "issued");
        let redeemed = ("2", 3, "redeemed");
        let rows: [(&str, &[Told], usize, usize); 7] = [
            ("all", &[issued, redeemed], 0, 0),
            ("one twice", &[issued, redeemed, issued], 0, 0),
            ("one is missing", &[issued], 0, 1),
            ("one too many", &[issued, redeemed, ("3", 4, "revoked")], 0, 1),
            ("out of order", &[redeemed, issued], 1, 1),
            ("two of one version", &[issued, redeemed, ("3", 3, "revoked")], 1, 0),
            ("another kind", &[("1", 1, "voided"), redeemed], 0, 1),
        ];
        let kinds = ["issued", "redeemed"].map(str::to_owned).to_vec();
        let at_rest = EventsAtRest::from([("AB12".to_owned(), kinds)]);
        for (name, events, wrong, differences) in rows {
            let mut feed = FeedReader::new(Caller::new(Addresses::default(), ""));
            for (id, version, kind) in events {
                let coupon = json!({"code": "AB-12", "version": version});
                feed.take(
                    &json!({"event_id": id, "type": format!("coupon.{kind}"), "coupon": coupon}),
                );
            }
            assert_eq!(feed.wrong.len(), wrong, "{name}: {:?}", feed.wrong);
            assert_eq!(feed.differences(&at_rest).len(), differences, "{name}");
        }
    }
}
