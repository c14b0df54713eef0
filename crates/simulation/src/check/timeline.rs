//! One coupon: its events, who made each, and when.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::{Coupon, Hold};
use hot::Tier;

use super::ViolationList;
use super::life::CouponLife;
use super::window::{StepWindow, narrow};

/// An answer that shows the coupon, or the last read.
#[derive(Clone, Copy)]
pub(super) struct CouponObservation<'a> {
    /// `None`: the last read.
    pub(super) call: Option<usize>,
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) coupon: &'a Coupon,
    pub(super) tier: Tier,
    /// Whether it is the answer to a change that was accepted: the version is that of the change.
    pub(super) wrote: bool,
}

/// The calls behind an event.
#[derive(Clone, Debug, Default)]
pub(super) struct EventAuthors {
    /// Calls that asked for this change.
    pub(super) calls: Vec<usize>,
    /// Imports with a line that says it; only if no call asked for it.
    pub(super) imports: Vec<usize>,
}

impl EventAuthors {
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        self.calls.iter().chain(&self.imports).copied()
    }
}

/// What is known of one coupon.
pub(super) struct CouponTimeline<'a> {
    pub(super) code: &'a Code,
    /// As it was read last.
    pub(super) coupon: &'a Coupon,
    pub(super) tier: Tier,
    /// Before its first event, and after each.
    pub(super) lives: Vec<CouponLife>,
    /// When each event can have happened.
    pub(super) windows: Vec<StepWindow>,
    pub(super) authors: Vec<EventAuthors>,
    /// Each version that was seen.
    versions: BTreeMap<u64, CouponObservation<'a>>,
}

impl<'a> CouponTimeline<'a> {
    /// The coupon that was read last as `end`. `over` is an instant after all calls.
    pub(super) fn of(
        end: CouponObservation<'a>,
        observations: &[CouponObservation<'a>],
        authors: Vec<EventAuthors>,
        began: impl Fn(usize) -> u64,
        wrong: &mut ViolationList<'_>,
    ) -> CouponTimeline<'a> {
        let coupon = end.coupon;
        let mut observations = observations.to_vec();
        observations.push(end);
        observations
            .sort_by_key(|it| (it.coupon.version(), it.coupon.events().len(), !it.wrote, it.call));
        let is_one_history = is_one_history(&observations, wrong);
        let mut versions = BTreeMap::new();
        for observation in &observations {
            versions.entry(observation.coupon.version()).or_insert(*observation);
        }
        let mut windows = vec![StepWindow::until(end.ended); coupon.events().len()];
        for (window, authors) in windows.iter_mut().zip(&authors) {
            if let Some(first) = authors.all().min_by_key(|nth| began(*nth)) {
                window.not_before(began(first), Some(first));
            }
        }
        for observation in &observations {
            let shown = observation.coupon.events().len();
            place(&mut windows, observation, shown);
        }
        let impossible = narrow(&mut windows);
        if is_one_history {
            match impossible {
                Some(at) => out_of_order(coupon, &format!("event {}", at + 1), windows[at], wrong),
                None => versions_in_order(coupon, &versions, &observations, wrong),
            }
        }
        let lives = CouponLife::all(coupon.genesis(), coupon.events());
        let (code, tier) = (coupon.code(), end.tier);
        CouponTimeline { code, coupon, tier, lives, windows, authors, versions }
    }

    /// Whether the coupon may have had exactly `events` events at some instant from `began` to
    /// `ended`.
    pub(super) fn may_be(&self, events: usize, began: u64, ended: u64) -> bool {
        let begun = events == 0 || self.windows[events - 1].from <= ended;
        begun && self.windows.get(events).is_none_or(|next| next.to >= began)
    }

    /// Whether the coupon surely had exactly `events` events all the time from `began` to `ended`.
    pub(super) fn surely_is(&self, events: usize, began: u64, ended: u64) -> bool {
        let begun = events == 0 || self.windows[events - 1].to < began;
        begun && self.windows.get(events).is_none_or(|next| next.from > ended)
    }

    /// Whether `holds` of its state may have been true from `began` to `ended`.
    pub(super) fn may(&self, began: u64, ended: u64, holds: impl Fn(&CouponLife) -> bool) -> bool {
        let mut lives = self.lives.iter().enumerate();
        lives.any(|(events, life)| holds(life) && self.may_be(events, began, ended))
    }

