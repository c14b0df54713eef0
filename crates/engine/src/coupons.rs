//! What is done with one coupon, and what the caller sees of it afterwards.

use coupon::apply::{Action, Change, Outcome};
use coupon::calendar::{Date, Zone};
use coupon::campaign::Handout;
use coupon::code::CodeText;
use coupon::coupon::{Coupon, Redemption};
use coupon::ids::{CampaignId, IssueRef, OrderRef, Reason, RevokeRef, UserId};
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::{Applied, CouponFilter, CouponSnapshot, ListOrder, ListScope, Tier};
use router::Found;

use crate::campaigns::{CampaignView, range};
use crate::failure::{Done, Failure, Fault};
use crate::lists::PAGE_MAX;
use crate::pages::PageQuery;
use crate::{Caller, Engine, Role};

/// How long a hold lasts where the caller does not say: a check-out.
pub const HOLD_SECONDS_DEFAULT: u32 = 900;

/// Longest hold: seven days.
pub const HOLD_SECONDS_MAX: u32 = 604_800;

const _: () = assert!(HOLD_SECONDS_MAX as i64 * 1000 == coupon::apply::HOLD_MAX_MS);

/// A coupon as a caller may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponView {
    /// The code as people read it.
    pub code: String,
    /// The coupon.
    pub coupon: Coupon,
    /// Whether its last millisecond has passed.
    pub expired: bool,
    /// Whether its campaign or its batch is paused.
    pub paused: bool,
    /// Until when it is held at the moment.
    pub held_until: Option<Millis>,
    /// The order of its live redemption, or of the hold of the moment.
    pub order: Option<OrderRef>,
    /// Where it lies.
    pub tier: Tier,
    /// Whether holder, order and history are shown: not to one who merely shows a bearer code.
    pub in_full: bool,
    /// The user who looks, where it is one: such a caller sees a part of the history.
    pub user: Option<UserId>,
}

/// One redemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionView {
    /// The coupon's code as people read it.
    pub code: String,
    /// Its campaign.
    pub campaign: CampaignId,
    /// The redemption.
    pub redemption: Redemption,
}

/// A hold of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// The order it is for.
    pub order: OrderRef,
    /// Until when.
    pub until: Millis,
    /// The coupon.
    pub coupon: CouponView,
}

/// What redeem would answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckView {
    /// Why not, if not.
    pub refusal: Option<Refusal>,
    /// The coupon; none where a shared word would make one.
    pub coupon: Option<CouponView>,
    /// Its campaign; none where the coupon is nobody's business.
    pub campaign: Option<CampaignView>,
}

/// A later expiry, as an instant or as the last day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// First instant at which it no longer works.
    At(Millis),
    /// Last day on which it works.
    On(Date, Zone),
}

/// What an admin says beside a revoke, a void or an extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminChange {
    /// Why, for whoever reads the history.
    pub reason: Option<Reason>,
    /// Change the coupon only while it has this version: see [`Change::if_version`].
    pub if_version: Option<u64>,
}

impl Engine {
    /// What `snapshot` looks like to `caller`, or `None` where he may not know of it.
    pub(crate) fn view(&self, caller: &Caller, snapshot: &CouponSnapshot) -> Option<CouponView> {
        let in_full = match caller.role {
            Role::Shop | Role::Operator | Role::Admin => true,
            Role::User => snapshot.coupon.holder() == Some(&caller.subject),
        };
        let shown = in_full || snapshot.campaign.handout == Handout::Bearer;
        shown.then(|| self.view_of(caller, snapshot, in_full))
    }

    fn view_of(&self, caller: &Caller, snapshot: &CouponSnapshot, in_full: bool) -> CouponView {
        let (coupon, now) = (&snapshot.coupon, self.now());
        let hold = coupon.running_hold(now);
        let order = coupon.redemption().map(|redemption| &redemption.order);
        CouponView {
            code: self.printed_of(snapshot),
            coupon: coupon.clone(),
            expired: coupon.is_expired(now),
            paused: snapshot.campaign.paused || snapshot.batch_paused,
            held_until: hold.map(|hold| hold.until),
            order: order.or(hold.map(|hold| &hold.order)).cloned(),
            tier: snapshot.tier,
            in_full,
            user: (caller.role == Role::User).then(|| caller.subject.clone()),
        }
    }

