use std::sync::Arc;

use coupon::time::DAY_MS;
use futures::TryStreamExt;

use super::*;
use crate::testing::{CAMPAIGN, Counts, World, admin, random, request, stream, text};
use crate::{Clock, StaffRole};

const KEY: [u8; 16] = *b"the tests' key..";

/// What a dry run says of a file: counts as an import has them, and each rejected line with its reason.
async fn told(world: &World, caller: &Caller, file: &str) -> (Counts, Vec<(u64, String)>) {
    let found = world.dry_run(caller, file).await.unwrap();
    let CheckedLines { new, known, rejected, unchecked, .. } = found.counts;
    assert_eq!(unchecked, 0);
    let reasons = found.rejected.into_iter().map(|line| (line.line, line.reason)).collect();
    ([new, known, rejected], reasons)
}

/// Asserts that a dry run says what the import then says.
async fn agree(world: &World, caller: &Caller, file: &str) -> (Counts, Vec<(u64, String)>) {
    let told = told(world, caller, file).await;
    let (counts, rejected) = world.import(caller, file).await;
    let reasons = rejected.into_iter().map(|line| (line.line, line.reason)).collect();
    assert_eq!(told, (counts, reasons), "{file}");
    told
}

#[tokio::test]
async fn a_dry_run_says_what_the_import_says() {
    let world = World::new("UTC", KEY).await;
    let first = "code,state,user_id,redeemed_at\nKIM01,issued,kim,\nFREE1,,,\nFREE2,,,\nUSED1,redeemed,kim,2026-01-02\n";
    assert_eq!(agree(&world, &admin(), first).await.0, [4, 0, 0]);
    world
        .engine
        .redeem(
            &admin(),
            &text("FREE2"),
            "lee".parse().ok(),
            "1".parse().unwrap(),
            Default::default(),
        )
        .await
        .unwrap();
    let old = world.clock.now().day().start().plus_ms(-400 * DAY_MS);
    let old = coupon::calendar::format_instant(old);
    type Rejected = &'static [(u64, &'static str)];
    let cases: [(&str, &str, Counts, Rejected); 11] = [
        ("the same file again", first, [0, 4, 0], &[]),
        (
            "another holder, and other dates",
            "code,expires_at,state,user_id\nKIM01,,issued,lee\nFREE1,2030-01-31,,\n",
            [0, 0, 2],
            &[(2, "ALREADY_ISSUED"), (3, "CODE_TAKEN")],
        ),
        (
            "one code with two dates",
            "code,expires_at\nDATE1,2030-01-31\nDATE1,2030-02-28\n",
            [1, 0, 1],
            &[(3, "CODE_TAKEN")],
        ),
        (
            "one code moves forward in one file",
            "code,state,user_id,redeemed_at\nMOVE1,,,\nMOVE1,issued,kim,\nMOVE1,issued,kim,\nMOVE1,redeemed,kim,2026-01-02\n",
            [3, 1, 0],
            &[],
        ),
        (
            "one code has two holders in one file",
            "code,state,user_id\nTWOS1,issued,kim\nTWOS1,issued,lee\n",
            [1, 0, 1],
            &[(3, "ALREADY_ISSUED")],
        ),
        (
            "a known code has two holders in one file",
            "code,state,user_id\nFREE1,issued,kim\nFREE1,issued,lee\n",
            [1, 0, 1],
            &[(3, "ALREADY_ISSUED")],
        ),
        (
            "redeemed here since",
            "code,state,user_id\nFREE2,issued,kim\nFREE2,void,\n",
            [0, 0, 2],
            &[(2, "ALREADY_REDEEMED"), (3, "ALREADY_REDEEMED")],
        ),
        ("void after redeemed", "code,state\nUSED1,void\n", [0, 0, 1], &[(2, "ALREADY_REDEEMED")]),
        (
            "codes of a system that tells upper and lower case apart",
            "code\naBcD1234\nABcd1234\nVIP-1-238\nVIP-12-38\nVIP-1-238\n",
            [2, 1, 2],
            &[(3, "REPEATED_CODE"), (5, "REPEATED_CODE")],
        ),
        (
            "no end, and an end that is none",
            "code,expires_at\nLAST1,9999-12-31\nZERO1,1970-01-01T00:00:00Z\n",
            [1, 0, 1],
            &[(3, "BAD_DATE")],
        ),
        ("after all that", first, [0, 4, 0], &[]),
    ];
    for (name, file, counts, rejected) in cases {
        let rejected = rejected.iter().map(|(line, reason)| (*line, (*reason).to_owned()));
        let found = agree(&world, &admin(), file).await;
        assert_eq!(found, (counts, rejected.collect()), "{name}");
    }
    let closed = format!("code,expires_at\nCLOSED1,{old}\n");
    assert_eq!(agree(&world, &admin(), &closed).await.0, [1, 0, 0], "a day that was never closed");
}

