//! Signing in and out, and making an account with a one-time link.

use std::net::SocketAddr;

use askama::Template;
use attempts::Attempt;
use axum::Extension;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use engine::{Caller, Failure, Role, StaffInvitation, StaffMember};
use passwords::peer::Peer;
use passwords::{Password, PasswordError, Purpose};

use crate::cookie::SESSION;
use crate::desk::{PageContext, to};
use crate::fields::FormFields;
use crate::screens::preferences::next_page;
use crate::session::{sign, to_sign_in};
use crate::signing::StaffSession;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};
use crate::twins::has_twin;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    d: &'a PageContext,
    next: &'a str,
    /// What was typed into a form when the session ended, as the body of a form.
    kept: &'a str,
    name: &'a str,
    has_provider: bool,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "go_on.html")]
struct GoOnPage<'a> {
    d: &'a PageContext,
    next: &'a str,
    fields: Vec<(String, String)>,
    csrf: String,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    d: &'a PageContext,
    link: &'a str,
    /// The role and the name of the link; `None` if it is good no more.
    invited: Option<(&'static str, Option<String>)>,
    wrong: Option<String>,
    name: &'a str,
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let next = next_page(&desk.query);
    if desk.member.is_some() {
        return Ok(to(next));
    }
    Ok(page_of(&desk, next, "", "", None, StatusCode::OK))
}

pub(crate) fn page_of(
    desk: &PageContext,
    next: &str,
    kept: &str,
    name: &str,
    wrong: Option<String>,
    status: StatusCode,
) -> Response {
    let has_provider = desk.console.setup.identity.is_some();
    let page = SignInPage { d: desk, next, kept, name, has_provider, wrong };
    desk.page_with(status, &page).into_response()
}

/// The page of the sign-in, with why somebody is not signed in.
pub(crate) fn refused(desk: &PageContext, why: &str) -> ConsoleResult {
    Ok(page_of(desk, "/console", "", "", Some(why.to_owned()), StatusCode::UNAUTHORIZED))
}

/// The form that somebody had typed when their session ended, to be sent again.
pub(crate) fn go_on(
    desk: &PageContext,
    session: &StaffSession,
    next: &str,
    kept: &str,
) -> ConsoleResult {
    let fields = FormFields::parse(kept).0;
    let csrf = desk.console.signer.form_token(session, desk.now);
    desk.page(&GoOnPage { d: desk, next, fields, csrf })
}

/// Who asks, for the limits on strangers.
pub(crate) fn peer_of(
    desk: &PageContext,
    connection: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: &HeaderMap,
) -> Peer {
    let from = connection.map(|Extension(ConnectInfo(address))| address.ip());
    from.map_or(Peer::NOWHERE, |from| Peer::at((desk.console.setup.client)(from, headers)))
}

/// Where somebody whose session is over goes: a form keeps its input.
pub(crate) fn again(desk: &PageContext, form: &Option<FormFields>) -> Response {
    let Some(fields) = form else { return to_sign_in(desk) };
    let mut fields = fields.clone();
    fields.0.retain(|(name, _)| name != "csrf");
    let next = desk.path.as_str();
    let kept = fields.encoded();
    let wrong = Some(desk.t.session_over().to_owned());
    page_of(desk, next, &kept, "", wrong, StatusCode::UNAUTHORIZED)
}

pub(crate) async fn sign_in(
    desk: PageContext,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    fields: FormFields,
) -> ConsoleResult {
    let next = next_page(&fields);
    let (name, kept) = (fields.shown("name"), fields.shown("kept"));
    let peer = peer_of(&desk, peer, &headers);
    match checked(&desk, peer, &fields).await? {
        Ok(account) => {
            let session = session(&desk, &account);
            let mut response = match kept.is_empty() {
                true => to(next),
                false => go_on(&desk, &session, next, kept)?,
            };
            enter(&desk, &account).await?;
            sign(&desk.console, &desk, &session, &mut response);
            Ok(response)
        }
        Err(wrong) => Ok(page_of(&desk, next, kept, name, Some(wrong), StatusCode::UNAUTHORIZED)),
    }
}

