//! Where the webhooks of a store are.

use std::sync::Arc;

use webhooks::{Options, Webhooks};

use super::OpenHot;
use crate::failure::CliError;
use crate::files;
use crate::settings::Settings;

/// Deliveries of one endpoint that wait in the memory of the process that posts to it: with 100 endpoints that are
/// down, about 60 MB. The events behind them stay in the feed.
const PENDING_MAX_ON_A_CLUSTER: u64 = 2_000;

/// The webhooks of a store: in a file on one machine, in the tables of a cluster. `None` where events are not kept,
/// and on one machine that is not to post.
pub(super) fn webhooks(
    settings: &Settings,
    hot: &OpenHot,
) -> Result<Option<Arc<Webhooks>>, CliError> {
    if settings.events_keep.value.every.is_none() {
        return Ok(None);
    }
    let allow_private = settings.webhook_allow_private.value;
    let options = Options { allow_private, ..Options::default() };
    let opened = match hot {
        OpenHot::Sqlite if !settings.post_webhooks.value => return Ok(None),
        OpenHot::Sqlite => Webhooks::open(&settings.data.value.join(files::WEBHOOKS), options),
        OpenHot::Cql(cql) => {
            let options = Options { pending_max: PENDING_MAX_ON_A_CLUSTER, ..options };
            let session = Arc::clone(cql.store.session());
            Webhooks::with(cql_webhooks::store(session, &options), options)
        }
    };
    opened.map(|webhooks| Some(Arc::new(webhooks))).map_err(CliError::of)
}
