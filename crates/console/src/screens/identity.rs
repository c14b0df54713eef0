//! Signing in at the company's identity provider: the way there, and the way back.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use coupon::refusal::Refusal;
use engine::{Failure, IdentifiedStaff, StaffMember};
use tokio::time::timeout;

use crate::Console;
use crate::cookie::CookieKind;
use crate::desk::{PageContext, to};
use crate::fields::FormFields;
use crate::identity::{
    ExternalIdentity, IdentityError, IdentityProvider, PendingSignIn, SignInRequest,
};
use crate::screens::preferences::{HOME, next_page};
use crate::screens::sign_in::{self, minutes_of, peer_of};
use crate::session::sign;
use crate::text::IsolatedText;
use crate::trouble::{ConsoleError, ConsoleResult};
use crate::twins::has_twin;

/// The cookie of a browser that is at the provider. Another site, the provider, sends the browser back, so it is
/// sent then, too; it is of no use for anything else.
const LEAVE: CookieKind =
    CookieKind { name: "couponry_identity", path: "/console/sign-in", same_site: "Lax" };

/// How long somebody may be at the provider, in milliseconds.
const LEAVE_MS: i64 = 10 * 60_000;

/// Longest time for an answer of the provider: two of its requests take at most that long. Those who wait for each
/// other wait no longer, either.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Longest address of a page to which somebody comes back: the cookie stays short.
const NEXT_LEN_MAX: usize = 200;

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedInPage<'a> {
    d: &'a PageContext,
    next: &'a str,
}

