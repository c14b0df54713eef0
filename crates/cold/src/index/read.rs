//! Reading the coupons of one holder from the holder index.

use std::sync::Arc;

use coupon::ids::UserId;
use coupon::time::Day;

use super::Row;
use crate::bounds::may_hold;
use crate::cursor::{Cursor, Reading};
use crate::decode;
use crate::files::ReadError;
use crate::holders::HolderEntry;
use crate::log::LiveFile;
use crate::store::{ColdStore, Inner};

impl ColdStore {
    /// The coupons of `holder` in one file of the index, from expiry day `from` on.
    pub(crate) async fn indexed(
        &self,
        file: &Arc<LiveFile>,
        holder: &UserId,
        from: Option<Day>,
    ) -> Result<Vec<HolderEntry>, ReadError> {
        let Inner { location, index, files, .. } = &*self.inner;
        let object = index.object(&file.path);
        let footer = files.footer(&object, file).await?;
        let may = |at: &usize| may_hold(footer.groups[*at].bounds.holder.as_ref(), holder.as_str());
        let groups = (0..footer.groups.len()).filter(may).collect();
        let wanted = holder.clone();
        let reading = Reading::all(move |batch| decode::indexed_of(batch, &wanted));
        let footer = Arc::clone(&footer);
        let mut rows = Cursor::new(location, files, object, file, footer, reading, groups);
        let mut entries = Vec::new();
        while let Some(rows) = rows.next().await? {
            let rows = rows.into_iter().filter(|row| from.is_none_or(|from| row.day >= from));
            entries.extend(rows.map(|Row { day, coupon }| HolderEntry {
                code: coupon.code().clone(),
                day,
                expires_at: coupon.expires_at(),
                state: coupon.state().as_str(),
                version: coupon.version(),
                coupon: Some(Box::new(coupon)),
            }));
        }
        Ok(entries)
    }
}
