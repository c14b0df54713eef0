//! What goes wrong inside: the cluster, or the call itself.

use hot::HotError;
use serde::Serialize;
use webhooks::WebhookError;

pub(crate) type Result<T> = std::result::Result<T, Trouble>;

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

pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|why| unreadable(why.to_string()))
}

pub(crate) fn unreadable(why: impl Into<String>) -> Trouble {
    Trouble::Cluster(HotError::Damaged(why.into()))
}
