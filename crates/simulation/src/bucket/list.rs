//! Lists, page by page: objects may change between two pages.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, Result};

use super::client::Client;
use super::state::State;
use super::weather::Does;

/// Where the next page begins.
enum Next {
    After(Option<Path>),
    End,
}

pub(super) fn pages(
    client: &Arc<Client>,
    prefix: Option<Path>,
    after: Option<Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let client = Arc::clone(client);
    stream::try_unfold(Next::After(after), move |next| {
        page(Arc::clone(&client), prefix.clone(), next)
    })
    .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
    .try_flatten()
    .boxed()
}

async fn page(
    client: Arc<Client>,
    prefix: Option<Path>,
    next: Next,
) -> Result<Option<(Vec<ObjectMeta>, Next)>> {
    let Next::After(after) = next else { return Ok(None) };
    let (max, location) = (client.bucket.weather().page.max(1), prefix.clone().unwrap_or_default());
    let request =
        move |state: &mut State, _: i64| Ok(state.page(prefix.as_ref(), after.as_ref(), max));
    let found = client.call(Does::List, &location, request).await?;
    let next = match found.last() {
        Some(last) if found.len() == max => Next::After(Some(last.location.clone())),
        _ => Next::End,
    };
    Ok(Some((found, next)))
}