    fn refusal(
        &self,
        caller: &Caller,
        refusal: Refusal,
        snapshot: Option<&CouponSnapshot>,
    ) -> Failure {
        // Of a coupon that is not there for him, he learns nothing at all.
        let hidden = matches!(refusal, Refusal::NotFound | Refusal::NotIssued);
        let seen = snapshot.filter(|_| !hidden).and_then(|snapshot| self.view(caller, snapshot));
        Failure::Refused { refusal, coupon: seen.map(Box::new) }
    }

    /// The coupon after an accepted or replayed change.
    fn settled(&self, caller: &Caller, applied: Applied) -> Result<Done<CouponSnapshot>, Failure> {
        match (applied.outcome, applied.snapshot) {
            (Outcome::Accepted(_), Some(snapshot)) => Ok(Done::Created(snapshot)),
            (Outcome::Replayed, Some(snapshot)) => Ok(Done::Same(snapshot)),
            (Outcome::Refused(refusal), snapshot) => {
                Err(self.refusal(caller, refusal, snapshot.as_ref()))
            }
            (Outcome::Accepted(_) | Outcome::Replayed, None) => {
                Err(Failure::refused(Refusal::NotFound))
            }
        }
    }

    async fn change_at(
        &self,
        caller: &Caller,
        text: &CodeText,
        action: Action,
    ) -> Result<Done<CouponSnapshot>, Failure> {
        self.changed_at(caller, text, self.change(caller, action)).await
    }

    async fn changed_at(
        &self,
        caller: &Caller,
        text: &CodeText,
        change: Change,
    ) -> Result<Done<CouponSnapshot>, Failure> {
        let found = self.find(text).await?;
        let applied = self.hot.apply(&found, change).await?;
        self.settled(caller, applied)
    }

    /// One coupon. A shared word stands for the caller's own coupon behind it.
    ///
    /// # Errors
    /// `NotFound`, also for somebody else's.
    pub async fn coupon(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
    ) -> Result<CouponView, Failure> {
        if caller.role == Role::User && user.is_some() {
            // It would tell him whether another holds a bearer code that he shows.
            return Err(Failure::invalid("user_id", "a user asks for himself: leave it out"));
        }
        let snapshot = match self.find(text).await? {
            Found::Coupon(address) => self.hot.read(&address).await?,
            // A page over both tiers is a future of 10 KB: boxed, it is not copied about by those
            // who ask for one coupon.
            Found::Shared { campaign } => {
                Box::pin(self.newest_of(caller, user.clone(), campaign)).await?
            }
        };
        let named =
            |snapshot: &CouponSnapshot| user.is_none() || snapshot.coupon.holder() == user.as_ref();
        let seen = snapshot.filter(named).and_then(|snapshot| self.view(caller, &snapshot));
        seen.ok_or(Failure::refused(Refusal::NotFound))
    }

    async fn newest_of(
        &self,
        caller: &Caller,
        user: Option<UserId>,
        campaign: CampaignId,
    ) -> Result<Option<CouponSnapshot>, Failure> {
        let holder = match caller.role {
            Role::User => Some(caller.subject.clone()),
            Role::Shop | Role::Operator | Role::Admin => user,
        };
        let Some(holder) = holder else { return Ok(None) };
        let query = PageQuery {
            scope: ListScope::Holder(holder),
            filter: CouponFilter { campaign: Some(campaign), ..CouponFilter::default() },
            order: ListOrder::Latest,
            after: None,
            limit: PAGE_MAX,
        };
        // Of the latest expiry the one that he got last: the tiers order those of one expiry each
        // in its own way.
        let snapshots = self.page(query).await?.snapshots;
        let newest =
            |snapshot: &CouponSnapshot| (snapshot.coupon.expires_at(), snapshot.coupon.issued_at());
        Ok(snapshots.into_iter().max_by_key(newest))
    }

