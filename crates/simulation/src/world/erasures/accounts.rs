//! Accounts of persons who are erased: each is there until the next erasure, and not after it.

use std::sync::{Arc, Mutex};

use coupon::ids::UserId;
use hot::{Account, Accounts};
use tokio::time::timeout;

use super::PATIENCE;
use crate::world::SimulatedWorld;
use crate::world::machine::SimulatedMachine;

/// One call that makes an account.
#[derive(Clone)]
struct SignUp {
    user: UserId,
    began_ms: u64,
    /// `None`: nobody knows whether it is over.
    ended_ms: Option<u64>,
    is_made: bool,
}

#[derive(Default)]
pub(crate) struct SignUpLog(Mutex<Vec<SignUp>>);

impl SignUpLog {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<SignUp>) -> T) -> T {
        work(&mut self.0.lock().expect("no holder panics"))
    }
}

/// Makes an account for a person. Its login does not have their name in it.
pub(super) async fn signs_up(
    world: &Arc<SimulatedWorld>,
    machine: &Arc<SimulatedMachine>,
    user: &UserId,
) {
    let login: String = user.as_str().chars().rev().collect();
    let login_id = login.parse().expect("a name is a name from behind, too");
    let began_ms = world.trace.at_ms();
    let sign_up = SignUp { user: user.clone(), began_ms, ended_ms: None, is_made: false };
    let nth = world.erasures.sign_ups.with(|log| {
        log.push(sign_up);
        log.len() - 1
    });
    // No two hashes of passwords are the same.
    let account = Account { login_id, user_id: user.clone(), password_hash: format!("hash {nth}") };
    let (world, machine) = (Arc::clone(world), Arc::clone(machine));
    let call = tokio::spawn(async move {
        let name = machine.life.process.name();
        world.trace.say(name, format!("{} signs up", account.user_id));
        let made = machine.hot.create_account(account, machine.now());
        let made = machine.life.alive(made).await;
        world.trace.say(name, format!("the account is made: {made:?}"));
        let (ended_ms, is_made) = (world.trace.at_ms(), matches!(made, Some(Ok(true))));
        if matches!(made, Some(Ok(_))) {
            world.erasures.sign_ups.with(|log| {
                (log[nth].ended_ms, log[nth].is_made) = (Some(ended_ms), is_made);
            });
        }
    });
    let _ = timeout(PATIENCE, call).await;
}

/// All erasures are over.
pub(super) async fn are_right(world: &SimulatedWorld, machine: &SimulatedMachine, user: &UserId) {
    let erasures = world.erasures.known();
    let last = erasures.iter().rfind(|it| it.erasure.user == *user);
    let sign_ups = world.erasures.sign_ups.with(|log| log.clone());
    let mut theirs = sign_ups.iter().filter(|it| it.user == *user);
    let over = last.map_or(Some(0), |it| it.admitted_ms);
    let must_be = theirs.clone().any(|it| it.is_made && over.is_some_and(|at| at < it.began_ms));
    let began = last.map_or(0, |it| it.began_ms);
    let may_be = theirs.any(|it| it.ended_ms.is_none_or(|at| at >= began));
    match machine.hot.has_account(user).await {
        Ok(true) if !may_be => world.find(format!("the account of {user} was not deleted")),
        Ok(false) if must_be => world.find(format!("the account of the next {user} is gone")),
        Ok(_) => {}
        Err(error) => world.find(format!("the account of {user}: {error}")),
    }
}
