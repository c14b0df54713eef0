use std::collections::BTreeMap;

use super::*;
use crate::testing::{World, admin, random, text};
use crate::{AdminChange, Clock, NewExpiry};

/// What comes along with an export. The rest is of the store: its batches, versions and tiers.
const KEPT: &str = "code campaign_id state expired holder valid_from expires_at expires_on \
    time_zone issued_at redeemed_at";

/// The kept cells of each coupon by its code.
fn kept(file: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = file.trim_start_matches(BYTE_ORDER_MARK).lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let coupon = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), columns.len(), "{line}");
        let mut kept: Vec<String> =
            KEPT.split(' ').map(|name| cells[at(name)].to_owned()).collect();
        // The order of a hold is none of a redemption: the hold stays behind.
        let is_redeemed = cells[at("state")] == "redeemed";
        kept.push(if is_redeemed { cells[at("order_ref")].to_owned() } else { String::new() });
        (cells[at("code")].to_owned(), kept)
    };
    lines.map(coupon).collect()
}

/// Export, import into an empty store, export: the same, whatever happened to the coupons.
#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let mut below = random(20_261_126);
    // No comma: the cells of this test are split at commas.
    let users = "kim +821012345678 -1 @kim =1+1 '=1 ''+1 ＝1 ＠김 김철수 a;=b a;'=b o'neil x\"y";
    let users: Vec<&str> = users.split(' ').collect();
    for zone in ["Asia/Seoul", "America/New_York", "UTC"] {
        let (from, to) = (
            World::new(zone, *b"one test's key..").await,
            World::new(zone, *b"another's key...").await,
        );
        let mut file = "code,valid_from,expires_at\n".to_owned();
        for nth in 0..120 {
            let last =
                ["", "9999-12-31", "2031-03-09", "2031-01-31T23:59:59.999+09:00", "2020-11-01"];
            let first = ["", "1970-01-01", "2020-10-25"];
            file.push_str(&format!("TRIP{nth:04},{},{}\n", first[below(3)], last[below(5)]));
        }
        assert_eq!(from.import(&admin(), &file).await.0, [120, 0, 0], "{zone}");
        for nth in 0..300 {
            let (engine, code) = (&from.engine, text(&format!("TRIP{:04}", below(100))));
            let (user, order) =
                (users[below(users.len())].parse().ok(), format!("{nth}").parse().unwrap());
            from.clock.pass(1_234);
            // A rule may refuse any of these.
            let _ = match below(7) {
                0 | 1 => engine.issue_code(&admin(), &code, user).await.map(|_| ()),
                2 => engine
                    .redeem(&admin(), &code, user, order, Default::default())
                    .await
                    .map(|_| ()),
                3 => engine.void(&admin(), &code, AdminChange::default()).await.map(|_| ()),
                4 => engine
                    .hold(&admin(), &code, user, order, None, Default::default())
                    .await
                    .map(|_| ()),
                5 => {
                    let until = NewExpiry::On("2063-12-31".parse().unwrap(), zone.parse().unwrap());
                    engine.extend(&admin(), &code, until, AdminChange::default()).await.map(|_| ())
                }
                _ => {
                    let user = user.unwrap_or_else(|| "kim".parse().unwrap());
                    engine
                        .revoke(&admin(), &code, user, None, AdminChange::default())
                        .await
                        .map(|_| ())
                }
            };
        }
        let exported = from.export().await;
        let states = ["available", "issued", "redeemed", "void"];
        for state in states {
            assert!(exported.contains(&format!(",{state},")), "{zone}: no coupon is {state}");
        }
        to.clock.set(from.clock.now());
        let (counts, rejected) = to.import(&admin(), &exported).await;
        assert_eq!((counts, rejected), ([120, 0, 0], Vec::new()), "{zone}");
        let (mut first, second) = (kept(&exported), kept(&to.export().await));
        for (code, cells) in &mut first {
            // Whoever redeemed a coupon that was never issued to them got it then.
            if cells[2] == "redeemed" && cells[9].is_empty() && !cells[4].is_empty() {
                cells[9] = cells[10].clone();
            }
            assert_eq!(second.get(code), Some(&*cells), "{zone}");
        }
        assert_eq!(first.len(), second.len());
        // Also those of the last day of the year 9999 can be archived.
        to.compact().await;
        let archived = to.export().await;
        assert!(archived.contains(",cold,"), "{zone}: no coupon was archived");
        assert_eq!(kept(&archived), second, "{zone}");
    }
}