    /// What redeem would answer; nothing is written.
    ///
    /// # Errors
    /// `NotFound`; any other refusal is the answer.
    pub async fn check(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
    ) -> Result<CheckView, Failure> {
        let by = caller.acts_for(user)?;
        let found = self.find(text).await?;
        let change = self.change(caller, Action::Redeem { by: by.clone(), order });
        let applied = self.hot.dry_run(&found, change).await?;
        let refusal = match applied.outcome {
            Outcome::Accepted(_) | Outcome::Replayed => None,
            Outcome::Refused(Refusal::NotFound) => {
                return Err(Failure::refused(Refusal::NotFound));
            }
            Outcome::Refused(refusal) => Some(refusal),
        };
        // The dry run shows the coupon as it would be; the answer shows it as it is.
        let snapshot = match (&found, &applied.snapshot) {
            (Found::Coupon(address), _) => self.hot.read(address).await?,
            (Found::Shared { .. }, Some(snapshot)) => self.as_it_is(snapshot, &by).await?,
            (Found::Shared { .. }, None) => None,
        };
        let id = match &found {
            Found::Coupon(address) => address.owner.campaign.clone(),
            Found::Shared { campaign } => campaign.clone(),
        };
        let shown = refusal != Some(Refusal::NotIssued);
        let coupon = snapshot.filter(|_| shown).and_then(|snapshot| self.view(caller, &snapshot));
        let campaign = self.campaign(caller, &id).await?;
        Ok(CheckView { refusal, coupon, campaign: Some(campaign) })
    }

    /// The coupon of a dry run behind a shared word, before the dry run: the user's own, or
    /// none where it came from the stock.
    async fn as_it_is(
        &self,
        snapshot: &CouponSnapshot,
        by: &UserId,
    ) -> Result<Option<CouponSnapshot>, Failure> {
        let text = CodeText::from(snapshot.coupon.code().clone());
        let Found::Coupon(address) = self.find(&text).await? else { return Ok(None) };
        let snapshot = self.hot.read(&address).await?;
        Ok(snapshot.filter(|snapshot| snapshot.coupon.holder() == Some(by)))
    }

    /// Keeps a coupon for one order.
    ///
    /// # Errors
    /// The refusals of `hold`.
    pub async fn hold(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
        seconds: Option<u32>,
    ) -> Result<Done<HoldView>, Failure> {
        let by = caller.acts_for(user)?;
        let seconds = seconds.unwrap_or(HOLD_SECONDS_DEFAULT);
        if let Some(fault) = range("seconds", Some(seconds.into()), 1, HOLD_SECONDS_MAX.into()) {
            return Err(Failure::Invalid(vec![fault]));
        }
        let until = self.now().plus_ms(i64::from(seconds) * 1000);
        let action = Action::Hold { by, order: order.clone(), until };
        let done = self.change_at(caller, text, action).await?;
        Ok(done.map(|snapshot| {
            let until = snapshot.coupon.hold().map_or(until, |hold| hold.until);
            // Whoever holds it for his order sees at least that much of it.
            let coupon = self.view_of(caller, &snapshot, self.sees_all(caller, &snapshot));
            HoldView { order, until, coupon }
        }))
    }

    fn sees_all(&self, caller: &Caller, snapshot: &CouponSnapshot) -> bool {
        self.view(caller, snapshot).is_some_and(|view| view.in_full)
    }

    /// Keeps a coupon no longer for an order.
    ///
    /// # Errors
    /// The refusals of `release`.
    pub async fn release(
        &self,
        caller: &Caller,
        text: &CodeText,
        order: OrderRef,
    ) -> Result<Done<CouponView>, Failure> {
        caller.must_be(&[Role::User, Role::Shop, Role::Admin])?;
        let done = self.change_at(caller, text, Action::Release { order }).await?;
        Ok(done.map(|snapshot| self.view_of(caller, &snapshot, self.sees_all(caller, &snapshot))))
    }

