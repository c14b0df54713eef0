//! Gifts: coupons that a person at the console gives by themselves. Each person may give so many a day.

use std::time::Duration;

use coupon::calendar::Date;
use coupon::code::CodeText;
use coupon::ids::{CampaignId, IssueRef, UserId};
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};

use crate::coupon_view::CouponView;
use crate::erased::person_hash;
use crate::failure::{Failure, Result, WriteResult};
use crate::{Caller, Engine};

/// A gift is a row under its number among those of its giver's day.
const GIFTS: RecordKind = RecordKind { name: "gift", sync: RecordSync::AtOnce };

/// Longer than a day is today somewhere.
pub(crate) const KEPT: Duration = Duration::from_secs(3 * 86_400);

/// The highest [`GiftLimit::per_day`]: the gifts of a day are read together.
pub const GIFTS_MAX: u16 = 1_000;

/// How many coupons each person may give on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GiftLimit {
    /// At most [`GIFTS_MAX`].
    pub per_day: u16,
    /// Today, where the store is.
    pub day: Date,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiftSource {
    Coupon(CodeText),
    /// The next of the stock. The name of the request is that of the gift.
    Stock(CampaignId, IssueRef),
}

impl GiftSource {
    fn name(&self) -> &str {
        match self {
            GiftSource::Coupon(text) => text.foreign().as_str(),
            GiftSource::Stock(_, reference) => reference.as_str(),
        }
    }
}

impl Engine {
    /// Gives a coupon to a user. `None`: the caller has given as many as they may on that day. A repeat, and what is refused,
    /// do not count.
    ///
    /// # Errors
    /// Those of [`Engine::issue`] and [`Engine::issue_code`].
    pub async fn give(
        &self,
        caller: &Caller,
        source: GiftSource,
        user: UserId,
        limit: GiftLimit,
    ) -> Result<Option<WriteResult<CouponView>>> {
        let part = self.gifts_of(caller, limit.day)?;
        // One name to several users is several gifts.
        let gift = format!("{} {}", source.name(), self.hashed(&user)?);
        let Some(place) = self.gift_place(&part, &gift, limit.per_day).await? else {
            return Ok(None);
        };
        let given = match &source {
            GiftSource::Coupon(text) => self.issue_code(caller, text, Some(user)).await,
            GiftSource::Stock(campaign, reference) => {
                self.issue(caller, campaign, Some(user), Some(reference.clone())).await
            }
        };
        let gave = match &given {
            Ok(WriteResult::Created(_)) => true,
            Ok(WriteResult::Same(_)) | Err(Failure::Refused { .. } | Failure::Invalid(_)) => false,
            // Perhaps it was: a repeat has the same place.
            Err(_) => true,
        };
        if let (GiftPlace::New(key), false) = (place, gave) {
            let over = RecordPut::delete(key);
            self.hot.tables().replace(&part, Some(gift.as_bytes()), over).await?;
        }
        given.map(Some)
    }

    /// How many coupons the caller has given on a day.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn gifts_given(&self, caller: &Caller, day: Date) -> Result<usize> {
        let part = self.gifts_of(caller, day)?;
        let all = RecordRange::first(usize::from(GIFTS_MAX));
        Ok(self.hot.tables().scan(&part, all).await?.len())
    }

    /// No row has the name of a person: nobody has to erase it.
    fn gifts_of(&self, caller: &Caller, day: Date) -> Result<RecordPart> {
        Ok(GIFTS.part(format!("{day}:{}", self.hashed(&caller.subject)?)))
    }

    pub(crate) fn hashed(&self, person: &UserId) -> Result<String> {
        let keys = self.router.keys();
        Ok(person_hash(keys.last().ok_or(Failure::NoCodeKey)?, person))
    }

    async fn gift_place(
        &self,
        part: &RecordPart,
        gift: &str,
        per_day: u16,
    ) -> Result<Option<GiftPlace>> {
        let tables = self.hot.tables();
        loop {
            let rows = tables.scan(part, RecordRange::first(usize::from(GIFTS_MAX))).await?;
            if rows.iter().any(|row| row.value == gift.as_bytes()) {
                return Ok(Some(GiftPlace::Before));
            }
            let keys = (0..per_day).map(|number| number.to_be_bytes().to_vec());
            let mut free = keys.filter(|key| rows.iter().all(|row| row.key != *key));
            let Some(key) = free.next() else { return Ok(None) };
            let row = RecordPut::new(key.clone(), gift).kept_for(KEPT);
            if tables.replace(part, None, row).await? {
                return Ok(Some(GiftPlace::New(key)));
            }
        }
    }
}

