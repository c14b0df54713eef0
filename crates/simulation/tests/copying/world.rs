//! A data folder with something of everything in it, and what has to be so on the cluster that it was
//! copied to.

use std::collections::HashSet;

use coupon::apply::{Action, Asker};
use coupon::benefit::BenefitTitle;
use coupon::campaign::{Batch, Campaign, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, UserId};
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use hot::audit::Act;
use hot::{Account, ImportLine, ImportOutcome, NewCampaign, Tier};

use hot_conformance::kit::{
    self, ACT, ChangeOutcome, Kit, NOW, cancel, extend_days, give, of, reference, release, revoke,
    said, void, with_worth,
};

/// What each order costs and saves: the campaign's benefit makes the discount, or the shop says it.
const WORTH: &str = "KRW 30000 3000";

fn redeem(by: &UserId, at: &str) -> Action {
    with_worth(kit::redeem(by, at), WORTH)
}

fn hold(by: &UserId, at: &str, minutes: i64) -> Action {
    with_worth(kit::hold(by, at, minutes), WORTH)
}

const SOLD_OUT: ChangeOutcome = ChangeOutcome::Refused(Refusal::SoldOut);

pub(crate) struct CopiedWorld {
    /// Three each; of its forty some are gone in every way.
    campaign: Campaign,
    codes: Vec<Code>,
    paused: Batch,
    ann: UserId,
    bob: UserId,
    /// Redeemed, and nothing can be cancelled: so it is in cold.
    closed: Campaign,
    archived_markers: Vec<Code>,
    /// Extended by a week, to a partition that is over.
    over: Code,
    bearer: Campaign,
    papers: Vec<Code>,
    word: Code,
    import: Campaign,
    batch: BatchId,
    lines: Vec<ImportLine>,
    account: Account,
    seen: Vec<Coupon>,
}

impl CopiedWorld {
    pub(crate) async fn made(kit: &Kit) -> CopiedWorld {
        let campaign = Campaign {
            per_user_limit: Some(3),
            metadata: Some("{\"worth\":\"5\"}".into()),
            worth: CampaignWorth {
                currency: "KRW".parse().ok(),
                benefit: "percent 10 from 30000".parse().ok(),
                title: BenefitTitle { en: None, ko: Some("봄".into()) },
                budget: None,
            },
            ..kit.draft()
        };
        let codes = kit.stocked(&campaign, 40).await;
        let [ann, bob, eve] = kit.users();
        let given = kit.issued(&campaign, &ann, "first").await;
        kit.done(&given, redeem(&ann, "991")).await;
        let second = kit.issued(&campaign, &ann, "second").await;
        kit.done(&second, hold(&ann, "992", 5)).await;
        let back = kit.issued(&campaign, &bob, "first").await;
        kit.done(&back, revoke(&bob)).await;
        let moved = kit.issued(&campaign, &eve, "first").await;
        kit.done(&moved, extend_days(&campaign, 5)).await;
        kit.done(&codes[30], void()).await;
        kit.done(&codes[31], give(&eve, reference("by-name"))).await;
        kit.done(&codes[32], extend_days(&campaign, 9)).await;
        let cancelled = kit.issued(&campaign, &bob, "second").await;
        kit.done(&cancelled, redeem(&bob, "1")).await;
        kit.done(&cancelled, cancel("1")).await;
        let paused = kit.mint(&campaign, 7).await;
        let why = Act { reason: Some("a misprint".parse().unwrap()), ..ACT.clone() };
        kit.hot.pause_batch(&campaign.id, &paused.id, true, &why).await.unwrap();

        let expires_at = campaign.expires_at.plus_days(11);
        let closed = Campaign { cancel_days: 0, expires_at, ..kit.draft() };
        let archived_markers = kit.stocked(&closed, 6).await;
        for (at, code) in archived_markers.iter().take(3).enumerate() {
            let user = kit.user("closed");
            kit.done(code, give(&user, None)).await;
            kit.done(code, redeem(&user, &at.to_string())).await;
        }
        assert_eq!(kit.archive_closed(closed.expiry_day(), NOW).await, 3);

        let over = a_partition_that_is_over(kit).await;

        let bearer = Campaign { handout: Handout::Bearer, per_user_limit: Some(1), ..kit.draft() };
        let papers = kit.stocked(&bearer, 6).await;
        kit.done(&papers[0], redeem(&ann, "paper")).await;
        kit.done(&papers[1], give(&bob, None)).await;

        let word: Code = kit.code();
        let shared = Campaign { shared_code: Some(word.clone()), ..kit.draft() };
        let new = NewCampaign {
            campaign: shared.clone(),
            created_as: "with a word".into(),
            first_batch: Some(kit.order_of(5)),
        };
        kit.hot.create_campaign(new, &ACT).await.unwrap();
        assert_eq!(said(&behind_the_word(kit, &word, &ann, "word").await), ChangeOutcome::Accepted);

        let import = Campaign { per_user_limit: Some(2), ..kit.draft() };
        kit.create(&import).await;
        let batch = kit.open_import(&import).await;
        let imported_states = |at: usize| match at % 4 {
            0 => ImportedState::Issued { holder: ann.clone(), at: Some(NOW) },
            1 => ImportedState::Redeemed {
                holder: Some(bob.clone()),
                issued_at: None,
                at: NOW,
                order: None,
                worth: None,
            },
            2 if at == 2 => ImportedState::VOID,
            _ => ImportedState::Available,
        };
        let lines: Vec<ImportLine> =
            (0..8).map(|at| kit.line(&import, &kit.code(), imported_states(at))).collect();
        let mut lines = lines;
        lines.extend((0..12).map(|_| kit.line(&import, &kit.code(), ImportedState::Available)));
        kit.import(&import, &batch, lines.clone()).await;
        kit.done(&lines[19].code, extend_days(&import, 3)).await;
        // A claim names it, and on a cluster nothing forwards from its first partition.
        kit.done(&lines[4].code, extend_days(&import, 3)).await;

        let [login_id, user_id] = kit.users();
        let account = Account { login_id, user_id, password_hash: "$argon2id$x".into() };
        assert!(kit.hot.create_account(account.clone(), NOW).await.unwrap());

        let mut seen = Vec::new();
        let all = codes.iter().chain(&archived_markers).chain(&papers).chain([&over]);
        for code in all.chain(lines.iter().map(|line| &line.code)) {
            seen.push(kit.coupon(code).await);
        }
        kit.is_sound().await;
        CopiedWorld {
            campaign,
            codes,
            paused,
            ann,
            bob,
            closed,
            archived_markers,
            over,
            bearer,
            papers,
            word,
            import,
            batch,
            lines,
            account,
            seen,
        }
    }

