//! What goes wrong inside: the cluster, or the call itself.

use hot::HotError;
use webhooks::WebhookError;

/// What is done inside this crate.
pub(crate) type Result<T> = std::result::Result<T, Trouble>;

/// Why it was not done.
#[derive(Debug)]
pub(crate) enum Trouble {
    Webhook(WebhookError),
    Cluster(HotError),
}

impl From<WebhookError> for Trouble {
    fn from(error: WebhookError) -> Trouble {
        Trouble::Webhook(error)
    }
}

impl From<HotError> for Trouble {
    fn from(error: HotError) -> Trouble {
        Trouble::Cluster(error)
    }
}

impl From<Trouble> for WebhookError {
    fn from(trouble: Trouble) -> WebhookError {
        match trouble {
            Trouble::Webhook(error) => error,
            Trouble::Cluster(HotError::Unknown(why)) => WebhookError::Unknown(why),
            Trouble::Cluster(error) => WebhookError::Cluster(error.into()),
        }
    }
}

/// A row does not read as what was written.
pub(crate) fn unreadable(why: impl Into<String>) -> Trouble {
    Trouble::Cluster(HotError::Damaged(why.into()))
}