    /// Spends a coupon for an order: once.
    ///
    /// # Errors
    /// The refusals of `redeem`.
    pub async fn redeem(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
    ) -> Result<Done<RedemptionView>, Failure> {
        let by = caller.acts_for(user)?;
        let action = Action::Redeem { by, order: order.clone() };
        let done = self.change_at(caller, text, action).await?;
        self.redemptions(done, &order)
    }

    fn redemptions(
        &self,
        done: Done<CouponSnapshot>,
        order: &OrderRef,
    ) -> Result<Done<RedemptionView>, Failure> {
        let (Done::Created(snapshot) | Done::Same(snapshot)) = &done;
        let redemption = snapshot.coupon.redemption_of(order);
        let redemption = redemption.ok_or(Failure::refused(Refusal::NotRedeemed))?;
        let view = RedemptionView {
            code: self.printed_of(snapshot),
            campaign: snapshot.campaign.id.clone(),
            redemption,
        };
        Ok(done.map(|_| view))
    }

    /// Undoes the redemption that an order made.
    ///
    /// # Errors
    /// The refusals of `cancel_redemption`.
    pub async fn cancel_redemption(
        &self,
        caller: &Caller,
        text: &CodeText,
        order: OrderRef,
        reason: Option<Reason>,
    ) -> Result<Done<(RedemptionView, CouponView)>, Failure> {
        caller.must_be(&[Role::User, Role::Shop, Role::Admin])?;
        let action = Action::CancelRedemption { order: order.clone(), reason };
        let done = self.change_at(caller, text, action).await?;
        let (Done::Created(snapshot) | Done::Same(snapshot)) = &done;
        let coupon = self.view_of(caller, snapshot, self.sees_all(caller, snapshot));
        Ok(self.redemptions(done, &order)?.map(|redemption| (redemption, coupon)))
    }

    /// Takes a coupon back from its holder. With a `reference` a repeat answers the same, even if
    /// the user has been issued the coupon again since.
    ///
    /// # Errors
    /// The refusals of `revoke`.
    pub async fn revoke(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: UserId,
        reference: Option<RevokeRef>,
        with: AdminChange,
    ) -> Result<Done<CouponView>, Failure> {
        let action = Action::Revoke { user, reference, reason: with.reason };
        self.by_admin(caller, text, action, with.if_version).await
    }

    /// Kills an unredeemed coupon.
    ///
    /// # Errors
    /// The refusals of `void`.
    pub async fn void(
        &self,
        caller: &Caller,
        text: &CodeText,
        with: AdminChange,
    ) -> Result<Done<CouponView>, Failure> {
        self.by_admin(caller, text, Action::Void { reason: with.reason }, with.if_version).await
    }

    /// Gives a coupon a later expiry.
    ///
    /// # Errors
    /// The refusals of `extend`.
    pub async fn extend(
        &self,
        caller: &Caller,
        text: &CodeText,
        expiry: Expiry,
        with: AdminChange,
    ) -> Result<Done<CouponView>, Failure> {
        caller.must_be(&[Role::Admin])?;
        let (expires_at, zone) = match expiry {
            Expiry::On(on, zone) => (on.end(&zone), zone),
            Expiry::At(at) => (at, self.zone_of(text).await?),
        };
        let last = coupon::minted::LAST_DAY.end();
        if expires_at > last {
            let last = coupon::calendar::format_instant(last);
            return Err(Failure::invalid("expires_at", format!("lies after {last}")));
        }
        let action = Action::Extend { expires_at, zone, reason: with.reason };
        self.by_admin(caller, text, action, with.if_version).await
    }

