//! The list of coupons.

mod filter;

use std::collections::BTreeSet;

use coupon::ids::CampaignId;
use engine::{Caller, Failure};
use futures::future::try_join_all;

use self::filter::{CouponParams, cursor_behind, half_a_range};
use crate::answer::JsonAnswer;
use crate::app::App;
use crate::extract::{CAMPAIGN, QueryParams, ReadingCaller, named};
use crate::problem::{Problem, Result};
use crate::problem_code::ApiErrorCode;
use crate::views::{List, ListedCoupon};

const CAMPAIGNS_AT_A_TIME: usize = 8;

/// List coupons
///
/// Lists imported coupons, and minted coupons to which something has happened. A minted code to
/// which nothing has happened is in `GET /v1/campaigns/{campaign_id}/codes`.
///
/// A user gets their own coupons. A shop must give a `user_id`. An operator and an admin must give
/// a `user_id`, a `campaign_id`, `expires_on`, or an expiry range of at most 31 days.
///
/// A page may have fewer coupons than `limit`, even none, and still have a `next_cursor`. The list
/// ends when `next_cursor` is null.
///
/// With `expand=campaign` each coupon has the name, the metadata and the worth of its campaign, so that a wallet needs one call.
#[utoipa::path(
    get, path = "/v1/coupons", tag = "coupons", params(CouponParams),
    responses((status = 200, body = List<ListedCoupon>, description = "One page of coupons"))
)]
pub(crate) async fn list_coupons(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    QueryParams(params): QueryParams<CouponParams>,
) -> Result<JsonAnswer<List<ListedCoupon>>> {
    let query = params.query(&caller);
    let (ask, with_campaigns) = params.read(&query)?;
    if let Some(fault) = half_a_range(&caller, &ask) {
        return Err(Problem::invalid(vec![fault]));
    }
    let page = app.engine.list(&caller, ask).await.map_err(incomplete)?;
    let next_cursor = page.next.map(|next| cursor_behind(&query, &next));
    let mut data: Vec<ListedCoupon> = page.coupons.iter().map(ListedCoupon::from).collect();
    if with_campaigns {
        add_campaigns(&app, &caller, &mut data).await?;
    }
    Ok(JsonAnswer::ok(List { data, next_cursor }))
}

/// Reads the campaigns of some coupons, each once, and a few at a time.
async fn add_campaigns(app: &App, caller: &Caller, coupons: &mut [ListedCoupon]) -> Result<()> {
    let ids: BTreeSet<String> = coupons.iter().map(|it| it.campaign_id().to_owned()).collect();
    let ids: Vec<CampaignId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    for some in ids.chunks(CAMPAIGNS_AT_A_TIME) {
        let reads = some.iter().map(|id| app.engine.campaign(caller, id));
        for view in try_join_all(reads).await? {
            let of_it = |it: &&mut ListedCoupon| it.campaign_id() == view.campaign.id.as_str();
            coupons.iter_mut().filter(of_it).for_each(|it| it.expand(&view));
        }
    }
    Ok(())
}

/// A list without what was archived would look complete.
fn incomplete(failure: Failure) -> Problem {
    match named(CAMPAIGN)(failure) {
        problem if problem.code() == ApiErrorCode::ColdUnavailable => problem.about(
            "the archive did not answer, so the list would be incomplete. A list without archived \
             coupons still works, as with state=issued&expired=false",
        ),
        problem => problem,
    }
}
