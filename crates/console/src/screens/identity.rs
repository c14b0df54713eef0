//! Signing in at the company's identity provider: the way there, and the way back.

use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use coupon::refusal::Refusal;
use engine::{Caller, Failure, Identified, Role, StaffMember};
use passwords::throttle::UnderWay;

use crate::desk::{Desk, cookie, to};
use crate::fields::Fields;
use crate::guard::{set_cookie, sign};
use crate::identity::{IdentityError, IdentityProvider, Leave, Person, SignInRequest};
use crate::screens::preferences::is_here;
use crate::screens::sign_in::{self, peer_of};
use crate::text::{Said, Texts};
use crate::trouble::Trouble;

/// The cookie of a browser that is at the provider. Another site, the provider, sends the browser back, so it is
/// sent then, too; it is of no use for anything else.
const LEAVE: &str = "couponry_identity";

/// How long somebody may be at the provider, in milliseconds.
const LEAVE_MS: i64 = 10 * 60_000;

/// Longest address of a page to which somebody comes back: the cookie stays short.
const NEXT_LEN_MAX: usize = 200;

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedInPage<'a> {
    d: &'a Desk,
    t: Texts,
    next: &'a str,
}

/// `GET /console/sign-in/identity`
pub(crate) async fn leave(
    desk: Desk,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let provider = provider(&desk)?;
    let next = desk.query.get("next").filter(|next| is_here(next) && next.len() <= NEXT_LEN_MAX);
    let next = next.unwrap_or("/console").to_owned();
    let (from, now) = (peer_of(&desk, peer, &headers).to_string(), desk.now.0);
    let Some(_under_way) = UnderWay::begin(&desk.console.signing_in, &from, now) else {
        return Err(Trouble::Busy);
    };
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let asked = SignInRequest {
        back: format!("{}/console/sign-in/back", desk.host),
        state: random(),
        nonce: random(),
        verifier: format!("{}{}", random(), random()),
    };
    let door = match provider.door(&asked).await {
        Ok(door) => door,
        Err(error) => return wrong(&desk, &error),
    };
    let signed = desk.console.signer.sign(&Leave { asked, next, at: now }, desk.now);
    let mut response = to(&door);
    set_leave(&desk, &mut response, &signed, LEAVE_MS / 1_000);
    Ok(response)
}

/// `GET /console/sign-in/back`: to here the provider sends the browser.
pub(crate) async fn come_back(
    desk: Desk,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (provider, t, console) = (provider(&desk)?, desk.t, &desk.console);
    let left = cookie(&headers, LEAVE).and_then(|signed| console.signer.read::<Leave>(&signed));
    let left = left.filter(|left| (left.at..left.at + LEAVE_MS).contains(&desk.now.0));
    let state = desk.query.get("state");
    let Some(left) = left.filter(|left| state == Some(left.asked.state.as_str())) else {
        return sign_in::refused(&desk, t.identity_late());
    };
    let Some(code) = desk.query.get("code") else {
        return sign_in::refused(&desk, t.identity_cancelled());
    };
    let (from, now) = (peer_of(&desk, peer, &headers).to_string(), desk.now.0);
    let Some(_under_way) = UnderWay::begin(&console.signing_in, &from, now) else {
        return Err(Trouble::Busy);
    };
    // Counted before: a caller with made-up codes does not keep the provider busy.
    let key = format!("{from} at the provider");
    if let Some(wait) = console.wrong.blocked(&key, now) {
        let minutes = u64::try_from(wait).unwrap_or(0).div_ceil(60_000);
        return sign_in::refused(&desk, &t.sign_in_blocked(minutes));
    }
    console.wrong.count(&key, now);
    let person = match provider.person(&left.asked, code).await {
        Ok(person) => person,
        Err(error) => return wrong(&desk, &error),
    };
    console.wrong.forget(&key);
    let account = match admitted(&desk, person).await? {
        Ok(account) => account,
        Err(why) => return sign_in::refused(&desk, &why),
    };
    let name = account.name.parse().map_err(|_| Trouble::Broken)?;
    desk.engine().staff_signed_in(&Caller::staff(Role::Operator, name)).await?;
    // A page, and no redirect: after one a browser would not send the cookie of the session yet, since another
    // site has begun all of this.
    let mut response = desk.page(&SignedInPage { d: &desk, t, next: &left.next })?;
    sign(console, &desk, &sign_in::session(&desk, &account), &mut response);
    set_leave(&desk, &mut response, "", 0);
    Ok(response)
}

/// The account of a person, or why they have none, as a sentence.
async fn admitted(desk: &Desk, person: Person) -> Result<Result<StaffMember, String>, Trouble> {
    let t = desk.t;
    let Some(role) = person.role else { return Ok(Err(t.identity_no_role(Said(&person.name)))) };
    let Ok(name) = person.name.parse() else {
        return Ok(Err(t.identity_name(Said(&person.name))));
    };
    let person = Identified { identity: person.identity, name, role };
    match desk.engine().admit_staff(&person).await {
        Ok(account) => Ok(Ok(account)),
        Err(Failure::Refused { refusal: Refusal::NameTaken, .. }) => {
            Ok(Err(t.identity_name_taken(Said(&person.name))))
        }
        Err(other) => Err(other.into()),
    }
}

fn provider(desk: &Desk) -> Result<Arc<dyn IdentityProvider>, Trouble> {
    desk.console.identity.clone().ok_or(Trouble::NotFound)
}

/// What people read when the provider does not say who they are.
fn wrong(desk: &Desk, error: &IdentityError) -> Result<Response, Trouble> {
    tracing::warn!(%error, "nobody could sign in to the console");
    match error {
        IdentityError::Away(_) => sign_in::refused(desk, desk.t.identity_away()),
        IdentityError::Refused(_) => sign_in::refused(desk, desk.t.identity_refused()),
    }
}

fn set_leave(desk: &Desk, response: &mut Response, signed: &str, seconds: i64) {
    let secure = if desk.host.starts_with("https") { "; Secure" } else { "" };
    let cookie = format!(
        "{LEAVE}={signed}; Path=/console/sign-in; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"
    );
    set_cookie(response, &cookie);
}

/// `POST /console/sign-in/go-on`: somebody whose session had ended has signed in in another tab, and goes on with
/// their form.
pub(crate) async fn go_on(desk: Desk, fields: Fields) -> Result<Response, Trouble> {
    let next = fields.get("next").filter(|next| is_here(next)).unwrap_or("/console");
    let kept = fields.shown("kept");
    match &desk.member {
        Some(member) => sign_in::go_on(&desk, &member.session, next, kept),
        None => Ok(sign_in::page_of(
            &desk,
            next,
            kept,
            "",
            Some(desk.t.not_signed_in_yet().to_owned()),
            StatusCode::UNAUTHORIZED,
        )),
    }
}