/// Files of lines that meet each other and those of earlier files, by chance.
#[tokio::test]
async fn any_dry_run_says_what_the_import_says() {
    let world = World::new("Asia/Seoul", KEY).await;
    let mut below = random(20_261_126);
    for round in 0..40 {
        let mut file = "code,state,user_id,redeemed_at,order_ref,expires_at\n".to_owned();
        for _ in 0..30 {
            let code = ["CODE", "Code-", "co-de"][[0, 0, 0, 0, 0, 1, 2][below(7)]];
            let user = ["kim", "lee", ""][below(3)];
            let said = match below(5) {
                0 | 1 => ",,,".to_owned(),
                2 => format!("issued,{user},,"),
                3 => format!("redeemed,{user},2026-01-02,{}", ["a", "b", ""][below(3)]),
                _ => format!("void,{user},,"),
            };
            let last_day = ["", "", "", "2031-01-31"][below(4)];
            file.push_str(&format!("{code}{},{said},{last_day}\n", below(60 + round)));
        }
        agree(&world, &admin(), &file).await;
    }
}

#[tokio::test]
async fn repeated_lines_are_counted() {
    let world = World::new("UTC", KEY).await;
    let found = world.dry_run(&admin(), "code\nONCE1\nTWICE1\nTWICE1\ntwice-1\n").await.unwrap();
    let CheckedLines { new, known, rejected, repeated, .. } = found.counts;
    assert_eq!([new, known, rejected, repeated], [2, 1, 1, 2]);
    assert!(found.rejected[0].detail.starts_with("line 3 "), "{:?}", found.rejected);
}

#[tokio::test]
async fn the_name_of_a_minted_batch_is_taken() {
    let world = World::new("UTC", KEY).await;
    let request = crate::BatchRequest { id: "old".parse().ok(), count: 1 };
    let campaign = CAMPAIGN.parse().unwrap();
    world.engine.mint_batch(&admin(), &campaign, request).await.unwrap();
    let refused = world.dry_run(&admin(), "code\nONCE1\n").await;
    assert!(matches!(refused, Err(Failure::Refused { refusal: Refusal::NameTaken, .. })));
}

/// A role of the console may import what it may do by itself.
#[tokio::test]
async fn a_line_needs_the_right_of_what_it_says() {
    let world = World::new("UTC", KEY).await;
    let lines = "code,state,user_id,redeemed_at\nFREE1,,,\nHELD1,issued,kim,\nUSED1,redeemed,kim,2026-01-02\nVOID1,void,,\n";
    for role in StaffRole::ALL {
        let name: coupon::ids::UserId = role.as_str().parse().unwrap();
        let person =
            crate::IdentifiedStaff { identity: name.to_string(), name: name.clone(), role };
        world.engine.admit_staff(&person).await.unwrap();
        let caller = Caller::staff(Role::Admin, name);
        let lines = lines.replace("1,", &format!("{role:?}1,").to_uppercase());
        let want: &[u64] = match role {
            StaffRole::Admin => &[],
            StaffRole::Support => &[4],
            StaffRole::Viewer | StaffRole::Marketer | StaffRole::Operator => &[3, 4, 5],
        };
        let (_, rejected) = agree(&world, &caller, &lines).await;
        let forbidden: Vec<(u64, String)> =
            want.iter().map(|line| (*line, "FORBIDDEN".to_owned())).collect();
        assert_eq!(rejected, forbidden, "{role:?}");
    }
    let gone = Caller::staff(Role::Admin, "nobody".parse().unwrap());
    let (_, rejected) = agree(&world, &gone, &lines.replace("1,", "GONE1,")).await;
    assert_eq!(rejected.len(), 3, "somebody who was removed");
}

/// The file of rejected lines says of its coupons what the file said: nothing that was used works again.
#[tokio::test]
async fn rejected_lines_come_again() {
    let world = World::new("UTC", KEY).await;
    let file = "상태;쿠폰번호;회원;사용일\n사용완료;USED1;kim;\n미사용;FREE1;;\n만료;OLD01;lee;\n";
    let columns = "state:상태,code:쿠폰번호,user_id:회원,redeemed_at:사용일".parse().ok();
    let engine = &world.engine;
    let import = async |batch: &str, file: String| {
        let mut request = request(CAMPAIGN);
        request.batch = batch.parse().ok();
        request.format.columns = columns.clone();
        let done = engine.import(&admin(), request, stream(&file), |_| {}).await.unwrap();
        let counts = done.into_inner().import;
        let (campaign, batch) = (CAMPAIGN.parse().unwrap(), batch.parse().unwrap());
        let rows = Arc::clone(engine).rejected_rows(admin(), campaign, batch);
        (counts.imported, counts.rejected, rows.try_collect::<String>().await.unwrap())
    };
    let (imported, rejected, report) = import("first", file.to_owned()).await;
    assert_eq!((imported, rejected), (1, 2), "{report}");
    assert!(report.contains("\n0,\"상태;쿠폰번호;회원;사용일\",HEADER,"), "{report}");
    let again = import("again", report.clone()).await;
    assert_eq!((again.0, again.1), (0, 2), "{}", again.2);
    let mended = report.replace("사용완료;USED1;kim;", "사용완료;USED1;kim;2026-01-02");
    let mended = import("mended", mended.replace("만료;OLD01", "폐기;OLD01")).await;
    assert_eq!((mended.0, mended.1), (2, 0), "{}", mended.2);
    let used = engine.coupon(&admin(), &text("USED1"), None).await.unwrap();
    assert_eq!(used.coupon.state().as_str(), "redeemed");
}