    /// The store that it was copied to goes on where the other has ended.
    pub(crate) async fn goes_on(&self, kit: &Kit) {
        kit.is_sound().await;
        for coupon in &self.seen {
            assert_eq!(&kit.coupon(coupon.code()).await, coupon, "as it was");
        }
        self.old_answers(kit).await;
        self.cold_ones(kit, &self.archived_markers[3]).await;
        self.imports(kit).await;
        self.papers_and_words(kit).await;
        let here = kit.hot.account_of_login(&self.account.login_id).await.unwrap();
        assert_eq!(here.as_ref(), Some(&self.account));
        kit.is_sound().await;
    }

    /// What was asked before is answered as before.
    async fn old_answers(&self, kit: &Kit) {
        let (campaign, ann, bob) = (&self.campaign, &self.ann, &self.bob);
        let again = kit.issue(campaign, ann, reference("first")).await;
        assert_eq!(said(&again), ChangeOutcome::Replayed);
        let code = of(&again).code().clone();
        assert_eq!(
            kit.said(&code, redeem(ann, "991")).await,
            ChangeOutcome::Replayed,
            "an old order"
        );
        let other = kit.said(&code, redeem(ann, "other")).await;
        assert_eq!(other, ChangeOutcome::Refused(Refusal::AlreadyRedeemed));
        let held = kit.issue(campaign, ann, reference("second")).await;
        assert_eq!(said(&held), ChangeOutcome::Replayed);
        let held = of(&held).code().clone();
        let other = kit.said(&held, redeem(ann, "993")).await;
        assert!(matches!(other, ChangeOutcome::Refused(Refusal::Held { .. })), "{other:?}");
        kit.done(&held, release("992")).await;
        kit.done(&held, redeem(ann, "993")).await;
        let spent = kit.issue(campaign, bob, reference("first")).await;
        assert_eq!(said(&spent), ChangeOutcome::Refused(Refusal::NameTaken), "taken back");
        kit.issued(campaign, ann, "third").await;
        let limit = kit.issue(campaign, ann, reference("fourth")).await;
        assert_eq!(said(&limit), ChangeOutcome::Refused(Refusal::LimitPerUser));
        let moved = &self.codes[32];
        let later = kit.done(moved, extend_days(campaign, 12)).await;
        assert_eq!(later.expires_at(), campaign.expires_at.plus_days(12), "moved once more");
        let batch = kit.hot.batch(&campaign.id, &self.paused.id).await.unwrap().unwrap();
        assert!(batch.paused);
        let replay = NewCampaign {
            campaign: campaign.clone(),
            created_as: "a request".into(),
            first_batch: None,
        };
        let same = kit.hot.create_campaign(replay, &ACT).await.unwrap();
        assert!(matches!(same, hot::Named::Same(_)), "{same:?}");
        let fresh = kit.mint(campaign, 3).await;
        let codes: HashSet<Code> = self.codes.iter().cloned().collect();
        assert!(kit.codes(&fresh).iter().all(|code| !codes.contains(code)), "new serials");
    }