enum GiftPlace {
    /// Under this key.
    New(Vec<u8>),
    /// An earlier try of the same gift has one.
    Before,
}

#[cfg(test)]
mod tests {
    use coupon::campaign::Handout;
    use futures::future::join_all;

    use super::*;
    use crate::testing::{World, day};
    use crate::{CampaignDraft, Role};

    const TODAY: &str = "2026-11-20";

    fn staff(name: &str) -> Caller {
        Caller::staff(Role::Admin, name.parse().unwrap())
    }

    async fn world() -> World {
        let world = World::new("UTC", [7; 16]).await;
        let draft = CampaignDraft {
            id: "sorry".parse().ok(),
            handout: Some(Handout::Shop),
            stock: Some(20),
            expires_on: "2060-12-31".parse().ok(),
            ..CampaignDraft::default()
        };
        world.engine.create_campaign(&staff("boss"), draft).await.unwrap();
        world
    }

    async fn gave(world: &World, giver: &str, gift: &str, user: &str, on: &str) -> &'static str {
        let source = GiftSource::Stock("sorry".parse().unwrap(), gift.parse().unwrap());
        let limit = GiftLimit { per_day: 2, day: day(on) };
        let given = world.engine.give(&staff(giver), source, user.parse().unwrap(), limit).await;
        match given {
            Ok(Some(WriteResult::Created(_))) => "given",
            Ok(Some(WriteResult::Same(_))) => "had",
            Ok(None) => "as many as they may",
            Err(_) => "refused",
        }
    }

    #[tokio::test]
    async fn so_many_a_day() {
        let world = world().await;
        let rows = [
            ("the first", "ji", "g1", "ann", TODAY, "given", 1),
            ("sent twice", "ji", "g1", "ann", TODAY, "had", 1),
            ("to who has one", "ji", "g2", "ann", TODAY, "had", 1),
            ("the same to another", "ji", "g1", "bob", TODAY, "given", 2),
            ("and to one more", "ji", "g1", "cyd", TODAY, "as many as they may", 2),
            ("one more", "ji", "g4", "cyd", TODAY, "as many as they may", 2),
            ("the last one, sent twice", "ji", "g1", "bob", TODAY, "had", 2),
            ("by another", "kim", "g5", "cyd", TODAY, "given", 2),
            ("tomorrow", "ji", "g6", "dan", "2026-11-21", "given", 2),
        ];
        for (name, giver, gift, user, on, want, count) in rows {
            assert_eq!(gave(&world, giver, gift, user, on).await, want, "{name}");
            let given = world.engine.gifts_given(&staff("ji"), day(TODAY)).await.unwrap();
            assert_eq!(given, count, "{name}");
        }
    }

    #[tokio::test]
    async fn at_once() {
        let world = world().await;
        let names: Vec<(String, String)> =
            (0..8).map(|n| (format!("g{n}"), format!("user-{n}"))).collect();
        let gifts = names.iter().map(|(gift, user)| gave(&world, "ji", gift, user, TODAY));
        let given = join_all(gifts).await.into_iter().filter(|it| *it == "given");
        assert_eq!(given.count(), 2);
    }
}
