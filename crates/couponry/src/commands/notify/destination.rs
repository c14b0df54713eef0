//! Where notices go, and the folder that remembers which of them were sent there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use webhooks::Webhooks;

use super::webhook::Webhook;
use crate::keys::hex;

pub(super) enum NoticeDestination {
    /// Standard output. Notices count as sent when the round ends; after an interrupted round, the
    /// next one prints all of them again.
    Standard,
    File(PathBuf),
    Webhook(Box<Webhook>),
    /// The webhooks of `/v1/webhooks` that ask for notices.
    Webhooks(Arc<Webhooks>),
}

impl NoticeDestination {
    /// The folder of its memory in the data folder; `name` if several destinations share one.
    pub(super) fn memory(&self, data: &Path, name: Option<&str>) -> PathBuf {
        let folder = match (name, self) {
            (Some(name), _) => format!("as-{name}"),
            (None, NoticeDestination::Standard) => "stdout".to_owned(),
            (None, NoticeDestination::Webhooks(_)) => "webhooks".to_owned(),
            (None, NoticeDestination::File(path)) => {
                let path = whole(path);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("file-{}", readable(&name, path.as_os_str().as_encoded_bytes()))
            }
            (None, NoticeDestination::Webhook(webhook)) => {
                let url = webhook.url();
                let host = url.host_str().unwrap_or_default();
                format!("webhook-{}", readable(host, url.as_str().as_bytes()))
            }
        };
        data.join("notices").join(folder)
    }
}

/// The absolute path of a file, the same before and after the file is made.
fn whole(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// A name for people, with a hash that distinguishes it from others.
fn readable(name: &str, whole: &[u8]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    let name: String = name.chars().take(40).map(plain).collect();
    format!("{name}-{}", hex(&digest(&SHA256, whole).as_ref()[..6]))
}