    async fn cold_ones(&self, kit: &Kit, next: &Code) {
        for code in self.archived_markers.iter().take(3) {
            is_spent_in_cold(kit, code).await;
        }
        // It is looked for on its home, which is open.
        is_spent_in_cold(kit, &self.over).await;
        // What is left of that campaign is closed as before.
        let user = kit.user("closed");
        kit.done(next, give(&user, None)).await;
        kit.done(next, redeem(&user, "7")).await;
        assert_eq!(kit.archive_closed(self.closed.expiry_day(), NOW).await, 1);
        assert_eq!(kit.see(next).await.unwrap().tier, Tier::Cold);
    }

    async fn imports(&self, kit: &Kit) {
        let again = kit.import(&self.import, &self.batch, self.lines.clone()).await;
        assert_eq!(again, vec![ImportOutcome::AlreadyThere; self.lines.len()]);
        let spent = ImportedState::Redeemed {
            holder: Some(self.ann.clone()),
            issued_at: None,
            at: NOW,
            order: None,
            worth: None,
        };
        let later = ImportLine { imported_state: spent, ..self.lines[0].clone() };
        let moved = kit.import(&self.import, &self.batch, vec![later]).await;
        assert_eq!(moved, [ImportOutcome::Imported], "a later file moves it on");
        let limit = kit.issue(&self.import, &self.ann, reference("more")).await;
        assert_eq!(
            said(&limit),
            ChangeOutcome::Refused(Refusal::LimitPerUser),
            "imported ones count"
        );
    }

    async fn papers_and_words(&self, kit: &Kit) {
        let (ann, bob) = (&self.ann, &self.bob);
        assert_eq!(kit.said(&self.papers[0], redeem(ann, "paper")).await, ChangeOutcome::Replayed);
        let limit = kit.said(&self.papers[2], redeem(ann, "another")).await;
        assert_eq!(limit, ChangeOutcome::Refused(Refusal::LimitPerUser));
        kit.done(&self.papers[1], redeem(bob, "paper")).await;
        assert_eq!(
            said(&behind_the_word(kit, &self.word, ann, "word").await),
            ChangeOutcome::Replayed
        );
        assert_eq!(
            said(&behind_the_word(kit, &self.word, bob, "word").await),
            ChangeOutcome::Accepted
        );
        assert!(kit.counts(&self.bearer).await.redeemed == 2);
    }

    /// Every coupon that is left is given once, and then there is none.
    pub(crate) async fn the_rest_is_given(&self, kit: &Kit) {
        for campaign in [&self.campaign, &self.import] {
            let before = kit.counts(campaign).await;
            let left = before.stock - before.issued - before.redeemed - before.void;
            let mut given = HashSet::new();
            // Of the batch that is paused nothing is given.
            let paused = if campaign.id == self.campaign.id { 7 } else { 0 };
            for _ in 0..left - paused {
                let code = kit.issued(campaign, &kit.user("rest"), "r").await;
                assert!(given.insert(code), "no code twice");
            }
            let none = said(&kit.issue(campaign, &kit.user("late"), reference("r")).await);
            let want = if paused > 0 { ChangeOutcome::Refused(Refusal::Paused) } else { SOLD_OUT };
            assert_eq!(none, want);
        }
        kit.is_sound().await;
    }

