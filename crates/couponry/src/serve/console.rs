//! The console of `serve`: pages for people, beside the API.

use std::sync::Arc;

use ::console::{
    Console, ConsoleSetup, NodeAnswer, NodeInfo, ReadNodes, ReadPerson, ReadPlan, SigningKeys,
};
use api::token::TokenService;
use api::{AccessPolicy, SignUp, person_text};
use coupon::calendar::Zone;
use cql_session::{AboutNode, NodeReply};
use engine::GIFTS_MAX;

use crate::compaction;
use crate::failure::Result;
use crate::keys::Keys;
use crate::notices::days_of;
use crate::open::Opened;
use crate::serve::machine::machine;
use crate::serve::{history, identity};
use crate::settings::{Cold, Hot, Settings};

pub(super) fn console(
    settings: &Settings,
    opened: &Opened,
    access: &AccessPolicy,
    tokens: &Arc<TokenService>,
) -> Result<Option<Arc<Console>>> {
    if !is_on(settings)? {
        return Ok(None);
    }
    let (proxies, data) = (access.trusted_proxies.clone(), settings.data.value.clone());
    let identity = identity::provider(settings, tokens, &opened.engine)?;
    let history = history::program(settings, tokens, &opened.engine)?;
    let setup = ConsoleSetup {
        engine: Arc::clone(&opened.engine),
        passwords: access.passwords.clone(),
        identity,
        attempts: access.attempts.clone(),
        webhooks: access.webhooks.clone(),
        person: person(opened, access),
        machine: Box::new(move || machine(&data)),
        lone_archive: lone_archive(settings),
        notice_days: days_of(settings)?,
        zone: settings.console_time_zone.parsed()?,
        gifts_per_day: gifts_per_day(settings)?,
        client: Box::new(move |from, headers| proxies.client(from, headers)),
    };
    let (keys, plan) = (signing_keys(&opened.keys), plan(settings, opened));
    Ok(Some(Arc::new(Console::new(setup, keys, plan, nodes(opened), history))))
}

pub(super) fn check(settings: &Settings) -> Result<()> {
    if is_on(settings)? {
        identity::client_of(settings)?;
        history::address(settings)?;
        days_of(settings)?;
        gifts_per_day(settings)?;
        settings.console_time_zone.parsed::<Zone>()?;
    }
    Ok(())
}

fn gifts_per_day(settings: &Settings) -> Result<u16> {
    let number = settings.gifts_per_day.value;
    let wrong =
        || settings.gifts_per_day.unusable(format!("it is {number}, want at most {GIFTS_MAX}"));
    u16::try_from(number).ok().filter(|number| *number <= GIFTS_MAX).ok_or_else(wrong)
}

/// As the API writes it.
fn person(opened: &Opened, access: &AccessPolicy) -> Box<ReadPerson> {
    let (engine, attempts) = (Arc::clone(&opened.engine), access.attempts.clone());
    Box::new(move |caller, user, format| {
        let (engine, attempts) = (Arc::clone(&engine), attempts.clone());
        Box::pin(async move { person_text(engine, attempts, &caller, &user, format).await })
    })
}

fn nodes(opened: &Opened) -> Option<Box<ReadNodes>> {
    let store = Arc::clone(&opened.cluster.as_ref()?.store);
    Some(Box::new(move || {
        let store = Arc::clone(&store);
        Box::pin(async move {
            let about = store.about().await.map_err(|error| error.to_string())?;
            let node = |it: AboutNode| NodeInfo {
                address: it.address,
                datacenter: it.datacenter,
                answer: it.answer.map(|NodeReply { version, clock_ahead_ms, .. }| NodeAnswer {
                    version,
                    clock_ahead_ms,
                }),
            };
            Ok(about.nodes.into_iter().map(node).collect())
        })
    }))
}

fn plan(settings: &Settings, opened: &Opened) -> Box<ReadPlan> {
    let (settings, engine) = (settings.clone(), Arc::clone(&opened.engine));
    Box::new(move || {
        let (settings, engine) = (settings.clone(), Arc::clone(&engine));
        Box::pin(async move {
            let plan = compaction::plan(&settings, &engine).await;
            plan.map_err(|error| error.to_string())
        })
    })
}

/// The folder of the archive, where the other machines of a cluster may not see it.
fn lone_archive(settings: &Settings) -> Option<String> {
    match (&settings.hot.value, &settings.cold.value) {
        (Hot::Cql(_), Cold::Folder(folder)) => Some(folder.display().to_string()),
        (Hot::Cql(_), Cold::Bucket(_)) | (Hot::Sqlite, _) => None,
    }
}

pub(super) fn is_on(settings: &Settings) -> Result<bool> {
    Ok(settings.console.parsed::<SignUp>()? == SignUp::On)
}

/// The keys that sign sessions and links: the token keys in use, oldest first.
pub(crate) fn signing_keys(keys: &Keys) -> SigningKeys {
    let active = keys.token_keys().filter(|key| key.retired_at.is_none());
    SigningKeys::new(active.map(|key| (key.id.as_str(), key.secret.as_slice(), key.made_at)))
}
