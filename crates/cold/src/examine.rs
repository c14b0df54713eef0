//! Looking for damage: everything is read, and nothing is changed.

use std::fmt::Display;
use std::sync::Arc;

use coupon::coupon::Coupon;
use object_store::path::Path;

use crate::cursor::{Cursor, Reading};
use crate::error::ColdError;
use crate::files::ReadError;
use crate::index::Row;
use crate::log::{LiveFile, Table};
use crate::store::{ColdStore, Inner};
use crate::{decode, holders};

/// One line of an examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFinding {
    /// What was read and is as it should be.
    Sound(String),
    /// What is wrong, naming the file.
    Fault(String),
}

impl ColdStore {
    /// Reads the log and every live file of all tables: each is there in its size, decodes, is
    /// sorted, and has as many rows as its commit says. One finding a problem, and one a table
    /// that has none.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`]. Damage is a finding.
    pub async fn examine(&self) -> Result<Vec<FileFinding>, ColdError> {
        let Inner { coupons, by_holder, index, .. } = &*self.inner;
        let mut findings = Vec::new();
        let code = |coupon: &Coupon| coupon.code().to_string();
        self.examine_table(coupons, Reading::all(decode::coupons), code, &mut findings).await?;
        let both = |held: &holders::Held| (held.holder.clone(), held.entry.code.clone());
        self.examine_table(by_holder, Reading::all(holders::held), both, &mut findings).await?;
        if !matches!(index.newest_if_any().await, Ok(None)) {
            let key = |row: &Row| {
                let Row { day, coupon } = row;
                (coupon.holder().cloned(), *day, coupon.code().clone())
            };
            self.examine_table(index, Reading::all(decode::indexed), key, &mut findings).await?;
        }
        Ok(findings)
    }

    async fn examine_table<T: Send + 'static, K: PartialOrd>(
        &self,
        table: &Table,
        reading: Reading<T>,
        key: impl Fn(&T) -> K,
        findings: &mut Vec<FileFinding>,
    ) -> Result<(), ColdError> {
        let known = match self.damage(table.newest_if_any().await)? {
            Ok(Some(known)) => known,
            Ok(None) => {
                findings.push(FileFinding::Fault(format!("there is no table {}", table.folder())));
                return Ok(());
            }
            Err(fault) => {
                findings.push(FileFinding::Fault(fault));
                return Ok(());
            }
        };
        let before = findings.len();
        if let Some((entry, fault)) = table.broken_entry().await? {
            findings.push(FileFinding::Fault(format!("{entry}: {fault}")));
        }
        let (mut files, mut rows) = (0, 0);
        for file in known.all() {
            let read = self.examine_file(table, file, &reading, &key).await;
            if let Err(fault) = self.damage(read)? {
                findings.push(FileFinding::Fault(fault));
            }
            files += 1;
            rows += file.rows;
        }
        if findings.len() == before {
            let (table, version) = (table.folder(), known.version);
            let sound = format!("{table}: version {version}, {files} files, {rows} rows");
            findings.push(FileFinding::Sound(sound));
        }
        Ok(())
    }

    async fn examine_file<T: Send + 'static, K: PartialOrd>(
        &self,
        table: &Table,
        file: &Arc<LiveFile>,
        reading: &Reading<T>,
        key: impl Fn(&T) -> K,
    ) -> Result<(), ColdError> {
        let Inner { location, files, .. } = &*self.inner;
        let object = table.object(&file.path);
        let gone = |error| self.missing(&object, error);
        // Bytes behind the end disturb nobody, but nobody of ours wrote them.
        if let Some(found) = location.size(&object).await?.filter(|found| *found != file.bytes) {
            let what = format!("it has {found} bytes, want {}", file.bytes);
            return Err(location.damaged(&object, what));
        }
        let footer = Arc::new(files.read_footer(&object, file).await.map_err(gone)?);
        let groups = (0..footer.groups.len()).collect();
        let (reading, whole) = (reading.clone(), object.clone());
        let mut rows = Cursor::new(location, files, whole, file, footer, reading, groups);
        let mut last: Option<K> = None;
        let mut count = 0;
        while let Some(batch) = rows.next().await.map_err(gone)? {
            for row in &batch {
                let this = key(row);
                if last.is_some_and(|last| last >= this) {
                    return Err(location.damaged(&object, format!("row {count} is out of order")));
                }
                last = Some(this);
                count += 1;
            }
        }
        if count != file.rows {
            let what = format!("it has {count} rows, want {}", file.rows);
            return Err(location.damaged(&object, what));
        }
        Ok(())
    }

    fn missing(&self, object: &Path, error: ReadError) -> ColdError {
        match error {
            ReadError::Gone => self.inner.location.damaged(object, "it is missing"),
            ReadError::Cold(error) => error,
        }
    }

    /// Damage as a finding's text; any other error ends the examination.
    fn damage<T>(&self, read: Result<T, ColdError>) -> Result<Result<T, String>, ColdError> {
        match read {
            Ok(read) => Ok(Ok(read)),
            Err(ColdError::Damaged { file, what, .. }) => Ok(Err(fault(&file, &what))),
            Err(error) => Err(error),
        }
    }
}

fn fault(file: &dyn Display, what: &dyn Display) -> String {
    format!("{file}: {what}")
}
