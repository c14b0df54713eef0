//! Exactly N coupons through two services on one cluster. One is killed and one is frozen.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Client, at_once};
use super::data::{PATIENCE, despite_stalls, wait_until};
use super::faults::Fleet;
use super::fleet::{Nodes, on_three_nodes};
use super::sale::{CHANGED, Campaign, Kind, Sale, plain};
use super::services::{Addresses, Hot, Services, until_good};
use super::truth::{AtRest, Part};

const CLIENTS: usize = 32;

const CAMPAIGNS: [Campaign; 4] = [
    Campaign { id: "minted", kind: Kind::Minted, stock: 600, limit: 1, users: 900, references: 1 },
    Campaign { id: "three", kind: Kind::Minted, stock: 300, limit: 3, users: 150, references: 5 },
    Campaign {
        id: "import",
        kind: Kind::Imported,
        stock: 300,
        limit: 1,
        users: 450,
        references: 1,
    },
    Campaign { id: "word", kind: Kind::Shared, stock: 300, limit: 1, users: 450, references: 1 },
];

/// Requests at the same time for a campaign that is sold out.
const RUSH: usize = 1_000;

/// How long one service is frozen.
const FROZEN: Duration = Duration::from_secs(5);

/// Waits until the sale has reached this share.
fn come_to(sale: &Sale<'_>, percent: usize) {
    let begun = Instant::now();
    while !sale.has_come_to(percent) {
        assert!(begun.elapsed() < 4 * PATIENCE, "the sale does not reach {percent} %");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The codes of a campaign that the service lists.
fn listed(admin: &mut Client, id: &str) -> Vec<String> {
    let mut codes = Vec::new();
    let mut more = String::new();
    loop {
        let path = format!("/v1/coupons?campaign_id={id}&limit=100{more}");
        let page = until_good(admin, &path, None).json();
        let data = page["data"].as_array().expect("a page");
        codes.extend(data.iter().map(|it| plain(it["code"].as_str().expect("a code"))));
        match page["next_cursor"].as_str() {
            Some(cursor) => more = format!("&cursor={cursor}"),
            None => return codes,
        }
    }
}

/// Reads every code of a campaign, half of them through each service.
fn at_rest(services: &Services, codes: &[String]) -> Vec<AtRest> {
    let each = at_once(8, |nth| {
        let mut client = services.client(nth % 2);
        let mine = codes.iter().skip(nth).step_by(8);
        let read = |code: &String| {
            let path = format!("/v1/coupons/{code}");
            let read: Value = until_good(&mut client, &path, None).json();
            AtRest::of(code, &read)
        };
        mine.map(read).collect::<Vec<_>>()
    });
    each.into_iter().flatten().collect()
}

/// The number of reads of the store, as the services counted them.
fn reads(addresses: &Addresses, token: &str) -> u64 {
    let of = |nth: usize| {
        let text = Client::new(addresses.of(nth), token).get("/metrics").must(200).text();
        let found = text.lines().find_map(|line| line.strip_prefix("couponry_hot_reads_total "));
        found.and_then(|number| number.trim().parse::<u64>().ok()).expect("the counter")
    };
    (0..addresses.count()).map(of).sum()
}

/// Sends many requests to a campaign that is sold out. All get SOLD_OUT and share the walks.
///
/// They share less if they do not come at the same time. So a rush may be repeated, because
/// something may have stalled.
fn rush(services: &Services, campaign: &Campaign) {
    despite_stalls(Duration::ZERO, || rush_once(services, campaign));
}

fn rush_once(services: &Services, campaign: &Campaign) {
    let (addresses, token) = (&services.addresses, services.token.as_str());
    let ask = |user: &str, through: usize| {
        let (path, body) = campaign.request(user, 0);
        Client::new(addresses.of(through), token).post(&path, &body).refused(409, "SOLD_OUT");
    };
    let before = reads(addresses, token);
    ask("alone", 0);
    let alone = reads(addresses, token) - before;
    let (before, begun) = (reads(addresses, token), Instant::now());
    at_once(RUSH, |nth| ask(&format!("rush{nth}"), nth % 2));
    let took = begun.elapsed();
    let each = (reads(addresses, token) - before) as f64 / RUSH as f64;
    println!(
        "rush on {}: {RUSH} requests in {took:.1?}, {each:.2} reads each; one alone {alone}",
        campaign.id
    );
    assert!(each < alone as f64 * 0.6, "{}: {each} reads each, {alone} alone", campaign.id);
}

#[test]
fn exactly_n_through_two_services() {
    if testcluster::is_long_run("exactly N through two services") {
        on_three_nodes(exactly_n);
    }
}

fn exactly_n(nodes: &mut Nodes) {
    let hot = Hot::Cql(format!("cql://{}/exactly", nodes.0.addresses()));
    let mut services = Services::start(hot, 2);
    let whole = Instant::now();
    let mut admin = services.client(0);
    let known = CAMPAIGNS.map(|campaign| campaign.make(&mut admin));
    // Some of each kind of stock, from the middle on.
    let issued = known.iter().zip(&CAMPAIGNS).filter(|(_, it)| it.kind != Kind::Shared);
    let extensible: Vec<String> =
        issued.flat_map(|(codes, _)| codes.iter().rev().step_by(7).cloned()).collect();
    let sale = Sale::new(&CAMPAIGNS, 1);
    println!("made ready in {:.1?}", whole.elapsed());

    let begun = Instant::now();
    let caller = services.caller();
    let mut story = sale.run(
        CLIENTS,
        || caller.again(),
        &extensible,
        || {
            // The sale is not over before the faults, also if this thread stalls.
            sale.go_on_to(30);
            come_to(&sale, 25);
            services.kill(0);
            sale.go_on_to(60);
            come_to(&sale, 35);
            services.start(0);
            come_to(&sale, 50);
            services.freeze(1);
            sale.go_on_to(100);
            std::thread::sleep(FROZEN);
            services.thaw(1);
        },
    );
    let sold = begun.elapsed();
    story.asked.extend(sale.sell_out(&services));
    println!(
        "{} requests in {sold:.1?}, lost tries {:?}, {} revoked, {} extended; {:.1?} for the rest",
        story.asked.len(),
        story.lost,
        story.revoked.len(),
        story.extended,
        begun.elapsed() - sold,
    );
    assert!(
        !story.lost.is_empty() && story.revoked.len() > CHANGED && story.extended > CHANGED,
        "a sale without lost answers"
    );

    let mut wrong = Vec::new();
    for (nth, campaign) in CAMPAIGNS.iter().enumerate() {
        let mut admin = services.client(nth % 2);
        // The lists do not have the latest writes yet.
        wait_until("the list of a campaign", || {
            listed(&mut admin, campaign.id).len() >= campaign.stock
        });
        let mut codes = listed(&mut admin, campaign.id);
        codes.extend(known[nth].iter().cloned());
        codes.sort();
        codes.dedup();
        let part = Part::of(&story, nth, campaign);
        wrong.extend(part.wrong(&at_rest(&services, &codes)));
        println!(
            "{}: {} codes, {} times SOLD_OUT, {} LIMIT_PER_USER, {} NAME_TAKEN",
            campaign.id,
            codes.len(),
            part.count("SOLD_OUT"),
            part.count("LIMIT_PER_USER"),
            part.count("NAME_TAKEN"),
        );
        assert!(part.count("SOLD_OUT") > 0, "{}: nobody got SOLD_OUT", campaign.id);
        if campaign.kind != Kind::Imported {
            assert_eq!(campaign.untouched(&mut admin), [""; 0], "{}: untouched", campaign.id);
        }
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));

    rush(&services, &CAMPAIGNS[0]);
    rush(&services, &CAMPAIGNS[2]);
    println!("the sale took {:.1?}", whole.elapsed());
    services.stop();
}
