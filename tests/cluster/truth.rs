//! The checks of a sale: no user was refused an available coupon, and no coupon was issued twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::Value;

use super::sale::{Asked, Campaign, Kind, Revoked, Story};

/// A coupon at rest.
#[derive(Clone, Debug)]
pub(super) struct AtRest {
    pub(super) code: String,
    pub(super) state: String,
    pub(super) holder: Option<String>,
    /// The kinds of its events, oldest first.
    pub(super) events: Vec<String>,
}

impl AtRest {
    pub(super) fn of(code: &str, read: &Value) -> AtRest {
        let text = |name: &str| read[name].as_str().map(str::to_owned);
        let events = read["events"].as_array().expect("events").iter();
        let kind = |event: &Value| event["kind"].as_str().expect("a kind").to_owned();
        AtRest {
            code: code.to_owned(),
            state: text("state").expect("a state"),
            holder: text("holder"),
            events: events.map(kind).collect(),
        }
    }
}

/// The requests of one campaign.
pub(super) struct Part<'a> {
    pub(super) campaign: &'a Campaign,
    asked: Vec<&'a Asked>,
    /// By code.
    revoked: BTreeMap<&'a str, Vec<&'a Revoked>>,
    /// The users who ever got it in an answer, by code.
    told: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// By user.
    of_user: BTreeMap<&'a str, Vec<&'a Asked>>,
}

