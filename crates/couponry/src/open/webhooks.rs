//! The webhooks of a store.

use std::sync::Arc;

use webhooks::{Options, Webhooks};

use super::{OpenHot, Opened};
use crate::failure::CliError;

/// A cluster has room for a longer log.
const LOG_TIMES_ON_A_CLUSTER: u64 = 10;

impl Opened {
    /// The webhooks of the store. `None` where events are not kept, and on one machine that is not to post.
    pub(crate) fn webhooks(&self) -> Result<Option<Arc<Webhooks>>, CliError> {
        let settings = &self.settings;
        let nobody_posts = matches!(self.hot, OpenHot::Sqlite) && !settings.post_webhooks.value;
        if settings.events_keep.value.every.is_none() || nobody_posts {
            return Ok(None);
        }
        let allow_private = settings.webhook_allow_private.value;
        let mut options = Options { allow_private, ..Options::default() };
        if let OpenHot::Cql(_) = self.hot {
            options.log_rows_max *= LOG_TIMES_ON_A_CLUSTER;
        }
        let opened = Webhooks::new(self.engine.tables(), options);
        opened.map(|webhooks| Some(Arc::new(webhooks))).map_err(CliError::of)
    }
}
