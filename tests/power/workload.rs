//! A recorded run: customers, imports, compactions, backups and restarts, in random order.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::Client;
use super::data::Server;
use super::dice::Dice;
use super::finished::{campaign, day_that_is_over, left_over};
use super::known::Known;
use super::world::World;

/// Connections that customers come on.
const CLIENTS: usize = 4;

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Customers,
    Import,
    Compact,
    Backup,
    Restart,
}

/// The work of one run, each kind more than once, in random order after some customers.
const WORKS: [Work; 11] = [
    Work::Customers,
    Work::Customers,
    Work::Customers,
    Work::Import,
    Work::Import,
    Work::Compact,
    Work::Compact,
    Work::Compact,
    Work::Backup,
    Work::Backup,
    Work::Restart,
];

/// Does the work of a seed on a new folder.
pub(super) fn recorded(seed: u64) -> World {
    let mut dice = Dice::of(seed, 0);
    let world = World::new(None);
    let token = world.token();
    let mut server = world.serve();
    campaign(&mut server.client(&token), "c", 100_000);
    let users = AtomicUsize::new(0);
    let mut works = WORKS;
    for at in (2..works.len()).rev() {
        works.swap(at, 1 + dice.below(at));
    }
    for (nth, work) in works.into_iter().enumerate() {
        let customers = 2 + dice.below(8);
        let alone = work != Work::Customers && dice.chance(40);
        if work == Work::Restart {
            server.stop();
            server = world.serve();
            continue;
        }
        let clients = if alone { 0 } else { CLIENTS };
        std::thread::scope(|scope| {
            for _ in 0..clients {
                let (world, users, client) = (&world, &users, server.client(&token));
                scope.spawn(move || come(world, client, users, customers));
            }
            other(&world, work, nth, &mut dice);
        });
    }
    ended(server, &mut dice);
    world
}

/// Customers come one after the other. Two of three redeem.
fn come(world: &World, mut client: Client, users: &AtomicUsize, count: usize) {
    for _ in 0..count {
        let nth = users.fetch_add(1, Ordering::Relaxed);
        let ended = world.customer(&mut client, &format!("u{nth}"), !nth.is_multiple_of(3));
        ended.expect("the disk is well");
    }
}

fn other(world: &World, work: Work, nth: usize, dice: &mut Dice) {
    match work {
        Work::Customers | Work::Restart => {}
        Work::Import => world.import(&format!("b{nth}"), &lines(nth, 30 + dice.below(200))),
        Work::Compact => world.must_run(&["compact", "--closed-now"]),
        Work::Backup => {
            let (name, has) = (format!("backup-{nth}"), world.known());
            let folder = world.root().join(&name);
            world.must_run(&["backup", folder.to_str().expect("UTF-8")]);
            world.tell(&Known::Backup { name, has });
        }
    }
}

/// Lines to import: coupons of days that are over, and of customers.
pub(super) fn lines(nth: usize, count: usize) -> Vec<String> {
    let line = |at: usize| match at % 3 {
        0 => left_over(&format!("OVER{nth:03}{at:06}"), &day_that_is_over(nth + at / 100)),
        1 => format!("HELD{nth:03}{at:06},,2031-12-31,issued,holder-{nth}-{at},,,\n"),
        _ => format!("FREE{nth:03}{at:06},,2031-12-31,,,,,\n"),
    };
    (0..count).map(line).collect()
}

/// Half of the services end, and so SQLite closes its file; the others are killed.
fn ended(server: Server, dice: &mut Dice) {
    match dice.chance(50) {
        true => server.stop(),
        false => server.kill(),
    }
}
