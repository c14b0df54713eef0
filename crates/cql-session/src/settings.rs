//! Settings of the store: a text or a number under a name.

use hot::HotError;

use crate::{Attempts, CqlSession, Result};

impl CqlSession {
    pub async fn setting(&self, name: &str) -> Result<Option<String>> {
        self.value("SELECT value FROM setting WHERE name = ?", (name,)).await
    }

    pub async fn setting_number(&self, name: &str) -> Result<Option<u64>> {
        let text = self.setting(name).await?;
        text.map(|text| text.parse().map_err(|why| HotError::Damaged(format!("{name}: {why}"))))
            .transpose()
    }

    /// Sets it, whatever it was.
    pub async fn set(&self, name: &str, value: &str) -> Result<()> {
        let cql = "INSERT INTO setting (name, value) VALUES (?, ?)";
        self.write(cql, (name, value)).await
    }

    /// Replaces `seen` by `next`, unless somebody has changed it. `None`: it is not set.
    pub async fn replace_setting(
        &self,
        mut attempts: Attempts,
        name: &str,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        let mut sent = false;
        loop {
            let present = attempts.looked(self.setting(name).await)?;
            if sent && present == next {
                return Ok(true);
            }
            if present != seen {
                return Ok(false);
            }
            let cql = "UPDATE setting SET value = ? WHERE name = ? IF value = ?";
            let values = (next.as_deref(), name, seen.as_deref());
            sent = true;
            if attempts.wrote(self.change(attempts.profile(), cql, values).await).await? {
                return Ok(true);
            }
        }
    }

    /// Replaces a number by what `next` returns for it; `None` leaves it.
    pub async fn change_number(
        &self,
        mut attempts: Attempts,
        name: &str,
        next: impl Fn(Option<u64>) -> Option<u64> + Send,
    ) -> Result<()> {
        let mut wanted = None;
        loop {
            let present = attempts.looked(self.setting_number(name).await)?;
            if wanted.is_some() && present == wanted {
                return Ok(());
            }
            let Some(new) = next(present) else { return Ok(()) };
            let cql = "UPDATE setting SET value = ? WHERE name = ? IF value = ?";
            let values = (new.to_string(), name, present.map(|number| number.to_string()));
            wanted = Some(new);
            if attempts.wrote(self.change(attempts.profile(), cql, values).await).await? {
                return Ok(());
            }
        }
    }
}