/// Enters in the audit that somebody signs in.
pub(crate) async fn enter(desk: &PageContext, account: &StaffMember) -> ConsoleResult<()> {
    let name = account.name.parse().map_err(|_| ConsoleError::Broken)?;
    Ok(desk.engine().staff_signed_in(&Caller::staff(Role::Operator, name)).await?)
}

/// The account, or why not, as a sentence.
async fn checked(
    desk: &PageContext,
    peer: Peer,
    fields: &FormFields,
) -> ConsoleResult<Result<StaffMember, String>> {
    let (t, console) = (desk.t, &desk.console);
    // Counted as it is looked up: one name has many spellings. What can be no name has one count.
    let name = fields.get("name").and_then(|name| name.parse::<UserId>().ok());
    let name = name.as_ref().map_or("", UserId::as_str);
    let Some(password) = password_of(fields) else {
        return Ok(Err(t.sign_in_wrong().to_owned()));
    };
    let from = peer.to_string();
    let Some(_place) = console.setup.passwords.begin(Purpose::SignIn, &from) else {
        return Ok(Err(t.sign_in_busy().to_owned()));
    };
    let key = format!("{from} {name}");
    if let Some(wait) = console.wrong.blocked(&key, desk.now.0) {
        return Ok(Err(t.sign_in_blocked(minutes_of(wait))));
    }
    // Counted before the slow part, so that attempts side by side do not get past the limit.
    console.wrong.count(&key, desk.now.0);
    let list = match console.setup.engine.staff().await {
        Ok(list) => list,
        Err(failure) => {
            console.wrong.take_back(&key);
            return Err(failure.into());
        }
    };
    let account = list.member(name).cloned();
    let hash = account.as_ref().map(|account| account.password_hash.as_str());
    // Whoever signs in at the provider has no password.
    let hash = hash.filter(|hash| !hash.is_empty());
    match console.setup.passwords.verify(Purpose::SignIn, password, hash).await {
        Ok(true) => {
            console.wrong.forget(&key);
            Ok(account.ok_or_else(|| t.sign_in_wrong().to_owned()))
        }
        Ok(false) => {
            keep_refused(desk, peer, account.as_ref());
            Ok(Err(t.sign_in_wrong().to_owned()))
        }
        Err(error) => {
            console.wrong.take_back(&key);
            busy(t, &error)
        }
    }
}

/// The password of a form, with the blanks around it; `None` if it can be none.
fn password_of(fields: &FormFields) -> Option<Password> {
    let typed = fields.0.iter().find(|(field, _)| field == "password");
    Password::new(typed.map_or("", |(_, value)| value.as_str())).ok()
}

pub(crate) fn minutes_of(wait_ms: i64) -> u64 {
    u64::try_from(wait_ms).unwrap_or(0).div_ceil(60_000)
}

/// Keeps that somebody could not sign in, with the account if there is one. What they typed as a name is not
/// kept: it may be their password.
fn keep_refused(desk: &PageContext, peer: Peer, account: Option<&StaffMember>) {
    let Some(log) = &desk.console.setup.attempts else { return };
    log.keep(Attempt {
        at: desk.now.0,
        action: "staff-sign-in".into(),
        code: None,
        campaign: None,
        // Not as a user: a customer may have the same name.
        user: None,
        order: None,
        actor: account.map(|account| format!("staff:{}", account.name)),
        peer: (peer != Peer::NOWHERE).then(|| peer.to_string()),
        problem: "UNAUTHENTICATED".into(),
        unknown: None,
    });
}

fn busy<T>(t: PageTexts, error: &PasswordError) -> ConsoleResult<Result<T, String>> {
    match error {
        PasswordError::TooMany => Ok(Err(t.sign_in_busy().to_owned())),
        other => {
            tracing::error!(error = %other, "a password of the console");
            Err(ConsoleError::Broken)
        }
    }
}