pub(crate) async fn leave(
    desk: PageContext,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> ConsoleResult {
    let provider = provider(&desk)?;
    let next = Some(next_page(&desk.query)).filter(|next| next.len() <= NEXT_LEN_MAX);
    let next = next.unwrap_or(HOME).to_owned();
    let (from, now) = (peer_of(&desk, peer, &headers).to_string(), desk.now.0);
    let Some(_place) = desk.console.at_provider.take(&from) else {
        return Err(ConsoleError::Busy);
    };
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let asked = SignInRequest {
        back: format!("{}/console/sign-in/back", desk.host),
        state: random(),
        nonce: random(),
        verifier: format!("{}{}", random(), random()),
    };
    let door = match answered(ANSWER_MAX, provider.door(&asked)).await {
        Ok(door) => door,
        Err(error) => return wrong(&desk, &error),
    };
    let signed = desk.console.signer.sign(&PendingSignIn { asked, next, at: now }, desk.now);
    let mut response = to(&door);
    desk.give(&LEAVE, &signed, LEAVE_MS / 1_000, &mut response);
    Ok(response)
}

/// `GET /console/sign-in/back`: to here the provider sends the browser.
pub(crate) async fn come_back(
    desk: PageContext,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> ConsoleResult {
    let (provider, t, console) = (provider(&desk)?, desk.t, &desk.console);
    let left = desk.cookie(&LEAVE, &headers);
    let left = left.and_then(|signed| console.signer.read::<PendingSignIn>(&signed));
    let left = left.filter(|left| (left.at..left.at + LEAVE_MS).contains(&desk.now.0));
    let state = desk.query.get("state");
    let Some(left) = left.filter(|left| state == Some(left.asked.state.as_str())) else {
        return sign_in::refused(&desk, t.identity_late());
    };
    let Some(code) = desk.query.get("code") else {
        return sign_in::refused(&desk, t.identity_cancelled());
    };
    let (from, now) = (peer_of(&desk, peer, &headers).to_string(), desk.now.0);
    if let Some(wait) = console.wrong.blocked(&at_provider(&from), now) {
        return sign_in::refused(&desk, &t.sign_in_blocked(minutes_of(wait)));
    }
    let asking = person(Arc::clone(console), provider, left.asked, code.to_owned(), from, now);
    let person = match tokio::spawn(asking).await.map_err(|_| ConsoleError::Broken)?? {
        Ok(person) => person,
        Err(error) => return wrong(&desk, &error),
    };
    let account = match admitted(&desk, person).await? {
        Ok(account) => account,
        Err(why) => return sign_in::refused(&desk, &why),
    };
    sign_in::enter(&desk, &account).await?;
    // A page, and no redirect: after one a browser would not send the cookie of the session yet, since another
    // site has begun all of this.
    let mut response = desk.page(&SignedInPage { d: &desk, next: &left.next })?;
    sign(console, &desk, &sign_in::session(&desk, &account), &mut response);
    desk.give(&LEAVE, "", 0, &mut response);
    Ok(response)
}

/// Who has come back `from` an address, as the provider says it. A task of its own: a caller with made-up codes who
/// hangs up keeps the place, and is counted. An outage of the provider counts for nobody.
async fn person(
    console: Arc<Console>,
    provider: Arc<dyn IdentityProvider>,
    asked: SignInRequest,
    code: String,
    from: String,
    now: i64,
) -> ConsoleResult<Result<ExternalIdentity, IdentityError>> {
    let Some(_place) = console.at_provider.take(&from) else {
        return Err(ConsoleError::Busy);
    };
    let found = answered(ANSWER_MAX, provider.person(&asked, &code)).await;
    match &found {
        Ok(_) => console.wrong.forget(&at_provider(&from)),
        Err(IdentityError::Refused(_)) => console.wrong.count(&at_provider(&from), now),
        Err(IdentityError::Away(_)) => {}
    }
    Ok(found)
}

/// Under which key codes are counted that the provider does not take. It has a blank, so it is nobody's name.
fn at_provider(from: &str) -> String {
    format!("{from} at the provider")
}

/// The account of a person, or why they have none, as a sentence.
async fn admitted(
    desk: &PageContext,
    person: ExternalIdentity,
) -> ConsoleResult<Result<StaffMember, String>> {
    let t = desk.t;
    let Some(role) = person.role else {
        return Ok(Err(t.identity_no_role(IsolatedText(&person.name))));
    };
    let Ok(name) = person.name.parse() else {
        return Ok(Err(t.identity_name(IsolatedText(&person.name))));
    };
    let person = IdentifiedStaff { identity: person.identity, name, role };
    let list = desk.engine().staff().await?;
    let is_known = list.people().iter().any(|it| it.identity.as_ref() == Some(&person.identity));
    if !is_known && has_twin(&list, &person.name) {
        return Ok(Err(t.identity_name_has_twin(IsolatedText(&person.name))));
    }
    match desk.engine().admit_staff(&person).await {
        Ok(account) => Ok(Ok(account)),
        Err(Failure::Refused { refusal: Refusal::NameTaken, .. }) => {
            Ok(Err(t.identity_name_taken(IsolatedText(&person.name))))
        }
        Err(other) => Err(other.into()),
    }
}

fn provider(desk: &PageContext) -> ConsoleResult<Arc<dyn IdentityProvider>> {
    desk.console.setup.identity.clone().ok_or(ConsoleError::NotFound)
}

/// What people read when the provider does not say who they are.
fn wrong(desk: &PageContext, error: &IdentityError) -> ConsoleResult {
    tracing::warn!(%error, "nobody could sign in to the console");
    match error {
        IdentityError::Away(_) => sign_in::refused(desk, desk.t.identity_away()),
        IdentityError::Refused(_) => sign_in::refused(desk, desk.t.identity_refused()),
    }
}

async fn answered<T>(
    within: Duration,
    answer: impl Future<Output = Result<T, IdentityError>>,
) -> Result<T, IdentityError> {
    let late = |_| Err(IdentityError::Away(format!("no answer within {within:?}")));
    timeout(within, answer).await.unwrap_or_else(late)
}

/// `POST /console/sign-in/go-on`: somebody whose session had ended has signed in in another tab, and goes on with
/// their form.
pub(crate) async fn go_on(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let next = next_page(&fields);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_provider_that_hangs() {
        let hangs = std::future::pending::<Result<(), _>>();
        let late = answered(Duration::from_millis(10), hangs).await;
        assert!(matches!(late, Err(IdentityError::Away(_))), "{late:?}");
        assert_eq!(answered(ANSWER_MAX, async { Ok(7) }).await, Ok(7));
    }
}
