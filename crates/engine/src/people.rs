//! What is known of a person: everything that either tier has, as a stream in constant memory.

use std::sync::Arc;

use coupon::calendar::format_instant;
use coupon::code::CodeText;
use coupon::coupon::Coupon;
use coupon::erasure::acting_user;
use coupon::flat::Flat;
use coupon::ids::UserId;
use futures::stream::{BoxStream, StreamExt, try_unfold};
use hot::people::Mention;
use hot::{CouponFilter, CouponSnapshot, ListOrder, ListScope};
use router::Found;
use serde_json::{Value, json};

use crate::coupon_view::CouponView;
use crate::events::holders;
use crate::failure::{Failure, Result};
use crate::pages::{CursorPosition, PageQuery};
use crate::stream_limit::StreamLimit;
use crate::{AuditEvent, AuditKind, Caller, Engine, Role, given};

/// Coupons of one piece: some 200 KB.
const PIECE: usize = 200;

/// One thing that is known of a person.
#[derive(Clone, Debug, PartialEq)]
pub enum PersonRecord {
    /// A coupon that they have or had, and what happened to it while it was theirs.
    Coupon { view: Box<CouponView>, events: Vec<Value> },
    /// Something else that names them: its kind, and what it says.
    Other { kind: String, value: Value },
}

coupon::words! {
    /// As what somebody reads what is known of a person.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum PersonFormat {
        Json = "json",
        Csv = "csv",
    }
    else BadPersonFormat "is {0:?}, want json or csv"
}

impl PersonFormat {
    pub fn media_type(self) -> &'static str {
        match self {
            PersonFormat::Json => "application/json",
            PersonFormat::Csv => "text/csv; charset=utf-8",
        }
    }
}

pub type PersonStream = BoxStream<'static, Result<Vec<PersonRecord>>>;

/// What comes next.
enum NextPage {
    /// Coupons that they have, of both tiers.
    Coupons(Option<CursorPosition>),
    /// What else names them.
    Mentions(Option<String>),
}

impl Engine {
    /// Streams what is known of a person, some at a time, perhaps nothing: first the coupons that they have, then those that
    /// they had and everything else. Enters first who asked. Looks at every row of the hot store.
    ///
    /// # Errors
    /// `Forbidden` for all but admins.
    pub async fn person(self: Arc<Engine>, caller: &Caller, user: &UserId) -> Result<PersonStream> {
        caller.must_be(&[Role::Admin])?;
        // Who was erased must not be named again.
        let is_erased = self.erased_people().await?.1.hash_of(user).is_some();
        let asked = vec![given("user", if is_erased { "erased" } else { user.as_str() })];
        self.record(caller, AuditEvent::of_store(AuditKind::PersonShown, asked)).await?;
        let (engine, caller, user) = (Arc::clone(&self), caller.clone(), user.clone());
        let pages = try_unfold(Some(NextPage::Coupons(None)), move |next| {
            let (engine, caller, user) = (Arc::clone(&engine), caller.clone(), user.clone());
            async move {
                let Some(next) = next else { return Ok::<_, Failure>(None) };
                engine.known_of(&caller, &user, next).await.map(Some)
            }
        });
        Ok(StreamLimit::of_people().wrap(self.limited(pages.boxed())))
    }

    async fn known_of(
        &self,
        caller: &Caller,
        user: &UserId,
        next: NextPage,
    ) -> Result<(Vec<PersonRecord>, Option<NextPage>)> {
        let shown = |snapshot: &CouponSnapshot| {
            let coupon = &snapshot.coupon;
            // Of others who have it now nothing is said.
            let is_theirs = coupon.holder() == Some(user);
            let view = Box::new(self.view_of(caller, snapshot, is_theirs));
            PersonRecord::Coupon { view, events: events_of(coupon, user) }
        };
        match next {
            NextPage::Coupons(after) => {
                let query = PageQuery {
                    scope: ListScope::Holder(user.clone()),
                    filter: CouponFilter::default(),
                    order: ListOrder::Latest,
                    after,
                    limit: PIECE,
                };
                let page = Box::pin(self.page(query)).await?;
                let next = page.next.map(Some).map_or(NextPage::Mentions(None), NextPage::Coupons);
                Ok((page.snapshots.iter().map(shown).collect(), Some(next)))
            }
            NextPage::Mentions(after) => {
                let page = self.hot.people().mentions(user, after).await?;
                let mut known = Vec::with_capacity(page.mentions.len());
                for mention in page.mentions {
                    match mention {
                        Mention::Record { kind, value } => {
                            known.push(PersonRecord::Other { kind, value });
                        }
                        Mention::Coupon(code) => {
                            let found = self.router.find(&CodeText::from(code), self.hot()).await?;
                            let Some(Found::Coupon(address)) = found else { continue };
                            let snapshot = self.hot.read(&address).await?;
                            let past = |it: &CouponSnapshot| it.coupon.holder() != Some(user);
                            known.extend(snapshot.filter(past).as_ref().map(shown));
                        }
                    }
                }
                let next = page.next.map(|next| NextPage::Mentions(Some(next)));
                Ok((known, next))
            }
        }
    }
}

/// What happened to a coupon while it was a user's, or by them: of other users not even the name.
fn events_of(coupon: &Coupon, user: &UserId) -> Vec<Value> {
    let own = format!("{}:{user}", Role::User);
    let mut events = Vec::new();
    for (before, event, after) in holders(coupon) {
        if before != Some(user) && after != Some(user) && event.actor.as_str() != own {
            continue;
        }
        let Flat { kind, at, actor, reference, reason, expires_at, time_zone, worth, .. } =
            Flat::of(event);
        let actor = if actor == own { actor } else { acting_user(actor).map_or(actor, |_| "user") };
        let worth = worth.as_ref();
        events.push(json!({
            "kind": kind,
            "at": format_instant(at),
            "actor": actor,
            "reference": reference,
            "reason": reason,
            "expires_at": expires_at.map(format_instant),
            "time_zone": time_zone,
            "order_amount": worth.and_then(|it| it.order_amount),
            "discount": worth.and_then(|it| it.discount),
            "currency": worth.map(|it| it.currency.as_str()),
        }));
    }
    events
}