    /// The hold before the change that made `version`; `None` if it was not seen.
    pub(super) fn hold_before(&self, version: u64) -> Option<Option<&'a Hold>> {
        match version.checked_sub(1)? {
            0 => Some(None),
            before => self.versions.get(&before).and_then(CouponObservation::hold),
        }
    }

    /// The version that event `at` made; `None` if it was not seen.
    pub(super) fn version_of_event(&self, at: usize) -> Option<u64> {
        let events = |version: u64| match version {
            0 => Some(0),
            version => self.versions.get(&version).map(|it| it.coupon.events().len()),
        };
        let mut seen = self.versions.values().map(|it| it.coupon.version());
        seen.find(|version| {
            let before = version.checked_sub(1).and_then(&events);
            before == Some(at) && events(*version) == Some(at + 1)
        })
    }
}

impl<'a> CouponObservation<'a> {
    /// The hold that it shows; `None` if it shows none because cold keeps none.
    pub(super) fn hold(&self) -> Option<Option<&'a Hold>> {
        (self.tier == Tier::Hot).then(|| self.coupon.hold())
    }
}

/// An observation that shows so many steps lies between the last of them and the next.
fn place(windows: &mut [StepWindow], observation: &CouponObservation<'_>, shown: usize) {
    if let Some(window) = shown.checked_sub(1).and_then(|at| windows.get_mut(at)) {
        window.not_after(observation.ended, observation.call);
    }
    if let Some(window) = windows.get_mut(shown) {
        window.not_before(observation.began, observation.call);
    }
}

/// Whether the observations, in the order of their versions, show one history that only grows.
fn is_one_history(observations: &[CouponObservation<'_>], wrong: &mut ViolationList<'_>) -> bool {
    for pair in observations.windows(2) {
        let (earlier, later) = (pair[0], pair[1]);
        let (before, after) = (earlier.coupon, later.coupon);
        let (code, version) = (before.code(), before.version());
        let calls = [earlier.call, later.call].into_iter().flatten();
        let same = version == after.version();
        let holds = (earlier.hold(), later.hold());
        let what = if !after.events().starts_with(before.events()) {
            let later = after.version();
            Some(format!("{code}: version {later} lacks an event that version {version} has"))
        } else if same && before.events().len() != after.events().len() {
            Some(format!("{code}: two histories have version {version}"))
        } else if same && matches!(holds, (Some(one), Some(other)) if one != other) {
            Some(format!("{code}: two holds have version {version}"))
        } else if same && earlier.wrote && later.wrote && earlier.call != later.call {
            Some(format!("{code}: two accepted changes made version {version}"))
        } else if !is_same_genesis(before, after) {
            Some(format!("{code}: its campaign, its batch or its first dates changed"))
        } else {
            None
        };
        if let Some(what) = what {
            wrong.add(what, calls);
            return false;
        }
    }
    true
}

/// A coupon to which nothing has happened yet ends when its campaign does, which may become later.
fn is_same_genesis(one: &Coupon, other: &Coupon) -> bool {
    let (a, b) = (one.genesis(), other.genesis());
    let is_same_end = a.expires_at == b.expires_at || one.version() == 0;
    (&a.campaign, &a.batch, a.valid_from) == (&b.campaign, &b.batch, b.valid_from) && is_same_end
}

/// Versions never go back: each that was seen has an instant. This also finds a hold that is lost.
fn versions_in_order(
    coupon: &Coupon,
    versions: &BTreeMap<u64, CouponObservation<'_>>,
    observations: &[CouponObservation<'_>],
    wrong: &mut ViolationList<'_>,
) {
    let numbers: Vec<u64> = versions.keys().copied().collect();
    let mut windows = vec![StepWindow::until(u64::MAX); numbers.len()];
    for observation in observations {
        let at = numbers.partition_point(|number| *number < observation.coupon.version());
        place(&mut windows, observation, at + 1);
        if observation.wrote {
            windows[at].not_before(observation.began, observation.call);
        }
    }
    if let Some(at) = narrow(&mut windows) {
        out_of_order(coupon, &format!("version {}", numbers[at]), windows[at], wrong);
    }
}

fn out_of_order(coupon: &Coupon, what: &str, window: StepWindow, wrong: &mut ViolationList<'_>) {
    let (code, StepWindow { from, to, .. }) = (coupon.code(), window);
    let how = match window.from_call {
        Some(_) => format!("an answer or a request shows that it was not there before {from} ms"),
        None => "the last read does not show it".to_owned(),
    };
    wrong.add(
        format!("{code}: {what} was there by {to} ms, and {how}: a change is lost, or a read old"),
        window.calls(),
    );
}