    /// The zone in which people read the coupon's dates now.
    async fn zone_of(&self, text: &CodeText) -> Result<Zone, Failure> {
        match self.find(text).await? {
            Found::Coupon(address) => {
                let snapshot = self.hot.read(&address).await?;
                let snapshot = snapshot.ok_or(Failure::refused(Refusal::NotFound))?;
                Ok(snapshot.coupon.zone().clone())
            }
            Found::Shared { .. } => Err(Failure::refused(Refusal::NotFound)),
        }
    }

    async fn by_admin(
        &self,
        caller: &Caller,
        text: &CodeText,
        action: Action,
        if_version: Option<u64>,
    ) -> Result<Done<CouponView>, Failure> {
        caller.must_be(&[Role::Admin])?;
        let change = Change { if_version, ..self.change(caller, action) };
        let done = self.changed_at(caller, text, change).await?;
        Ok(done.map(|snapshot| self.view_of(caller, &snapshot, true)))
    }

    /// Gives a named coupon to a user: into his wallet, where he shows a bearer code himself.
    ///
    /// # Errors
    /// The refusals of `issue`, and `LimitPerUser`.
    pub async fn issue_code(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
    ) -> Result<Done<CouponView>, Failure> {
        let to = caller.acts_for(user)?;
        let found = self.find(text).await?;
        let campaign = match &found {
            Found::Coupon(address) => &address.owner.campaign,
            Found::Shared { campaign } => campaign,
        };
        let bearer = self.handout(campaign).await? == Handout::Bearer;
        match (&found, caller.role) {
            (_, Role::User) if !bearer => return Err(Failure::refused(Refusal::NotFound)),
            (Found::Shared { .. }, _) => return Err(Failure::refused(Refusal::NotIssuable)),
            (Found::Coupon(_), _) => {}
        }
        let action = Action::Issue { to, reference: None, expires_at: None };
        let applied = self.hot.apply(&found, self.change(caller, action)).await?;
        let done = self.settled(caller, applied)?;
        Ok(done.map(|snapshot| self.view_of(caller, &snapshot, true)))
    }

    /// Issues a coupon of a campaign's stock. The answer is final.
    ///
    /// # Errors
    /// The refusals of `issue`, `SoldOut`, `LimitPerUser`, `NotIssuable`, and `NameTaken` for a
    /// spent `issue_ref`.
    pub async fn issue(
        &self,
        caller: &Caller,
        campaign: &CampaignId,
        user: Option<UserId>,
        reference: Option<IssueRef>,
    ) -> Result<Done<CouponView>, Failure> {
        let to = caller.acts_for(user)?;
        if caller.role == Role::User && self.handout(campaign).await? != Handout::SelfService {
            return Err(Failure::Forbidden(
                "the shop hands out this campaign's coupons: its users cannot take one".into(),
            ));
        }
        if reference.is_none() {
            self.one_is_enough(caller, campaign).await?;
        }
        if let Some(code) = reference.as_ref().and_then(IssueRef::replaces) {
            let parsed = code.parse::<CodeText>();
            parsed.map_err(|error| Failure::invalid("issue_ref", error.to_string()))?;
        }
        let action = Action::Issue { to, reference, expires_at: None };
        let applied = self.hot.issue(campaign, self.change(caller, action)).await?;
        let done = self.settled(caller, applied)?;
        Ok(done.map(|snapshot| self.view_of(caller, &snapshot, true)))
    }

    /// Without an `issue_ref` a repeat can be told from a second wish only where one is the limit.
    async fn one_is_enough(&self, caller: &Caller, campaign: &CampaignId) -> Result<(), Failure> {
        let terms = self.campaign(caller, campaign).await?.campaign;
        match (terms.handout, terms.per_user_limit) {
            (Handout::Bearer, _) | (_, Some(1)) => Ok(()),
            (_, limit) => {
                let limit = limit.map_or("no limit".into(), |limit| format!("limit {limit}"));
                let detail = format!("is missing: the campaign has {limit}, so name the request");
                Err(Failure::Invalid(vec![Fault::new("issue_ref", detail)]))
            }
        }
    }
}
