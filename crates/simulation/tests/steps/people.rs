//! Erasures of people: stopped at each of their steps and repeated by another process, and beside calls in the name of
//! the person that are stopped at each of theirs.

use std::collections::BTreeSet;

use coupon::apply::{Action, Asker, Change};
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::erasure::Erasure;
use coupon::ids::{Actor, UserId};
use hot::{Account, Applied, Coupons, HotError, HotStore, ListQuery, ListScope};
use hot_cql::CqlHot;
use router::Found;

use super::stage::{StepSweep, TestStage, patiently};
use hot_conformance::kit::{
    ACT, ChangeOutcome, NOW, all_of, give, hold, order_of, redeem, reference, revoke, said, void,
};

type GivingAction = fn(&UserId) -> Action;

/// How far another process erases the person meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ErasureReach {
    Found,
    Settled,
    Admitted,
}

const WAYS: [ErasureReach; 3] =
    [ErasureReach::Found, ErasureReach::Settled, ErasureReach::Admitted];

const LIMIT: u16 = 2;

struct PersonScene {
    campaign: Campaign,
    codes: Vec<Code>,
    ann: UserId,
    login: UserId,
    erasure: Erasure,
    /// What the person had before.
    before: Vec<Coupon>,
    change: Change,
    found: Found,
}

async fn erases(hot: &dyn HotStore, erasure: &Erasure, way: ErasureReach) -> Result<(), HotError> {
    hot.people().erase(erasure).await?;
    if way >= ErasureReach::Settled {
        hot.people().settle(std::slice::from_ref(erasure)).await?;
    }
    if way >= ErasureReach::Admitted {
        hot.people().admit(erasure, &ACT).await?;
    }
    Ok(())
}

async fn erased(stage: &TestStage, erasure: &Erasure, way: ErasureReach) {
    patiently(async || erases(&*stage.kit.hot, erasure, way).await).await;
}

impl PersonScene {
    async fn of(
        stage: &TestStage,
        campaign: Campaign,
        action: impl Fn(&UserId) -> Action,
    ) -> PersonScene {
        let codes = stage.kit.stocked(&campaign, 4).await;
        let (ann, login) = (stage.kit.user("ann"), stage.kit.user("login"));
        let change = stage.kit.change(action(&ann), Asker::Shop, NOW);
        let found = match &campaign.shared_code {
            Some(word) => stage.kit.found(word).await,
            None => stage.kit.found(&codes[0]).await,
        };
        let erasure = stage.kit.erasure(&ann);
        let before = Vec::new();
        PersonScene { campaign, codes, ann, login, erasure, before, change, found }
    }

    fn account(&self, password_hash: &str) -> Account {
        let (login_id, user_id) = (self.login.clone(), self.ann.clone());
        Account { login_id, user_id, password_hash: password_hash.to_owned() }
    }

    async fn held(&self, stage: &TestStage, user: &UserId) -> BTreeSet<Code> {
        let query = ListQuery { limit: 100, ..all_of(ListScope::Holder(user.clone())) };
        let page = patiently(async || stage.kit.hot.list(query.clone()).await).await;
        page.coupons.iter().map(|it| it.coupon.code().clone()).collect()
    }

    /// A shop takes a coupon from the erased person, and gives it to the next one.
    async fn gives_again(&self, stage: &TestStage, code: &Code) {
        let found = stage.kit.found(code).await;
        for action in [revoke(&self.erasure.name), give(&self.ann, None)] {
            let call = async || {
                let change = stage.kit.change(action.clone(), Asker::Shop, NOW);
                stage.kit.hot.apply(&found, change).await
            };
            assert_eq!(said(&patiently(call).await), ChangeOutcome::Accepted, "{action:?}");
        }
    }

    /// The list of the person has the coupons that say so.
    async fn list_is_right(&self, stage: &TestStage) {
        let mut say_so = BTreeSet::new();
        for code in &self.codes {
            if stage.kit.coupon(code).await.holder() == Some(&self.ann) {
                say_so.insert(code.clone());
            }
        }
        assert_eq!(self.held(stage, &self.ann).await, say_so);
    }