impl<'a> Part<'a> {
    pub(super) fn of(story: &'a Story, nth: usize, campaign: &'a Campaign) -> Part<'a> {
        let asked: Vec<&Asked> = story.asked.iter().filter(|it| it.ask.campaign == nth).collect();
        let mut told: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut of_user: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
        for it in &asked {
            of_user.entry(&it.ask.user).or_default().push(it);
            if let Ok(code) = &it.answer {
                told.entry(code).or_default().insert(&it.ask.user);
            }
        }
        let mut revoked: BTreeMap<&str, Vec<&Revoked>> = BTreeMap::new();
        for it in &story.revoked {
            revoked.entry(&it.code).or_default().push(it);
        }
        Part { campaign, asked, revoked, told, of_user }
    }

    /// How often this was the answer.
    pub(super) fn count(&self, word: &str) -> usize {
        self.asked.iter().filter(|it| it.answer.as_ref().err().is_some_and(|it| it == word)).count()
    }

    /// Everything that is wrong, from all coupons of the campaign at the end.
    pub(super) fn wrong(&self, at_rest: &[AtRest]) -> Vec<String> {
        let mut wrong = self.wrong_numbers(at_rest);
        wrong.extend(at_rest.iter().filter_map(|it| self.wrong_holders(it)));
        wrong.extend(self.wrong_names());
        wrong.extend(self.wrong_sold_out(at_rest));
        wrong.extend(self.asked.iter().filter_map(|it| self.wrong_refusal(it)));
        wrong
    }

    /// The whole stock is issued, and nobody has more than the limit.
    fn wrong_numbers(&self, at_rest: &[AtRest]) -> Vec<String> {
        let Campaign { id, kind, stock, limit, .. } = self.campaign;
        let word = if *kind == Kind::Shared { "redeemed" } else { "issued" };
        let mut wrong = Vec::new();
        let given = at_rest.iter().filter(|it| it.state == word).count();
        if (at_rest.len(), given) != (*stock, *stock) {
            wrong.push(format!("{id}: {} codes, {given} {word}, stock {stock}", at_rest.len()));
        }
        let mut of_user: BTreeMap<&str, usize> = BTreeMap::new();
        for holder in at_rest.iter().filter_map(|it| it.holder.as_deref()) {
            *of_user.entry(holder).or_default() += 1;
        }
        let above = of_user.into_iter().filter(|(_, count)| count > limit);
        wrong.extend(above.map(|(user, count)| format!("{id}: {user} has {count}")));
        let unknown = self.told.keys().filter(|code| !at_rest.iter().any(|it| it.code == **code));
        wrong.extend(unknown.map(|code| format!("{id}: {code} was issued and does not exist")));
        wrong
    }

    /// It had one holder after the other. The run revoked it from each of them but the last.
    fn wrong_holders(&self, it: &AtRest) -> Option<String> {
        let count = |kind: &str| it.events.iter().filter(|event| *event == kind).count();
        let (issued, revoked) = (count("issued"), count("revoked"));
        let changes = it.events.iter().filter(|event| *event == "issued" || *event == "revoked");
        let in_turn = changes.enumerate().all(|(nth, event)| (event == "issued") == (nth % 2 == 0));
        if !in_turn || issued > revoked + 1 {
            return Some(format!("issued twice: {it:?}"));
        }
        let ours = self.revoked.get(it.code.as_str()).map_or(&[][..], Vec::as_slice);
        if revoked > ours.len() {
            return Some(format!("revoked {revoked} times, by the run {}: {it:?}", ours.len()));
        }
        let told = self.told.get(it.code.as_str());
        if let Some(holder) = it.holder.as_deref()
            && !told.is_some_and(|told| told.contains(holder))
        {
            return Some(format!("{holder} has it without an answer: {it:?}"));
        }
        for user in told.into_iter().flatten() {
            let is_taken = ours.iter().any(|revoked| revoked.user == **user);
            if it.holder.as_deref() != Some(*user) && !is_taken {
                return Some(format!("{user} got it in an answer and does not have it: {it:?}"));
            }
        }
        None
    }

    /// A request with a name gets one coupon, however often it is sent.
    fn wrong_names(&self) -> Vec<String> {
        let mut named: BTreeMap<(&str, usize), BTreeSet<&str>> = BTreeMap::new();
        for it in &self.asked {
            if let Ok(code) = &it.answer {
                named.entry((&it.ask.user, it.ask.reference)).or_default().insert(code);
            }
        }
        let has_name = self.campaign.limit > 1 || self.campaign.kind == Kind::Shared;
        let twice = named.into_iter().filter(|(_, codes)| has_name && codes.len() > 1);
        twice.map(|(name, codes)| format!("{name:?} has {codes:?}")).collect()
    }

    /// SOLD_OUT while a code was available: one line for each such code.
    fn wrong_sold_out(&self, at_rest: &[AtRest]) -> Vec<String> {
        let refused = || {
            self.asked.iter().filter(|it| it.answer.as_ref().is_err_and(|word| word == "SOLD_OUT"))
        };
        let of_code = |it: &AtRest| {
            let code = it.code.as_str();
            let wrong: Vec<_> =
                refused().filter(|it| self.was_there(code, it.begun, it.ended)).collect();
            let first = wrong.iter().min_by_key(|it| it.begun)?;
            let takers = self.told.get(code).into_iter().flatten();
            let takers: Vec<_> = takers.flat_map(|user| &self.of_user[user]).collect();
            let (count, revoked) = (wrong.len(), self.revoked.get(code));
            Some(format!(
                "{count} got SOLD_OUT while {code} was there, first {first:?}; \
                 revoked: {revoked:?}; its holders asked: {takers:?}"
            ))
        };
        at_rest.iter().filter_map(of_code).collect()
    }

    fn wrong_refusal(&self, it: &Asked) -> Option<String> {
        let word = it.answer.as_ref().err()?;
        match word.as_str() {
            "SOLD_OUT" => None,
            "LIMIT_PER_USER" => {
                let had = self.told.keys().filter(|code| self.may_have_had(it, code)).count();
                let limit = self.campaign.limit;
                let user = it.ask.user.as_str();
                let ours = |by: &&&Revoked| by.user == user;
                let revoked: Vec<_> = self.revoked.values().flatten().filter(ours).collect();
                let all = || format!("{:#?}\n{revoked:#?}", self.of_user[user]);
                (had < limit).then(|| format!("{it:?} got LIMIT_PER_USER with {had}: {}", all()))
            }
            // The name belongs to a revoked coupon.
            "NAME_TAKEN" => {
                let of_user = |revoked: &&Revoked| revoked.user == it.ask.user;
                let any = self.revoked.values().flatten().any(of_user);
                (!any).then(|| format!("{:?} got NAME_TAKEN", it.ask))
            }
            _ => Some(format!("{:?} got {word}", it.ask)),
        }
    }

    /// Whether a code was certainly available from `begun` to `ended`: no user who ever got it sent
    /// a request after the last revoke began. When the revoke is answered, late from a frozen
    /// service, another user may have the code.
    fn was_there(&self, code: &str, begun: Instant, ended: Instant) -> bool {
        let revoked = self.revoked.get(code).map_or(&[][..], Vec::as_slice);
        let before = revoked.iter().filter(|it| it.begun < ended).max_by_key(|it| it.begun);
        let since = match before {
            None => None,
            Some(it) if it.is_certain && it.ended < begun => Some(it.begun),
            Some(_) => return false,
        };
        let takers = self.told.get(code).into_iter().flatten();
        let mut asked = takers.flat_map(|user| &self.of_user[user]);
        !asked.any(|it| it.first < ended && since.is_none_or(|since| it.ended > since))
    }

    /// Whether the user may have had this coupon at some time during the request.
    fn may_have_had(&self, it: &Asked, code: &str) -> bool {
        let user = it.ask.user.as_str();
        let revoked = self.revoked.get(code).map_or(&[][..], Vec::as_slice);
        let is_over = |told: &Asked| {
            let ours = |by: &&&Revoked| by.user == user && by.is_certain;
            revoked.iter().filter(ours).any(|by| told.ended < by.begun && by.ended < it.begun)
        };
        let mut told = self.of_user[user].iter().filter(|told| told.answer.as_deref() == Ok(code));
        // The user may have got the same coupon again.
        told.any(|told| told.first < it.ended && !is_over(told))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::sale::Ask;
    use super::*;

    const TWO: Campaign =
        Campaign { id: "two", kind: Kind::Minted, stock: 2, limit: 1, users: 4, references: 1 };

    fn asked(zero: Instant, user: &str, at: u64, answer: Result<&str, &str>) -> Asked {
        let begun = zero + Duration::from_secs(at);
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        let ask = Ask { campaign: 0, user: user.to_owned(), reference: 0 };
        Asked { ask, first: begun, begun, ended: begun + Duration::from_secs(1), answer }
    }

    fn at_rest(code: &str, holder: &str, events: &[&str]) -> AtRest {
        AtRest {
            code: code.to_owned(),
            state: "issued".to_owned(),
            holder: Some(holder.to_owned()),
            events: events.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    /// Ann gets X, which is revoked. Bob gets Y. Cid is too early, and Dan gets X.
    fn story(zero: Instant) -> (Story, Vec<AtRest>) {
        let (begun, ended) = (zero + Duration::from_secs(20), zero + Duration::from_secs(21));
        let (code, user) = ("X".to_owned(), "ann".to_owned());
        let story = Story {
            asked: vec![
                asked(zero, "ann", 0, Ok("X")),
                asked(zero, "bob", 5, Ok("Y")),
                asked(zero, "cid", 10, Err("SOLD_OUT")),
                asked(zero, "dan", 30, Ok("X")),
                asked(zero, "eve", 40, Err("SOLD_OUT")),
            ],
            revoked: vec![Revoked { code, user, begun, ended, is_certain: true }],
            ..Story::default()
        };
        let x = at_rest("X", "dan", &["issued", "extended", "revoked", "issued"]);
        (story, vec![x, at_rest("Y", "bob", &["issued"])])
    }

    #[test]
    fn what_is_wrong_is_found() {
        type Plant = fn(&mut Story, &mut Vec<AtRest>, Instant);
        let rows: [(&str, Plant, &str); 14] = [
            ("nothing", |_, _, _| {}, ""),
            ("a coupon is lost", |_, rest, _| drop(rest.pop()), "1 codes, 1 issued, stock 2"),
            ("one is left", |_, rest, _| rest[1].state = "available".into(), "1 issued, stock 2"),
            ("a user has two", |_, rest, _| rest[0].holder = Some("bob".into()), "bob has 2"),
            (
                "a user has it without an answer",
                |_, rest, _| rest[1].holder = Some("fay".into()),
                "fay has it without an answer",
            ),
            (
                "refused while a revoked coupon was available",
                |story, _, zero| story.asked.push(asked(zero, "fay", 25, Err("SOLD_OUT"))),
                "1 got SOLD_OUT while X was there, first Asked { ask: Ask { campaign: 0, user: \"fay\"",
            ),
            (
                "refused when another user had it before the revoke was answered",
                |story, _, zero| {
                    story.revoked[0].ended = zero + Duration::from_secs(35);
                    story.asked.push(asked(zero, "fay", 40, Err("SOLD_OUT")));
                },
                "",
            ),
            (
                "refused before any other request",
                |story, _, zero| {
                    story.asked.iter_mut().for_each(|it| {
                        it.first += Duration::from_secs(3);
                    });
                    story.asked.push(asked(zero, "fay", 1, Err("SOLD_OUT")));
                },
                "1 got SOLD_OUT while X was there",
            ),
            (
                "refused below the limit",
                |story, _, zero| story.asked.push(asked(zero, "ann", 50, Err("LIMIT_PER_USER"))),
                "got LIMIT_PER_USER with 0",
            ),
            (
                "refused when at the limit again",
                |story, rest, zero| {
                    story.asked.retain(|it| it.ask.user != "dan");
                    story.asked.push(asked(zero, "ann", 35, Ok("X")));
                    story.asked.push(asked(zero, "ann", 50, Err("LIMIT_PER_USER")));
                    rest[0].holder = Some("ann".into());
                },
                "",
            ),
            (
                "two users got it in an answer",
                |story, _, zero| story.asked.push(asked(zero, "fay", 8, Ok("Y"))),
                "fay got it in an answer and does not have it",
            ),
            (
                "issued twice",
                |_, rest, _| rest[1].events.push("issued".into()),
                "issued twice: AtRest { code: \"Y\"",
            ),
            (
                "revoked by nobody in the run",
                |story, _, _| story.revoked.clear(),
                "revoked 1 times, by the run 0",
            ),
            (
                "another refusal",
                |story, _, zero| story.asked.push(asked(zero, "fay", 50, Err("EXPIRED"))),
                "got EXPIRED",
            ),
        ];
        for (name, plant, want) in rows {
            let zero = Instant::now();
            let (mut story, mut rest) = story(zero);
            plant(&mut story, &mut rest, zero);
            let wrong = Part::of(&story, 0, &TWO).wrong(&rest).join("\n");
            assert_eq!(wrong.is_empty(), want.is_empty(), "{name}: {wrong}");
            assert!(wrong.contains(want), "{name}: {wrong}");
        }
    }
}
