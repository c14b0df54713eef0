//! Settings of the store: a text or a number under a name.

use hot::HotError;

use crate::{CqlSession, Result, StatementProfile, WriteAttempts};

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
        mut attempts: WriteAttempts,
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

    /// The same for one that carries `carries` from then on, a text that no other call has. `None`: it carries
    /// something, which must be unloaded first.
    pub async fn load_setting(
        &self,
        mut attempts: WriteAttempts,
        name: &str,
        seen: Option<&str>,
        (next, carries): (&str, &str),
    ) -> Result<Option<bool>> {
        let mut sent = false;
        loop {
            let cql = "SELECT value, carries FROM setting WHERE name = ?";
            let row: Option<(Option<String>, Option<String>)> =
                attempts.looked(self.row(cql, (name,)).await)?;
            let (value, carried) = row.unwrap_or_default();
            // Somebody may have unloaded it already.
            let is_next = value.as_deref() == Some(next) && carried.is_none();
            if sent && (is_next || carried.as_deref() == Some(carries)) {
                return Ok(Some(true));
            }
            if value.as_deref() != seen {
                return Ok(Some(false));
            }
            if carried.is_some() {
                return Ok(None);
            }
            let cql = "UPDATE setting SET value = ?, carries = ? WHERE name = ? \
                       IF value = ? AND carries = null";
            sent = true;
            let values = (next, carries, name, seen);
            if attempts.wrote(self.change(attempts.profile(), cql, values).await).await? {
                return Ok(Some(true));
            }
        }
    }

    /// What a setting carries since it was replaced.
    pub async fn carried_by(&self, name: &str) -> Result<Option<String>> {
        self.value("SELECT carries FROM setting WHERE name = ?", (name,)).await
    }

    /// Takes from a setting what it carries, unless that is something else by now.
    pub async fn unload_setting(&self, name: &str, carried: &str) -> Result<()> {
        let cql = "UPDATE setting SET carries = null WHERE name = ? IF carries = ?";
        self.change(StatementProfile::Change, cql, (name, carried)).await.map(drop)
    }

    /// Replaces a number by what `next` returns for it; `None` leaves it.
    pub async fn change_number(
        &self,
        mut attempts: WriteAttempts,
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
