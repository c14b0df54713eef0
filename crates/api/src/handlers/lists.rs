//! The list of coupons.

mod filter;

use std::sync::Arc;

use axum::extract::State;
use engine::Failure;

use self::filter::{CouponParams, cursor_behind, half_a_range};
use crate::answer::Answer;
use crate::app::App;
use crate::extract::{CAMPAIGN, Params, Who, named};
use crate::problem::{Code, Problem};
use crate::views::{CouponBody, List};

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
#[utoipa::path(
    get, path = "/v1/coupons", tag = "coupons", params(CouponParams),
    responses((status = 200, body = List<CouponBody>, description = "One page of coupons"))
)]
pub(crate) async fn list_coupons(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(params): Params<CouponParams>,
) -> Result<Answer<List<CouponBody>>, Problem> {
    let query = params.query(&caller);
    let ask = params.read(&query)?;
    if let Some(fault) = half_a_range(&caller, &ask) {
        return Err(Problem::invalid(vec![fault]));
    }
    let page = app.engine.list(&caller, ask).await.map_err(incomplete)?;
    let next_cursor = page.next.map(|next| cursor_behind(&query, &next));
    Ok(Answer(List { data: page.coupons.iter().map(CouponBody::from).collect(), next_cursor }))
}

/// A list without what was archived would look complete.
fn incomplete(failure: Failure) -> Problem {
    match named(CAMPAIGN)(failure) {
        problem if problem.code() == Code::ColdUnavailable => problem.about(
            "the archive did not answer, so the list would be incomplete. A list without archived \
             coupons still works, as with state=issued&expired=false",
        ),
        problem => problem,
    }
}
