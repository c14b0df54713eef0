//! Refused attempts, for people who look why a coupon did not work.

use attempts::{Wanted, masked};
use coupon::code::CodeText;
use coupon::ids::{OrderRef, UserId};
use engine::{Caller, PAGE_MAX, Role};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::JsonAnswer;
use crate::app::App;
use crate::bodies::FieldReader;
use crate::closed;
use crate::extract::{QueryParams, ReadingCaller};
use crate::paging::{behind, limit, next_cursor};
use crate::problem::{Problem, Result};
use crate::problem_code::ApiErrorCode;
use crate::tried::read_file;
use crate::views::AttemptsBody;

const QUERY: &str = "attempts";

/// Which attempts to find: those that fit all of it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttemptParams {
    /// Only attempts with this code, also if no coupon has it.
    code: Option<String>,
    /// Only attempts for this user.
    user_id: Option<String>,
    /// Only attempts of this order.
    order_ref: Option<String>,
    /// Only attempts that were refused with this problem code.
    #[param(value_type = Option<closed::ProblemCode>)]
    problem: Option<String>,
    /// The most attempts of a page: 1 to 1,000. If it is left out, it is 50.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, example = 50)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl AttemptParams {
    fn read(&self, app: &App, caller: &Caller) -> Result<(Wanted, usize)> {
        let mut reading = FieldReader::default();
        let before = behind(&mut reading, QUERY, self.cursor.as_deref())?;
        let code: Option<CodeText> = reading.may("code", self.code.as_deref());
        let user: Option<UserId> = reading.may("user_id", self.user_id.as_deref());
        let order: Option<OrderRef> = reading.may("order_ref", self.order_ref.as_deref());
        let words: Vec<&str> = ApiErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        let named = |text: &str| words.iter().find(|word| **word == text).copied();
        let problem = self
            .problem
            .as_deref()
            .and_then(|problem| reading.choice("problem", Some(problem), "a problem code", named));
        let limit = limit(&mut reading, self.limit.as_deref());
        let codes = code.map(|code| {
            let shown = app.engine.printed_text(&code);
            vec![masked(&shown), shown]
        });
        let wanted = Wanted {
            codes,
            user: user.map(|user| user.to_string()),
            order: order.map(|order| order.to_string()),
            problem: problem.map(str::to_owned),
            actor: (caller.role == Role::Shop).then(|| caller.to_string()),
            before,
        };
        reading.done(Some((wanted, limit)))
    }
}

/// List refused attempts
///
/// Who tried to issue, check, hold, redeem or cancel what, or to sign in, and was refused: newest first.
/// Attempts are kept for `attempts_keep`, 30 days by default, and at most a million of them. Of a code
/// that no coupon has only a part is kept. Not kept: answers 429 and those from 500 on.
///
/// On a cluster each server has those that it refused itself. An operator and an admin may call it; a shop
/// gets its own attempts.
#[utoipa::path(
    get, path = "/v1/attempts", tag = "attempts", params(AttemptParams),
    responses((status = 200, body = AttemptsBody, description = "One page of attempts"))
)]
pub(crate) async fn list_attempts(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    QueryParams(params): QueryParams<AttemptParams>,
) -> Result<JsonAnswer<AttemptsBody>> {
    caller.must_be(&[Role::Shop, Role::Operator, Role::Admin])?;
    let (wanted, limit) = params.read(&app, &caller)?;
    let Some(log) = app.access.attempts.clone() else {
        return Err(Problem::not_kept("it keeps no refused attempts: attempts_keep is 0"));
    };
    let found = read_file(move || log.find(&wanted, limit.min(PAGE_MAX))).await?;
    let next_cursor = next_cursor(QUERY, &found.attempts, limit, |it| it.number.to_string());
    Ok(JsonAnswer::ok(AttemptsBody::of(found, next_cursor, caller.role != Role::Shop)))
}