pub(crate) fn session(desk: &PageContext, account: &StaffMember) -> StaffSession {
    let (name, generation) = (account.name.clone(), account.generation);
    let id = uuid::Uuid::new_v4().as_u64_pair().0;
    StaffSession { name, generation, since: desk.now.0, at: desk.now.0, id, salt: 0 }
}

/// `GET /console/welcome`: looks at a link and does not use it, since programs look at links in messages.
pub(crate) async fn welcome(desk: PageContext) -> ConsoleResult {
    let link = desk.query.shown("link");
    let invitation = invited(&desk, link).await?;
    welcome_page(&desk, link, invitation.as_ref(), "", None)
}

/// The invitation of a link that can be used still.
async fn invited(desk: &PageContext, link: &str) -> ConsoleResult<Option<StaffInvitation>> {
    let Some(invitation) = desk.console.invitation(link) else { return Ok(None) };
    let is_open = desk.engine().staff().await?.is_open(&invitation);
    Ok(is_open.then_some(invitation))
}

fn welcome_page(
    desk: &PageContext,
    link: &str,
    invitation: Option<&StaffInvitation>,
    name: &str,
    wrong: Option<String>,
) -> ConsoleResult {
    let invited = invitation.map(|it| {
        let name = it.name.as_ref().map(ToString::to_string);
        (desk.t.role(&it.role), name)
    });
    let status = match (&invited, &wrong) {
        (None, _) => StatusCode::GONE,
        (Some(_), Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        (Some(_), None) => StatusCode::OK,
    };
    let page = WelcomePage { d: desk, link, invited, wrong, name };
    desk.page_with(status, &page)
}

/// `POST /console/welcome`: uses a link.
pub(crate) async fn enroll(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let (t, link) = (desk.t, fields.shown("link"));
    let Some(invitation) = invited(&desk, link).await? else {
        return welcome_page(&desk, link, None, "", None);
    };
    let named = invitation.name.as_ref().map(ToString::to_string);
    let typed = named.unwrap_or_else(|| fields.shown("name").to_owned());
    let again =
        |wrong: &str| welcome_page(&desk, link, Some(&invitation), &typed, Some(wrong.to_owned()));
    let Ok(name) = typed.parse::<UserId>() else { return again(t.name_rule()) };
    if has_twin(&desk.engine().staff().await?, &name) {
        return again(t.name_has_twin());
    }
    let Some(password) = password_of(&fields) else {
        return again(t.password_rule());
    };
    let hash = match desk.console.setup.passwords.hash(password).await {
        Ok(hash) => hash,
        Err(error) => {
            let wrong: Result<(), String> = busy(t, &error)?;
            return welcome_page(&desk, link, Some(&invitation), &typed, wrong.err());
        }
    };
    let account = match desk.engine().enroll_staff(&invitation, name, hash).await {
        Err(Failure::Refused { refusal: Refusal::NameTaken, .. }) => return again(t.name_taken()),
        Err(Failure::Refused { refusal: Refusal::Expired, .. }) => {
            return welcome_page(&desk, link, None, "", None);
        }
        other => other?,
    };
    let mut response = to("/console");
    sign(&desk.console, &desk, &session(&desk, &account), &mut response);
    Ok(response)
}

/// `POST /console/sign-out`, of this browser or everywhere.
pub(crate) async fn sign_out(desk: PageContext, fields: FormFields) -> ConsoleResult {
    if let Some(member) = &desk.member {
        let (engine, session) = (desk.engine(), &member.session);
        let caller = Caller::staff(Role::Operator, member.name.clone());
        match fields.get("everywhere") {
            Some(_) => engine.sign_staff_out(&caller, &member.name).await?,
            // A copy of the cookie is over too.
            None => engine.end_staff_session(&caller, session.id, session.ends_at()).await?,
        }
    }
    let mut response = to("/console/sign-in");
    desk.give(&SESSION, "", 0, &mut response);
    Ok(response)
}
