//! People who are forgotten: the second look before it, and how far each is.

use askama::Template;
use axum::extract::Path;
use coupon::ids::{BatchId, UserId};
use coupon::time::Millis;
use engine::{ErasureRecord, ErasureRequest};
use serde_json::json;

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::form_reader::FormFaults;
use crate::roles::ConsoleAction;
use crate::trouble::{ConsoleError, ConsoleResult};

const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "erase.html")]
struct ErasePage<'a> {
    d: &'a PageContext,
    user: String,
    f: &'a FormFields,
    w: FormFaults,
    /// Names the erasure before it is begun: a form that is sent twice begins one.
    erasure: String,
    curl: String,
}

#[derive(Template)]
#[template(path = "erasures.html")]
struct ErasuresPage<'a> {
    d: &'a PageContext,
    erasures: Vec<ErasureRecord>,
    next: Option<String>,
    curl: String,
}

pub(crate) async fn ask(desk: PageContext, Path(user): Path<String>) -> ConsoleResult {
    form(&desk, &from_path(&user)?, &FormFields::default(), FormFaults::none(desk.t))
}

fn form(desk: &PageContext, user: &UserId, f: &FormFields, w: FormFaults) -> ConsoleResult {
    let erasure = format!("console:{}", uuid::Uuid::now_v7());
    let body = json!({"erasure_id": erasure, "reason": "…"});
    let path = format!("/v1/people/{}/erase", encoded(user.as_str()));
    let curl = desk.curl("POST", &path, body);
    let (status, user) = (w.status(), user.to_string());
    desk.page_with(status, &ErasePage { d: desk, user, f, w, erasure, curl })
}

/// `POST /console/customers/{user}/erase`: with the name of the customer once more.
pub(crate) async fn erase(
    desk: PageContext,
    Path(user): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let user: UserId = from_path(&user)?;
    let read = || {
        if fields.must::<UserId>("user_id")? != user {
            return Err(ConsoleError::field("user_id", desk.t.erase_other_name()));
        }
        Ok(ErasureRequest {
            id: fields.may::<BatchId>("erasure_id")?.map(|id| id.to_string()),
            reason: fields.must("reason")?,
            is_urgent: false,
        })
    };
    let request = match read() {
        Ok(request) => request,
        Err(wrong) => return form(&desk, &user, &fields, FormFaults::of(desk.t, wrong)?),
    };
    let caller = desk.caller(ConsoleAction::ErasePeople)?;
    desk.engine().erase_person(&caller, &user, request).await?;
    Ok(to("/console/erasures?done=erased"))
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let before = desk.query.get("cursor").and_then(|cursor| cursor.parse().ok());
    let erasures = desk.engine().erasures(&desk.reader()?, before, PAGE).await?;
    let last = erasures.last().filter(|_| erasures.len() == PAGE);
    let page = ErasuresPage {
        d: &desk,
        next: last.map(|last| desk.with("cursor", &last.number.to_string())),
        erasures,
        curl: desk.curl_get("/v1/erasures"),
    };
    desk.page(&page)
}
