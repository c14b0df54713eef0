//! The directory: whether the coupons and campaigns that it names exist, and it has every shared word.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::time::Day;
use hot::inventory::{Atomicity, EntryIs, EntryItem, Item, Pages, RowIs, Table};

use crate::balance::BalanceSide;
use crate::finding::{Finding, FindingKind, Note, UNWRITTEN};
use crate::verifier::{Result, Verifier};
use crate::whereabouts::{CouponWhereabouts, LookRound};
use crate::{postings, rules};

impl Verifier<'_> {
    /// With a balance, judges only the entries that it does not compare.
    pub(crate) async fn directory(&mut self) -> Result<()> {
        let mut pages = Pages::of(self.hot, Table::Directory);
        while let Some(items) = pages.next().await? {
            let entry = |item| if let Item::Entry(it) = item { Some(it) } else { None };
            let mut entries: Vec<EntryItem> = items.into_iter().filter_map(entry).collect();
            let is_kept = |day: &Day| !self.deleted.contains(day);
            entries.retain(|it| !matches!(&it.is, EntryIs::Coupon { day, .. } if !is_kept(day)));
            self.report.entries += entries.len() as u64;
            postings::post(&self.balance, &entries, |balance, entry| {
                if let Some((posting, day)) = postings::entry(entry) {
                    balance.add(BalanceSide::Table, &posting, day);
                }
            });
            let alone = match self.balance {
                Some(_) => self.unbalanced(entries).await?,
                None => entries,
            };
            self.entries(alone).await?;
            self.tick();
        }
        self.words().await
    }

    /// The entries that a balance does not compare: of no coupon, or of a minted one that was moved, whose
    /// first partition has to be looked at, too.
    async fn unbalanced(&mut self, entries: Vec<EntryItem>) -> Result<Vec<EntryItem>> {
        let mut unbalanced = Vec::new();
        for entry in entries {
            let is_balanced = match (&entry.is, rules::code_of(&entry.code)) {
                (EntryIs::Coupon { day, .. }, Some(code)) => {
                    let serial = self.catalog.serial(self.hot, self.keys, &code).await?;
                    serial.is_none_or(|serial| serial.run.day == *day)
                }
                _ => false,
            };
            if !is_balanced {
                unbalanced.push(entry);
            }
        }
        Ok(unbalanced)
    }

    /// Finds the entries of these codes that name nothing.
    pub(crate) async fn entries_of(&mut self, codes: Vec<Code>) -> Result<()> {
        let entries = self.hot.entries_at(codes).await?;
        self.entries(entries.into_iter().flatten().collect()).await
    }

    async fn entries(&mut self, entries: Vec<EntryItem>) -> Result<()> {
        let mut wrong = self.wrong_entries(entries, LookRound::First).await?;
        let mut pauses = self.pauses();
        while !wrong.is_empty() && pauses.pass().await {
            let codes: Vec<Code> =
                wrong.iter().filter_map(|(entry, _)| rules::code_of(&entry.code)).collect();
            if codes.len() < wrong.len() {
                // An entry whose text is no code cannot be read again by its code.
                break;
            }
            let again = self.hot.entries_at(codes).await?;
            wrong =
                self.wrong_entries(again.into_iter().flatten().collect(), LookRound::Again).await?;
        }
        wrong.into_iter().for_each(|(_, finding)| self.tell(finding));
        Ok(())
    }

    async fn wrong_entries(
        &mut self,
        entries: Vec<EntryItem>,
        look: LookRound,
    ) -> Result<Vec<(EntryItem, Finding)>> {
        let (mut wrong, mut of_coupons) = (Vec::new(), Vec::new());
        for entry in entries {
            let finding = match (&entry.is, rules::code_of(&entry.code)) {
                (EntryIs::Unreadable(why), _) => Some(entry_alone(&entry, why, UNWRITTEN)),
                (_, None) => Some(entry_alone(&entry, "a text that is no code", UNWRITTEN)),
                (EntryIs::Gone, Some(_)) => None,
                (EntryIs::Shared { campaign }, Some(code)) => {
                    let terms = self.catalog.terms(campaign);
                    terms.and_then(|terms| word_astray(&code, &terms))
                }
                (EntryIs::Coupon { day, .. }, Some(code)) => {
                    let day = *day;
                    of_coupons.push((entry, day, code));
                    continue;
                }
            };
            wrong.extend(finding.map(|finding| (entry, finding)));
        }
        self.wrong_coupons(of_coupons, look, &mut wrong).await?;
        Ok(wrong)
    }

    /// Finds the entries whose coupon is neither in hot nor in cold.
    async fn wrong_coupons(
        &mut self,
        entries: Vec<(EntryItem, Day, Code)>,
        look: LookRound,
        wrong: &mut Vec<(EntryItem, Finding)>,
    ) -> Result<()> {
        let spots = entries.iter().map(|(_, day, code)| (*day, code.clone())).collect();
        let there = self.hot.rows_at(spots).await?;
        let mut homes: Vec<(Day, Code)> = Vec::new();
        for (_, day, code) in &entries {
            let serial = self.catalog.serial(self.hot, self.keys, code).await?;
            let home = serial.map(|serial| serial.run.day).filter(|home| home != day);
            homes.extend(home.map(|home| (home, code.clone())));
        }
        let left = self.hot.rows_at(homes.clone()).await?;
        for ((home, code), rows) in homes.into_iter().zip(left) {
            if rows.iter().any(|row| !matches!(row.is, RowIs::Forwarding { .. })) {
                // The walk over its home partition does not read the directory.
                self.recheck.insert((home, code));
            }
        }
        let nowhere = entries.into_iter().zip(there).filter(|(_, rows)| rows.is_empty());
        let nowhere = nowhere.map(|(entry, _)| entry).collect();
        self.entries_without_rows(nowhere, look, wrong).await
    }

    /// Finds the lost coupons among entries whose partition has neither a row nor an archived marker.
    async fn entries_without_rows(
        &mut self,
        entries: Vec<(EntryItem, Day, Code)>,
        look: LookRound,
        wrong: &mut Vec<(EntryItem, Finding)>,
    ) -> Result<()> {
        let mut sealed: BTreeMap<Day, bool> = BTreeMap::new();
        let (mut spots, mut in_cold) = (Vec::new(), Vec::new());
        for (entry, day, code) in entries {
            if let Entry::Vacant(unknown) = sealed.entry(day) {
                unknown.insert(self.hot.partition(day).await?.is_some_and(|plan| plan.sealed));
            }
            if sealed[&day] {
                spots.push((day, code));
                in_cold.push(entry);
            } else {
                let hot = ("hot", "neither a row nor an archived marker");
                self.coupon_lost(entry, day, hot, wrong);
            }
        }
        let found = self.in_cold(&spots, look).await?;
        for ((entry, (day, _)), found) in in_cold.into_iter().zip(spots).zip(found) {
            match found {
                CouponWhereabouts::Nowhere => {
                    self.coupon_lost(entry, day, ("cold", "there is no such coupon"), wrong);
                }
                CouponWhereabouts::InCold => self.note(Note::NotFollowed),
                CouponWhereabouts::Found(_) | CouponWhereabouts::Unreadable => {}
            }
        }
        Ok(())
    }

    fn coupon_lost(
        &mut self,
        entry: EntryItem,
        day: Day,
        other: (&str, &str),
        wrong: &mut Vec<(EntryItem, Finding)>,
    ) {
        match self.hot.atomicity() {
            // An import may have written the entry and stopped before the row.
            Atomicity::StepByStep => self.note(Note::EntryBegun),
            Atomicity::OneTransaction => {
                let says = format!("a coupon in partition {day}");
                let finding = entry_alone(&entry, says, other);
                wrong.push((entry, finding));
            }
        }
    }

    /// Finds the shared words that the directory does not have.
    async fn words(&mut self) -> Result<()> {
        for campaign in self.catalog.shared() {
            let Some(word) = campaign.shared_code.clone() else { continue };
            let entry = self.hot.entries_at(vec![word.clone()]).await?.pop().flatten();
            let is_its = entry.as_ref().is_some_and(
                |entry| matches!(&entry.is, EntryIs::Shared { campaign: of } if *of == campaign.id),
            );
            if !is_its {
                let one = (format!("campaign {}", campaign.id), format!("its word is {word}"));
                let other = ("the directory", "does not lead to it");
                self.found(FindingKind::SharedCodeAstray, word.as_str(), one, other);
            }
        }
        Ok(())
    }
}

fn entry_alone(entry: &EntryItem, says: impl Into<String>, other: (&str, &str)) -> Finding {
    let one = ("the directory", says);
    Finding::new(FindingKind::EntryAlone, &entry.code, one, other)
}

/// The finding if the directory has a shared word that its campaign does not have.
fn word_astray(code: &Code, terms: &Campaign) -> Option<Finding> {
    let word = terms.shared_code.as_ref();
    if word == Some(code) {
        return None;
    }
    let one = ("the directory", format!("the word of campaign {}", terms.id));
    let other = ("the campaign", word.map_or("no word", Code::as_str));
    Some(Finding::new(FindingKind::SharedCodeAstray, code.as_str(), one, other))
}
