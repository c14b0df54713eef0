//! The residue of a sealed partition, and its deletion.

use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::imported::ImportedState;
use hot::{Emptying, HotError, Residue, Tier};

use crate::kit::{Kit, NOW, cancel, extend, give, of, redeem, reference, revoke, void};

pub(crate) async fn residue_in_pages(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, per_user_limit: Some(99), ..kit.draft() };
    let minted = kit.stocked(&campaign, 9).await;
    let mut codes = kit.imported(&campaign, 5).await;
    let (day, ann) = (campaign.expiry_day(), kit.user("ann"));
    for code in &minted[..7] {
        kit.done(code, give(&ann, None)).await;
    }
    // Rows and archived markers of each kind, mixed.
    let closed = [&minted[0], &minted[3], &minted[5], &codes[1], &codes[4]].map(Code::clone);
    for code in &closed {
        match kit.coupon(code).await.holder() {
            Some(_) => kit.done(code, redeem(&ann, "1")).await,
            None => kit.done(code, void()).await,
        };
    }
    assert_eq!(kit.archive_closed(day, NOW).await, closed.len() as u64);
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    codes.extend(minted[..7].iter().cloned());
    codes.sort();
    let mut want = Vec::new();
    for code in &codes {
        let coupon = kit.coupon(code).await;
        want.push(match closed.contains(code) {
            true => Residue::ArchivedMarker { code: code.clone(), version: coupon.version() },
            false => Residue::Coupon(Box::new(coupon)),
        });
    }
    assert_eq!(kit.hot.count(day).await.unwrap(), want.len() as u64);
    for page in 1..=codes.len() + 1 {
        let mut residue: Vec<Residue> = Vec::new();
        loop {
            let after = residue.last().map(|it| it.code().clone());
            let some = kit.hot.residue(day, after, page).await.unwrap();
            if some.is_empty() {
                break;
            }
            assert!(some.len() <= page);
            residue.extend(some);
        }
        assert_eq!(residue, want, "pages of {page}");
    }
}

/// Emptying deletes all coupons of the partition and none of another, whatever their expiry.
pub(crate) async fn emptying_leaves_other_partitions(kit: &Kit) {
    let ann = kit.user("ann");
    let here = Campaign { cancel_days: 0, per_user_limit: Some(99), ..kit.draft() };
    let minted = kit.stocked(&here, 4).await;
    let imported = kit.imported(&here, 2).await;
    let day = here.expiry_day();
    for code in [&minted[0], &minted[1], &minted[2], &imported[1]] {
        kit.done(code, give(&ann, None)).await;
    }
    kit.done(&minted[1], redeem(&ann, "1")).await;
    kit.done(&minted[2], void()).await;
    kit.done(&imported[1], redeem(&ann, "1")).await;
    // In this partition, and expired long before its day.
    let short = Campaign { valid_days: Some(1), expires_at: here.expires_at, ..kit.draft() };
    kit.stocked(&short, 2).await;
    let early = kit.issued(&short, &ann, "a").await;
    let early_import = kit.imported(&short, 1).await.remove(0);
    kit.done(&early_import, give(&kit.user("bob"), None)).await;
    // Moved here, and expired long before the day of this partition and of its batch.
    let short_before = Campaign { valid_days: Some(1), expires_at: day.start(), ..kit.draft() };
    kit.create(&short_before).await;
    let moved_here = kit.imported(&short_before, 1).await.remove(0);
    kit.done(&moved_here, extend(day.end())).await;
    kit.done(&moved_here, give(&ann, None)).await;
    // In other partitions, with an expiry at the first and the last instant of this day.
    let later = Campaign { expires_at: here.expires_at.plus_days(2), ..kit.draft() };
    let later = Campaign { valid_days: Some(1), per_user_limit: Some(9), ..later };
    kit.stocked(&later, 4).await;
    let mut others = Vec::new();
    for (name, at) in [("b", day.start().plus_ms(-1)), ("c", day.start()), ("d", NOW)] {
        let issued = kit.issue_at(at, &later.id, &ann, reference(name)).await;
        others.push(of(&issued).code().clone());
    }
    assert_eq!(kit.coupon(&others[0]).await.expires_at(), day.end());
    let before_it = Campaign { expires_at: day.start(), ..kit.draft() };
    kit.create(&before_it).await;
    others.extend(kit.imported(&before_it, 1).await);
    let moved = kit.imported(&before_it, 1).await.remove(0);
    kit.done(&moved, extend(day.end().plus_ms(1))).await;
    others.push(moved);
    let mut before = Vec::new();
    for code in &others {
        before.push(kit.see(code).await.unwrap());
    }
    let campaigns = [&here, &short, &later, &before_it];
    let all_counts = async || {
        let mut all_counts = Vec::new();
        for campaign in campaigns {
            all_counts.push(kit.counts(campaign).await);
        }
        all_counts
    };
    let counted = all_counts().await;
    kit.is_sound().await;

    assert_eq!(kit.archive_closed(day, NOW).await, 3);
    assert_eq!(all_counts().await, counted);
    let late = kit.time_to_seal(day).await;
    let damaged = kit.hot.remove_residue(day, Emptying::default()).await;
    assert!(matches!(damaged, Err(HotError::Damaged(_))), "it is not sealed: {damaged:?}");
    // Two rows, three archived markers, and the three coupons that expired before.
    assert_eq!(kit.archive_partition(day, late).await, 8);
    assert_eq!(kit.hot.count(day).await.unwrap(), 0);
    assert_eq!(all_counts().await, counted);
    for (code, before) in others.iter().zip(before) {
        assert_eq!(kit.see(code).await, Some(before), "{code} is in another partition");
    }
    for code in [&early, &early_import, &moved_here] {
        assert_eq!(kit.see(code).await.unwrap().tier, Tier::Cold, "{code}");
    }
    kit.is_sound().await;
    let mut again = Emptying::default();
    while let Some(further) = kit.hot.remove_residue(day, again.clone()).await.unwrap() {
        again = further;
    }
    assert_eq!(again.removed, 0, "nothing is left");
    kit.done(&others[0], redeem(&ann, "9")).await;
    kit.done(&others[0], cancel("9")).await;
    kit.done(&others[0], revoke(&ann)).await;
}

