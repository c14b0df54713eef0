//! Imports: lines about archived coupons.

use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::coupon::State;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::{ImportLine, ImportOutcome};

use super::{CLOSED, is_cold};
use crate::kit::{Kit, NOW, redeem};

const THERE: ImportOutcome = ImportOutcome::AlreadyThere;

const TAKEN: ImportOutcome = ImportOutcome::CodeTaken;

/// A file that is imported again after its coupons were archived, and the old system's last file.
pub(crate) async fn imported_again(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.create(&campaign).await;
    let other = Campaign { expires_at: campaign.expires_at, ..kit.draft() };
    kit.create(&other).await;
    let (batch, elsewhere) = (kit.open_import(&campaign).await, kit.open_import(&other).await);
    let ann = kit.user("ann");
    let issued = ImportedState::Issued { holder: ann.clone(), at: None };
    let spent = |order: &str| ImportedState::Redeemed {
        holder: Some(ann.clone()),
        issued_at: None,
        at: NOW,
        order: Some(crate::kit::order(order)),
        worth: None,
    };
    let refused = ImportOutcome::Refused;
    let codes: [Code; 4] = std::array::from_fn(|_| kit.code());
    let lines = |imported_states: [ImportedState; 4]| -> Vec<ImportLine> {
        let both = codes.iter().zip(imported_states);
        both.map(|(code, imported_state)| kit.line(&campaign, code, imported_state)).collect()
    };
    let first =
        || lines([issued.clone(), issued.clone(), ImportedState::VOID, ImportedState::Available]);
    let last = || lines([spent("there"), spent("here"), spent("there"), spent("there")]);
    kit.import_only(&campaign, &batch, first()).await;
    for code in &codes[..2] {
        kit.done(code, redeem(&ann, "here")).await;
    }
    // Lines that contradict the coupons, before these are archived: they change nothing.
    let contradicts = [refused(Refusal::AlreadyRedeemed), refused(Refusal::Voided)];
    let two = || vec![last()[0].clone(), last()[2].clone()];
    assert_eq!(kit.import_only(&campaign, &batch, two()).await, contradicts);
    let counts = kit.counts(&campaign).await;
    let day = campaign.expiry_day();
    assert_eq!(kit.archive_closed(day, CLOSED).await, 3);
    for sealed in [false, true] {
        if sealed {
            kit.archive_partition(day, kit.time_to_seal(day).await).await;
        }
        kit.archive.asked();
        assert_eq!(kit.import_only(&campaign, &batch, first()).await, [THERE; 4], "the same file");
        assert_eq!(
            kit.import_only(&other, &elsewhere, first()).await,
            [TAKEN; 4],
            "another campaign"
        );
        // A store that writes entries before rows asks cold, in one read, whether the rows were
        // written.
        let asked = kit.archive.asked();
        assert!(asked == (0, 0) || sealed && asked == (1, 4), "at most one read: {asked:?}");
        assert_eq!(
            kit.import_only(&campaign, &batch, two()).await,
            contradicts,
            "as before it was archived"
        );
        assert_eq!(kit.archive.asked(), (1, 2), "both in one read");
    }
    let [first, second] = contradicts;
    let last_file = [first, THERE, second, refused(Refusal::ExpiryDayClosed)];
    assert_eq!(kit.import_only(&campaign, &batch, last()).await, last_file);
    assert_eq!(kit.archive.asked(), (1, 4));
    assert_eq!(kit.import_only(&campaign, &batch, last()).await, last_file, "again");
    assert_eq!(kit.archive.asked(), (1, 3), "a line that changes nothing is remembered");
    assert_eq!(kit.dry_run_import(&campaign, last()).await, last_file, "a dry run");
    assert_eq!(kit.dry_run_import(&other, last()).await, [TAKEN; 4], "of another campaign");
    assert_eq!(kit.counts(&campaign).await, counts);
    assert_eq!(kit.counts(&other).await, CampaignCounts::default());
    let coupon = kit.coupon(&codes[3]).await;
    assert_eq!((coupon.state(), coupon.version()), (&State::Available, 1));
}

/// The archived coupons of a group of lines are fetched together and delay no other line.
pub(crate) async fn imported_beside_other_lines(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), cancel_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let ann = kit.user("ann");
    let issued = ImportedState::Issued { holder: ann.clone(), at: None };
    let spent = ImportedState::Redeemed {
        holder: None,
        issued_at: None,
        at: NOW,
        order: None,
        worth: None,
    };
    let later = campaign.expires_at.plus_days(1);
    let mut before: Vec<ImportLine> =
        (0..5).map(|_| kit.line(&campaign, &kit.code(), issued.clone())).collect();
    before[1].expires_at = later;
    before[4].expires_at = later;
    kit.import_only(&campaign, &batch, before.clone()).await;
    for line in &before[..4] {
        kit.done(&line.code, redeem(&ann, "1")).await;
    }
    assert_eq!(kit.archive_closed(campaign.expiry_day(), NOW).await, 3);
    assert_eq!(kit.archive_closed(Day::expiry_day_of(later), NOW).await, 1);
    let again = |at: usize| ImportLine { imported_state: spent.clone(), ..before[at].clone() };
    let fresh = || kit.line(&campaign, &kit.code(), spent.clone());
    let group =
        vec![fresh(), again(0), again(1), fresh(), again(4), again(2), again(3), again(2), fresh()];
    kit.archive.asked();
    let outcomes = kit.import_only(&campaign, &batch, group.clone()).await;
    let (made, no) = (ImportOutcome::Imported, ImportOutcome::Refused(Refusal::AlreadyRedeemed));
    assert_eq!(outcomes, [made, no, no, made, made, no, no, no, made]);
    assert_eq!(kit.archive.asked().0, 2, "one read for each partition");
    for at in [0, 3, 4, 8] {
        assert!(kit.coupon(&group[at].code).await.redemption().is_some());
    }
    // Cold does not answer: the lines that do not need it are imported.
    let group = vec![fresh(), again(0), fresh()];
    kit.archive.goes_out();
    let asked = kit.hot.import(&campaign.id, &batch, group.clone(), kit.import_run()).await;
    assert!(is_cold(&asked), "{asked:?}");
    kit.archive.comes_back();
    let outcomes = kit.import_only(&campaign, &batch, group.clone()).await;
    assert_eq!(outcomes[1], no);
    for at in [0, 2] {
        assert!([THERE, made].contains(&outcomes[at]), "{outcomes:?}");
        assert_eq!(kit.coupon(&group[at].code).await.version(), 1, "once");
    }
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 10, redeemed: 10, ..CampaignCounts::default() }
    );
}