    /// Nothing names the person, and each coupon is what it was but for the name.
    async fn is_forgotten(&self, stage: &TestStage) {
        for before in &self.before {
            let (now, want) =
                (stage.kit.coupon(before.code()).await, self.erasure.of_coupon(before));
            let want = want.expect("it named the person");
            assert_eq!((now.events(), now.state()), (want.events(), want.state()));
            assert_eq!(now.hold(), want.hold());
        }
        let codes = self.before.iter().filter(|it| it.holder() == Some(&self.ann));
        let codes: BTreeSet<Code> = codes.map(|it| it.code().clone()).collect();
        assert!(self.held(stage, &self.erasure.name).await.is_superset(&codes));
    }

    /// Whoever has the name now is erased, too: then nothing has it.
    async fn nothing_is_left(&self, stage: &TestStage) {
        let kit = &stage.kit;
        let last = kit.erasure(&self.ann);
        erased(stage, &last, ErasureReach::Admitted).await;
        assert_eq!(self.held(stage, &self.ann).await, BTreeSet::new());
        assert!(!kit.hot.has_account(&self.ann).await.unwrap());
        let mut after = None;
        loop {
            let page = kit.hot.people().users(after).await.unwrap();
            assert!(!page.users.contains(&self.ann), "somebody has the name");
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for code in &self.codes {
            let coupon = kit.coupon(code).await;
            assert!(last.of_coupon(&coupon).is_none(), "{coupon:?}");
        }
    }
}

/// What the next person of the name gets meanwhile stays theirs, however slow the first process is.
pub(crate) async fn erased_step_by_step(stage: &TestStage) {
    let scene = async || {
        let campaign = Campaign { per_user_limit: Some(LIMIT), ..stage.draft() };
        let mut scene = PersonScene::of(stage, campaign, |ann| give(ann, reference("a"))).await;
        let kit = &stage.kit;
        let mut had = vec![kit.issued(&scene.campaign, &scene.ann, "a").await];
        had.push(kit.issued(&scene.campaign, &scene.ann, "b").await);
        kit.done(&had[0], redeem(&scene.ann, &order_of(&scene.ann))).await;
        kit.done(&had[1], void()).await;
        assert!(kit.hot.create_account(scene.account("first"), NOW).await.unwrap());
        for code in had {
            scene.before.push(kit.coupon(&code).await);
        }
        scene
    };
    let act = async |hot: &CqlHot, scene: &PersonScene| {
        erases(hot, &scene.erasure, ErasureReach::Admitted).await
    };
    let pick_up = async |scene: &PersonScene, _: ErasureReach| {
        erased(stage, &scene.erasure, ErasureReach::Admitted).await;
        scene.is_forgotten(stage).await;
        let (new, hot) = (reference("a"), &stage.kit.hot);
        let given = patiently(async || {
            let change = stage.kit.change(give(&scene.ann, new.clone()), Asker::Shop, NOW);
            hot.issue(&scene.campaign.id, change).await
        });
        assert!(given.await.refusal().is_none());
        let next = async || hot.create_account(scene.account("next"), NOW).await;
        assert!(patiently(next).await);
    };
    let judge = async |scene: &PersonScene, _: ErasureReach, _: Option<Result<(), HotError>>| {
        scene.is_forgotten(stage).await;
        assert_eq!(scene.held(stage, &scene.ann).await.len(), 1, "the next person has a coupon");
        assert!(stage.kit.hot.has_account(&scene.ann).await.unwrap(), "and an account");
        scene.nothing_is_left(stage).await;
    };
    let sweep = StepSweep::of("people: an erasure", &[ErasureReach::Admitted]);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}

/// The same for a person who has nothing but an account: fewer steps come before those of it.
pub(crate) async fn account_erased_step_by_step(stage: &TestStage) {
    let hot = &stage.kit.hot;
    let scene = async || {
        let scene = PersonScene::of(stage, stage.draft(), |ann| give(ann, None)).await;
        assert!(hot.create_account(scene.account("first"), NOW).await.unwrap());
        scene
    };
    let act = async |hot: &CqlHot, scene: &PersonScene| {
        erases(hot, &scene.erasure, ErasureReach::Admitted).await
    };
    let pick_up = async |scene: &PersonScene, _: ErasureReach| {
        erased(stage, &scene.erasure, ErasureReach::Admitted).await;
        let next = async || hot.create_account(scene.account("next"), NOW).await;
        assert!(patiently(next).await);
    };
    let judge = async |scene: &PersonScene, _: ErasureReach, _: Option<Result<(), HotError>>| {
        assert!(hot.has_account(&scene.ann).await.unwrap(), "the next person has an account");
        scene.nothing_is_left(stage).await;
    };
    let sweep = StepSweep::of("people: an account", &[ErasureReach::Admitted]);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}

/// The same for a coupon to which no claim leads, only its index row: the next person is given it meanwhile.
pub(crate) async fn unclaimed_coupon_erased_step_by_step(stage: &TestStage) {
    let scene = async || {
        let (handout, per_user_limit) = (Handout::Bearer, None);
        let campaign = Campaign { handout, per_user_limit, ..stage.draft() };
        let scene = PersonScene::of(stage, campaign, |ann| give(ann, None)).await;
        stage.kit.done(&scene.codes[0], give(&scene.ann, None)).await;
        scene
    };
    let act = async |hot: &CqlHot, scene: &PersonScene| {
        erases(hot, &scene.erasure, ErasureReach::Admitted).await
    };
    let pick_up = async |scene: &PersonScene, _: ErasureReach| {
        erased(stage, &scene.erasure, ErasureReach::Admitted).await;
        scene.gives_again(stage, &scene.codes[0]).await;
    };
    let judge = async |scene: &PersonScene, _: ErasureReach, _: Option<Result<(), HotError>>| {
        assert_eq!(scene.held(stage, &scene.ann).await.len(), 1, "the next person has it");
        scene.nothing_is_left(stage).await;
    };
    let sweep = StepSweep::of("people: an unclaimed coupon", &[ErasureReach::Admitted]);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}

async fn call_beside(
    stage: &TestStage,
    name: &str,
    draft: Campaign,
    action: fn(&UserId) -> Action,
) {
    let scene = async || {
        let shared_code = draft.shared_code.as_ref().map(|_| stage.kit.code());
        let (handout, per_user_limit) = (draft.handout, draft.per_user_limit);
        let campaign = Campaign { handout, per_user_limit, shared_code, ..stage.draft() };
        PersonScene::of(stage, campaign, action).await
    };
    let act = async |hot: &CqlHot, scene: &PersonScene| -> Result<Applied, HotError> {
        let change = scene.change.clone();
        match &scene.change.action {
            Action::Issue { reference: Some(_), .. } => hot.issue(&scene.campaign.id, change).await,
            _ => hot.apply(&scene.found, change).await,
        }
    };
    let pick_up = async |scene: &PersonScene, way: ErasureReach| {
        erased(stage, &scene.erasure, way).await;
        if way < ErasureReach::Admitted {
            assert_eq!(scene.held(stage, &scene.ann).await, BTreeSet::new());
        }
    };
    let judge =
        async |scene: &PersonScene, _: ErasureReach, answer: Option<Result<Applied, HotError>>| {
            if let Some(Ok(applied)) = &answer
                && let Some(snapshot) = &applied.snapshot
            {
                let shown = &snapshot.coupon;
                let now = stage.kit.coupon(shown.code()).await;
                assert_eq!(now.events().len(), shown.events().len(), "{shown:?}, is {now:?}");
            }
            scene.list_is_right(stage).await;
            erased(stage, &scene.erasure, ErasureReach::Admitted).await;
            scene.nothing_is_left(stage).await;
        };
    stage.sweep(StepSweep::of(name, &WAYS), scene, act, pick_up, judge).await;
}

pub(crate) async fn calls_beside_an_erasure(stage: &TestStage) {
    let shop = |limit| Campaign { per_user_limit: limit, ..stage.draft() };
    let bearer = |limit| Campaign { handout: Handout::Bearer, ..shop(limit) };
    let word = Some(stage.kit.code());
    let shared = Campaign { handout: Handout::Shared, shared_code: word, ..shop(Some(1)) };
    let calls: [(&str, Campaign, GivingAction); 7] = [
        ("people: an issue", shop(Some(LIMIT)), |ann| give(ann, reference("a"))),
        ("people: an issue by code", shop(Some(1)), |ann| give(ann, None)),
        ("people: a bearer's", bearer(Some(1)), |ann| redeem(ann, &order_of(ann))),
        ("people: a bearer's without a limit", bearer(None), |ann| redeem(ann, &order_of(ann))),
        ("people: into a wallet", bearer(None), |ann| give(ann, None)),
        ("people: a hold", bearer(None), |ann| hold(ann, &order_of(ann), 20)),
        ("people: through a shared code", shared, |ann| redeem(ann, &order_of(ann))),
    ];
    for (name, draft, action) in calls {
        call_beside(stage, name, draft, action).await;
    }
}

/// The next person of the name is given a coupon, and erased as well.
pub(crate) async fn late_issue_beside_the_next_erasure(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let campaign = Campaign { per_user_limit: Some(LIMIT), ..stage.draft() };
        let scene = PersonScene::of(stage, campaign, |ann| give(ann, reference("a"))).await;
        let second = kit.erasure(&scene.ann);
        (scene, second)
    };
    let act = async |hot: &CqlHot, (scene, _): &(PersonScene, Erasure)| {
        hot.issue(&scene.campaign.id, scene.change.clone()).await
    };
    let pick_up = async |(scene, second): &(PersonScene, Erasure), _: ErasureReach| {
        erased(stage, &scene.erasure, ErasureReach::Admitted).await;
        kit.issued(&scene.campaign, &scene.ann, "b").await;
        erased(stage, second, ErasureReach::Found).await;
    };
    let judge = async |(scene, second): &(PersonScene, Erasure),
                       _: ErasureReach,
                       _: Option<Result<Applied, HotError>>| {
        erased(stage, second, ErasureReach::Admitted).await;
        let repeat = kit.change(give(&second.name, reference("b")), Asker::Shop, NOW);
        let repeat = patiently(async || kit.hot.issue(&scene.campaign.id, repeat.clone()).await);
        assert_eq!(said(&repeat.await), ChangeOutcome::Replayed, "the claim has lost an entry");
        scene.nothing_is_left(stage).await;
    };
    let sweep = StepSweep::of("people: an issue, and two erasures", &[ErasureReach::Admitted]);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}

/// They redeem it themselves, and are erased before the process reads what became of its write.
pub(crate) async fn lost_answer_beside_an_erasure(stage: &TestStage) {
    let (kit, first) = (&stage.kit, stage.process().await);
    let (campaign, ann) = (stage.draft(), kit.user("ann"));
    kit.stocked(&campaign, 1).await;
    let code = kit.issued(&campaign, &ann, "a").await;
    let found = kit.found(&code).await;
    let mut change = kit.change(redeem(&ann, "1"), Asker::User(ann.clone()), NOW);
    change.actor = Actor::new(&format!("user:{ann}"));
    first.hand.lose_answer("UPDATE coupon SET version");
    let mut acting = Box::pin(first.hot.apply(&found, change));
    let step = tokio::select! {
        biased;
        answer = &mut acting => panic!("it has its answer: {answer:?}"),
        step = first.hand.is_stopped() => step,
    };
    stage.stopped_at("people: a lost answer", step);
    erased(stage, &kit.erasure(&ann), ErasureReach::Found).await;
    first.hand.let_go();
    let applied = acting.await.unwrap();
    assert_eq!(said(&applied), ChangeOutcome::Accepted, "{applied:?}");
}