/// More rows than one transaction deletes, and a second process that starts in the middle.
pub(crate) async fn emptied_in_several_transactions(kit: &Kit) {
    const ROWS: usize = 1_000;
    const ARCHIVED_MARKERS: usize = 2_100;
    let campaign = Campaign { cancel_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let (batch, day) = (kit.open_import(&campaign).await, campaign.expiry_day());
    let lines = (0..ROWS + ARCHIVED_MARKERS).map(|n| {
        let imported_state = if n < ROWS { ImportedState::Available } else { ImportedState::VOID };
        kit.line(&campaign, &kit.code(), imported_state)
    });
    kit.import(&campaign, &batch, lines.collect()).await;
    let closed = kit.hot.closed_codes(day, NOW, ARCHIVED_MARKERS).await.unwrap();
    let copied = closed.into_iter().map(|code| (code, 1)).collect();
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), ARCHIVED_MARKERS as u64);
    let counts = CampaignCounts {
        stock: (ROWS + ARCHIVED_MARKERS) as u64,
        void: ARCHIVED_MARKERS as u64,
        ..CampaignCounts::default()
    };
    assert_eq!(kit.counts(&campaign).await, counts);
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    let all = kit.hot.count(day).await.unwrap();
    assert_eq!(all, (ROWS + ARCHIVED_MARKERS) as u64);
    let first = kit.hot.remove_residue(day, Emptying::default()).await.unwrap().unwrap();
    assert!((1..all / 2).contains(&first.removed), "one call deletes a bounded number: {first:?}");
    let mut emptying = Emptying::default();
    let mut most = 0;
    while let Some(further) = kit.hot.remove_residue(day, emptying.clone()).await.unwrap() {
        most = most.max(further.removed - emptying.removed);
        emptying = further;
    }
    assert_eq!(first.removed + emptying.removed, all, "each once");
    assert!(most < all, "not all in one call: {most}");
    assert_eq!(kit.hot.residue(day, None, 9).await.unwrap(), []);
    assert_eq!(kit.counts(&campaign).await, counts);
}
