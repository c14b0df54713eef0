//! A copy to a cluster, killed at each of its writes and repeated with what has changed since.

use coupon::campaign::{Batch, BatchKind, Campaign, ImportCounts};
use hot::HotError;
use hot::inventory::{BatchItem, CampaignItem, Importer, Inventory, Item, Pass, Table};
use hot_cql::CqlHot;

use super::stage::{StepSweep, TestStage, patiently};

/// A campaign, as the source had it before and after some changes.
struct Scene {
    items: [CampaignItem; 2],
}

impl Scene {
    /// Each value that changes, changes to a smaller one in the order of bytes.
    fn of(campaign: Campaign) -> Scene {
        let counts = |imported, already_there| ImportCounts {
            lines: 9,
            imported,
            already_there,
            rejected: 0,
        };
        let batch = |paused: bool, import| BatchItem {
            batch: Batch {
                id: "file".parse().unwrap(),
                campaign: campaign.id.clone(),
                kind: BatchKind::Imported,
                count: 0,
                paused,
                import,
                created_at: campaign.created_at,
            },
            paused_reason: paused.then(|| "stolen".to_owned()),
            offered: 0,
        };
        let item = |terms: Campaign, batch| CampaignItem {
            created_as: "as asked".to_owned(),
            batches: vec![batch],
            stock: 0,
            all: [0; 3],
            cold: [0; 3],
            rows: None,
            worth: None,
            spent: 0,
            terms: terms.into(),
        };
        let named = |name: &str, paused| Campaign { name: name.into(), paused, ..campaign.clone() };
        let early = item(named("b", true), batch(true, counts(9, 0)));
        let late = item(named("a", false), batch(false, counts(0, 9)));
        Scene { items: [early, late] }
    }

    async fn put(&self, hot: &CqlHot, nth: usize) -> Result<(), HotError> {
        let item = Item::Campaign(Box::new(self.items[nth].clone()));
        hot.put(vec![item], Pass::Again).await
    }
}

pub(crate) async fn campaign_step_by_step(stage: &TestStage) {
    let second = stage.process().await.hot;
    let scene = async || Scene::of(stage.draft());
    let act = async |hot: &CqlHot, scene: &Scene| scene.put(hot, 0).await;
    let again = async |scene: &Scene| patiently(async || scene.put(&second, 1).await).await;
    let pick_up = async |scene: &Scene, (): ()| again(scene).await;
    let judge = async |scene: &Scene, (): (), late: Option<Result<(), HotError>>| {
        if late.is_some() {
            // What it had sent has arrived meanwhile.
            again(scene).await;
        }
        let page = second.page(Table::Campaigns, None, usize::MAX).await;
        let id = &scene.items[1].terms.id;
        let is_it = |item: &Item| matches!(item, Item::Campaign(it) if it.terms.id == *id);
        let found = page.unwrap().items.into_iter().find(is_it);
        assert_eq!(found, Some(Item::Campaign(Box::new(scene.items[1].clone()))));
    };
    stage.sweep(StepSweep::of("copied", &[()]), scene, act, pick_up, judge).await;
}