    /// While it is copied.
    pub(crate) async fn changes(&self, kit: &Kit) {
        for code in &self.codes[33..36] {
            kit.done(code, void()).await;
        }
        kit.done(&self.lines[18].code, extend_days(&self.import, 4)).await;
        kit.done(&self.codes[36], extend_days(&self.campaign, 2)).await;
        let user = kit.user("meanwhile");
        let held = kit.issued(&self.campaign, &user, "m").await;
        kit.done(&held, hold(&user, "m", 5)).await;
        kit.done(&held, release("m")).await;
    }

    /// After it was copied, and before the next pass.
    pub(crate) async fn changes_more(&self, kit: &Kit) {
        let (campaign, ann) = (&self.campaign, &self.ann);
        // A hold that is gone, a coupon that came back, one that moves from where it moved.
        let held = kit.issue(campaign, ann, reference("second")).await;
        let held = of(&held).code().clone();
        kit.done(&held, release("992")).await;
        kit.done(&held, revoke(ann)).await;
        // To a partition that is over when it is copied: nothing there says where it was before.
        kit.done(&self.codes[32], extend_days(campaign, 11)).await;
        kit.done(&self.lines[19].code, extend_days(&self.import, 6)).await;
        // One that a claim names moves: on a cluster the claim must name its later partition.
        kit.done(&self.codes[31], extend_days(campaign, 7)).await;
        let user = kit.user("later");
        kit.issued(campaign, &user, "l").await;
        kit.issued(&self.import, &user, "l").await;
        // To cold.
        let closed = kit.user("closed");
        kit.done(&self.archived_markers[3], give(&closed, None)).await;
        kit.done(&self.archived_markers[3], redeem(&closed, "7")).await;
        assert_eq!(kit.archive_closed(self.closed.expiry_day(), NOW).await, 1);
        let now = kit.time_to_seal(self.closed.expiry_day()).await;
        kit.archive_partition(self.closed.expiry_day(), now).await;
        // Terms, and what is forgotten.
        let patch = hot::CampaignPatch {
            name: Some("Another name".into()),
            metadata: Some(None),
            per_user_limit: Some(Some(5)),
            ..hot::CampaignPatch::default()
        };
        kit.hot.patch_campaign(&campaign.id, patch, &ACT).await.unwrap();
        kit.hot.pause_batch(&campaign.id, &self.paused.id, false, &ACT).await.unwrap();
        kit.mint(campaign, 4).await;
        assert!(kit.hot.remove_account(&self.account.user_id).await.unwrap());
        let batch = kit.open_import(&self.import).await;
        let line = kit.line(&self.import, &kit.code(), ImportedState::Available);
        assert_eq!(kit.import(&self.import, &batch, vec![line]).await, [ImportOutcome::Imported]);
    }
}

/// A minted coupon that was extended to a partition which is over by now, while its own is open:
/// the day has a campaign with long terms.
async fn a_partition_that_is_over(kit: &Kit) -> Code {
    let short = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    let long = Campaign { expires_at: short.expires_at, cancel_days: 366, ..kit.draft() };
    kit.stocked(&long, 1).await;
    let codes = kit.stocked(&short, 2).await;
    let ann = kit.user("ann");
    kit.done(&codes[0], give(&ann, None)).await;
    let later = kit.done(&codes[0], extend_days(&short, 7)).await;
    kit.done(&codes[0], redeem(&ann, "1")).await;
    let day = coupon::time::Day::expiry_day_of(later.expires_at());
    let now = kit.time_to_seal(day).await;
    assert!(now < kit.time_to_seal(short.expiry_day()).await, "its own partition is open longer");
    assert_eq!(kit.archive_partition(day, now).await, 1);
    codes[0].clone()
}

async fn is_spent_in_cold(kit: &Kit, code: &Code) {
    let snapshot = kit.see(code).await.unwrap();
    assert_eq!(snapshot.tier, Tier::Cold);
    let holder = snapshot.coupon.holder().unwrap();
    let again = kit.said(code, redeem(holder, "another")).await;
    assert_eq!(again, ChangeOutcome::Refused(Refusal::AlreadyRedeemed));
}

async fn behind_the_word(kit: &Kit, word: &Code, user: &UserId, order: &str) -> hot::Applied {
    let found = kit.found(word).await;
    let change = kit.change(redeem(user, order), Asker::Shop, NOW);
    kit.hot.apply(&found, change).await.unwrap()
}
