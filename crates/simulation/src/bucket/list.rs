//! Lists, page by page: objects may change between two pages.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, Result};

use super::client::BucketClient;
use super::state::BucketObjects;
use super::weather::BucketVerb;

/// Where the next page begins.
enum NextPage {
    After(Option<Path>),
    End,
}

pub(super) fn pages(
    client: &Arc<BucketClient>,
    prefix: Option<Path>,
    after: Option<Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let client = Arc::clone(client);
    stream::try_unfold(NextPage::After(after), move |next| {
        page(Arc::clone(&client), prefix.clone(), next)
    })
    .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
    .try_flatten()
    .boxed()
}

async fn page(
    client: Arc<BucketClient>,
    prefix: Option<Path>,
    next: NextPage,
) -> Result<Option<(Vec<ObjectMeta>, NextPage)>> {
    let NextPage::After(after) = next else { return Ok(None) };
    let (max, location) = (client.bucket.weather().page.max(1), prefix.clone().unwrap_or_default());
    let request = move |objects: &mut BucketObjects, _: i64| {
        Ok(objects.page(prefix.as_ref(), after.as_ref(), max))
    };
    let found = client.call(BucketVerb::List, &location, request).await?;
    let next = match found.last() {
        Some(last) if found.len() == max => NextPage::After(Some(last.location.clone())),
        _ => NextPage::End,
    };
    Ok(Some((found, next)))
}
