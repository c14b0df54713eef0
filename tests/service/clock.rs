//! Wrong clocks: after a jump nothing is sealed for a day, and a short jump does no harm.

use std::time::{SystemTime, UNIX_EPOCH};

use coupon::calendar::format_instant;
use coupon::time::Millis;
use serde_json::json;
use testengines::{CC, may_run};

use super::data::{Data, Ran, wait_until};
use super::finished::{campaign, day_that_is_over, import, left_over};
use super::shim::{Clock, Shim};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const YEARS: i64 = 3 * 365 * DAY;

/// Seconds by which the clock of a `compact` is ahead, its further flags, and how it ends.
type Run = (i64, &'static [&'static str], i32);

fn within_a_year() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    format_instant(Millis(now.as_millis() as i64 + 200 * DAY * 1_000))
}

/// A store with a campaign whose coupons expire within a year, as a service has left it.
fn used(data: &Data) -> String {
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let terms = json!({"campaign_id": "live", "stock": 20, "expires_at": within_a_year()});
    admin.post("/v1/campaigns", &terms).must(201);
    let issued = admin.post("/v1/campaigns/live/issue", &json!({"user_id": "ann"}));
    let code = issued.must(201).json()["code"].as_str().expect("a code").to_owned();
    server.stop();
    code
}

fn compact(data: &Data, clock: &Clock, (ahead, flags, want): Run, name: &str) -> Ran {
    let mut command = data.command(["compact"].iter().chain(flags));
    clock.load_into(&mut command, ahead);
    let ran = data.run_command(command);
    assert_eq!(ran.code, Some(want), "{name}: {ahead} s ahead: {ran:?}");
    let jumped = ran.stderr.contains("the clock has jumped");
    assert_eq!(jumped, want == 3, "{name}: {ahead} s ahead: {ran:?}");
    ran
}

#[test]
fn jumps() {
    if !may_run("a wrong clock", CC, Shim::can_be_built()) {
        return;
    }
    // Name, the compactions, and whether the live coupon can be redeemed afterwards.
    let rows: [(&str, &[Run], bool); 6] = [
        ("right", &[(0, &[], 0), (HOUR, &[], 0)], true),
        ("ahead for one run", &[(0, &[], 0), (YEARS, &[], 3), (60, &[], 0)], true),
        (
            "ahead for ever",
            &[
                (0, &[], 0),
                (YEARS, &[], 3),
                // The time of the runs counts, too.
                (YEARS + DAY - 600, &[], 3),
                (YEARS + DAY + 60, &[], 0),
            ],
            false,
        ),
        (
            "ahead, and the operator accepts it",
            &[(0, &[], 0), (YEARS, &["--clock-is-right"], 0)],
            false,
        ),
        ("back", &[(0, &[], 0), (-HOUR, &[], 3), (-HOUR + 60, &[], 3), (60, &[], 0)], true),
        ("off for a month", &[(0, &[], 0), (30 * DAY, &[], 3), (31 * DAY + 60, &[], 0)], true),
    ];
    for (name, runs, is_live) in rows {
        let data = Data::new();
        let clock = Clock::build(data.folder());
        let code = used(&data);
        for run in runs {
            compact(&data, &clock, *run, name);
        }
        let redeem = ["coupon", "redeem", &code, "--user", "ann", "--order", "1"];
        let redeemed = data.run(&redeem);
        assert_eq!(redeemed.code == Some(0), is_live, "{name}: {redeemed:?}");
    }
}

#[test]
fn a_jump_is_reported_everywhere() {
    if !may_run("a wrong clock", CC, Shim::can_be_built()) {
        return;
    }
    let data = Data::new();
    let clock = Clock::build(data.folder());
    let code = used(&data);
    let server = data.serve_with(|command| clock.load_into(command, 30 * DAY));
    let mut anyone = server.client("");
    wait_until("/readyz tells of the jump", || {
        let ready = anyone.get("/readyz").json();
        let is_told = ready["clock"].as_str().is_some_and(|it| it.contains("the clock has jumped"));
        is_told && (&ready["ready"], &ready["writable"]) == (&json!(true), &json!(true))
    });
    let metrics = anyone.get("/metrics").must(200).text();
    assert!(metrics.contains("couponry_clock_jumped 1"), "{metrics}");
    let doctor = {
        let mut command = data.command(["doctor"]);
        clock.load_into(&mut command, 30 * DAY);
        data.run_command(command)
    };
    assert!(doctor.stdout.contains("warn clock: the clock has jumped"), "{doctor:?}");
    let mut token = data.command(["token", "--role", "admin", "--user", "root"]);
    clock.load_into(&mut token, 30 * DAY);
    let mut admin = server.client(data.run_command(token).stdout.trim());
    // A day that is over is not sealed: it still accepts lines.
    let day = day_that_is_over(0);
    campaign(&mut admin, "old", 1);
    import(&data, "old", "b", &left_over("LEFT-0001", &day));
    let body = json!({"user_id": "ann", "order_ref": "1"});
    admin.post(&format!("/v1/coupons/{code}/redeem"), &body).must(201);
    server.stop();
}
