//! What `verify` says of a world.

use std::sync::Mutex;

use compactor::check_pairing;
use verify::{Finding, Verifier, VerifyOptions};

use super::machine::{SimulatedMachine, keys};

/// What `verify` finds over both tiers, and why it failed, if it did.
pub(crate) async fn verified(machine: &SimulatedMachine) -> Vec<String> {
    let (hot, cold) = (machine.hot.as_ref(), machine.cold.as_ref());
    if let Err(error) = check_pairing(hot, cold).await {
        return vec![format!("both tiers: {error}")];
    }
    let found: Mutex<Vec<String>> = Mutex::default();
    let tell = |finding: &Finding| {
        let Finding { kind, about, one, other } = finding;
        let text = format!("{}: {about}: {one}; {other}", kind.name());
        found.lock().expect("no holder panics").push(text);
    };
    let keys = keys();
    let verifier = Verifier::new(
        hot,
        cold,
        &keys,
        machine.now(),
        VerifyOptions::default(),
        Box::new(tell),
        Box::new(|_| {}),
    );
    let ended = verifier.run().await;
    let mut findings = found.into_inner().expect("no holder panics");
    if let Err(error) = ended {
        findings.push(format!("it failed: {error}"));
    }
    findings
}
