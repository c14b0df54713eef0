//! The campaigns and batches of hot: read once, and again for one that is not known yet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use coupon::calendar::format_instant;
use coupon::campaign::{BATCHES_MAX, Batch, Campaign, MintedRun};
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::minted::{CodeKey, KeyId};
use coupon::time::{Day, Millis};
use hot::inventory::CampaignItem;
use hot::protocol::seal_after;
use hot::{HotError, HotStore, PartitionPlan};
use router::{OwnedRun, Owner, openings};

use crate::finding::{Finding, FindingKind};
use crate::rules::CodeHome;

/// The batch of a code, and its position among the serials of the batch.
#[derive(Clone, Debug)]
pub(crate) struct SerialPosition {
    pub(crate) owner: Owner,
    pub(crate) run: MintedRun,
    pub(crate) offset: u64,
}

#[derive(Clone, Default)]
pub(crate) struct CampaignCatalog {
    campaigns: HashMap<CampaignId, CatalogCampaign>,
    runs: BTreeMap<(KeyId, Day, u64), (MintedRun, Owner)>,
    /// Until when a partition must stay open for the campaign whose minted codes need it longest.
    needed: BTreeMap<Day, (Millis, CampaignId)>,
    /// Campaigns and batches that the store does not have: it was restored.
    strangers: HashSet<(CampaignId, BatchId)>,
}

#[derive(Clone)]
struct CatalogCampaign {
    terms: Arc<Campaign>,
    made_at: HashMap<BatchId, Millis>,
}

impl CampaignCatalog {
    pub(crate) fn of(campaigns: &[CampaignItem]) -> CampaignCatalog {
        let mut catalog = CampaignCatalog::default();
        for campaign in campaigns {
            catalog.learn(&campaign.terms, campaign.batches.iter().map(|it| &it.batch));
        }
        catalog
    }

    fn learn<'a>(&mut self, terms: &Arc<Campaign>, batches: impl Iterator<Item = &'a Batch>) {
        let mut made_at = HashMap::new();
        for batch in batches {
            if let Some(run) = batch.run() {
                let owner = Owner { campaign: terms.id.clone(), batch: batch.id.clone() };
                self.runs.insert((run.key, run.day, run.first), (run, owner));
                let needs = (seal_after(run.day, terms), terms.id.clone());
                let needed = self.needed.entry(run.day).or_insert_with(|| needs.clone());
                *needed = needs.max(needed.clone());
            }
            made_at.insert(batch.id.clone(), batch.created_at);
        }
        let terms = Arc::clone(terms);
        self.campaigns.insert(terms.id.clone(), CatalogCampaign { terms, made_at });
    }

    pub(crate) fn terms(&self, id: &CampaignId) -> Option<Arc<Campaign>> {
        self.campaigns.get(id).map(|known| Arc::clone(&known.terms))
    }

    /// The finding if the partition of a plan is sealed before codes that were minted for it have ended.
    pub(crate) fn closes_early(&self, plan: &PartitionPlan) -> Option<Finding> {
        let (until, campaign) = self.needed.get(&plan.day)?;
        let is_early = !plan.sealed && plan.seal_after < *until;
        let one = ("hot", format!("sealed after {}", format_instant(plan.seal_after)));
        let other = (format!("campaign {campaign}"), format_instant(*until));
        is_early.then(|| Finding::new(FindingKind::ClosesEarly, plan.day.to_string(), one, other))
    }

    /// The terms of a coupon's campaign, if its batch is one of it.
    pub(crate) fn terms_of(&self, owner: &Owner) -> Option<Arc<Campaign>> {
        let known = self.campaigns.get(&owner.campaign)?;
        known.made_at.contains_key(&owner.batch).then(|| Arc::clone(&known.terms))
    }

    pub(crate) fn shared(&self) -> Vec<Arc<Campaign>> {
        let all = self.campaigns.values().map(|known| &known.terms);
        let mut shared: Vec<_> =
            all.filter(|terms| terms.shared_code.is_some()).map(Arc::clone).collect();
        shared.sort_by(|one, other| one.id.cmp(&other.id));
        shared
    }

    /// Reads a campaign or a batch that was created since. Reads one that the store does not have only once.
    pub(crate) async fn look_up(
        &mut self,
        hot: &dyn HotStore,
        owner: &Owner,
    ) -> Result<(), HotError> {
        let key = (owner.campaign.clone(), owner.batch.clone());
        if self.terms_of(owner).is_some() || self.strangers.contains(&key) {
            return Ok(());
        }
        if let Some(row) = hot.campaign(&owner.campaign, Millis(0)).await? {
            let batches = hot.batches(&owner.campaign, None, BATCHES_MAX).await?;
            self.learn(&row.campaign, batches.iter());
        }
        if self.terms_of(owner).is_none() {
            self.strangers.insert(key);
        }
        Ok(())
    }

    pub(crate) async fn serial(
        &mut self,
        hot: &dyn HotStore,
        keys: &[CodeKey],
        code: &Code,
    ) -> Result<Option<SerialPosition>, HotError> {
        for (key, minted) in openings(keys, code) {
            if let Some(serial) = self.in_run(key, minted.day, minted.serial) {
                return Ok(Some(serial));
            }
            // A batch that was minted since, or a foreign code that a key opens by chance.
            let run = hot.run_of(key, minted.day, minted.serial).await?;
            if let Some(OwnedRun { owner, run, .. }) = run {
                self.look_up(hot, &owner).await?;
                let offset = minted.serial - run.first;
                return Ok(Some(SerialPosition { owner, run, offset }));
            }
        }
        Ok(None)
    }

    fn in_run(&self, key: KeyId, day: Day, serial: u64) -> Option<SerialPosition> {
        let upto = self.runs.range((key, day, 0)..=(key, day, serial));
        let (_, (run, owner)) = upto.last()?;
        let holds = run.holds(serial);
        holds.then(|| SerialPosition {
            owner: owner.clone(),
            run: *run,
            offset: serial - run.first,
        })
    }

    pub(crate) fn home(&self, serial: Option<&SerialPosition>) -> CodeHome {
        let Some(serial) = serial else { return CodeHome::Foreign };
        let Some(known) = self.campaigns.get(&serial.owner.campaign) else {
            return CodeHome::Foreign;
        };
        let made_at = known.made_at.get(&serial.owner.batch).copied();
        let made_at = made_at.unwrap_or(known.terms.created_at);
        CodeHome::Minted {
            owner: serial.owner.clone(),
            day: serial.run.day,
            dates: [known.terms.valid_from, known.terms.expires_at, made_at],
            earlier_ends: known.terms.earlier_ends.clone(),
        }
    }
}
