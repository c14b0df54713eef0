//! Accounts of this server: sign up, sign in, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coupon::calendar::format_instant;
use coupon::ids::UserId;
use coupon::time::Millis;
use engine::{Account, Failure, WriteResult};
use passwords::peer::Peer;
use passwords::places::TakenPlace;
use passwords::{Password, PasswordError, Purpose};

use crate::answer::JsonAnswer;
use crate::app::{App, SignUp};
use crate::bodies::{Credentials, FieldReader};
use crate::extract::{AuthenticatedCaller, Json, UserInPath, WhereFrom, named, unauthenticated};
use crate::problem::{Problem, Result, SEE_LOG};
use crate::problem_code::ApiErrorCode;
use crate::token::Role;
use crate::tried::TriedCall;
use crate::views::SessionBody;

/// How long a user's token is good for: an evening of shopping.
pub const USER_TOKEN_TTL_MS: i64 = 12 * 3_600 * 1_000;

/// Create an account
///
/// If the `login_id` already has an account with this password, returns 200 with that account. If the server accepts
/// the tokens of an identity provider, or its setting `sign_up` is `off`, returns
/// 403. One IP address may create 30 accounts in ten minutes. Anyone may call it, without a token.
#[utoipa::path(
    post, path = "/v1/users", tag = "accounts", security(()),
    responses(
        (status = 201, body = SessionBody, description = "The account was created; a token for it"),
        (status = 200, body = SessionBody,
            description = "The account already existed; a new token for it"),
    )
)]
pub(crate) async fn create_user(
    State(app): State<Arc<App>>,
    WhereFrom(peer): WhereFrom,
    Json(body): Json<Credentials>,
) -> Result<JsonAnswer<SessionBody>> {
    has_accounts(&app)?;
    if app.access.sign_up == SignUp::Off {
        let detail = "nobody can make an account on this server: its setting sign_up is off";
        return Err(Problem::new(ApiErrorCode::Forbidden, detail));
    }
    let mut reading = FieldReader::default();
    let login: Option<UserId> = reading.must("login_id", Some(&body.login_id));
    let password = reading.parsed("password", Password::new(body.password));
    let (login, password) = reading.done(login.zip(password))?;
    let (peer, now) = (peer.to_string(), app.engine.now().0);
    let _place = place(&app, Purpose::SignUp, &peer)?;
    if let Some(account) = app.engine.account_of_login(&login).await? {
        return made_before(&app, &peer, &login, password, account).await;
    }
    if let Some(wait) = app.sign_ups.blocked(&peer, now) {
        return Err(Problem::too_many("too many accounts from this IP address", wait));
    }
    // Counted before the slow part, so that sign-ups side by side do not get past the limit.
    app.sign_ups.count(&peer, now);
    let made = match app.access.passwords.hash(password.clone()).await {
        Ok(hash) => app.engine.create_account(login.clone(), hash).await.map_err(Problem::from),
        Err(error) => Err(error.into()),
    };
    match made {
        Ok(user_id) => Ok(JsonAnswer::created(WriteResult::Created(session(&app, &user_id)?))),
        Err(problem) => {
            app.sign_ups.take_back(&peer);
            // The same request side by side with itself: the other one was first.
            match app.engine.account_of_login(&login).await {
                Ok(Some(account)) if problem.code() == ApiErrorCode::LoginTaken => {
                    made_before(&app, &peer, &login, password, account).await
                }
                _ => Err(problem),
            }
        }
    }
}

/// The account of a login that is taken, for whoever has its password. A wrong one counts like a
/// wrong sign-in, or sign-up would be the way to guess passwords.
async fn made_before(
    app: &App,
    peer: &str,
    login: &UserId,
    password: Password,
    account: Account,
) -> Result<JsonAnswer<SessionBody>> {
    let user_id = account.user_id.clone();
    let right =
        is_right(app, Purpose::SignUp, peer, login.as_str(), password, async || Ok(Some(account)));
    match right.await? {
        Some(_) => Ok(JsonAnswer::created(WriteResult::Same(session(app, &user_id)?))),
        None => Err(Failure::LoginTaken.into()),
    }
}

/// Sign in
///
/// An unknown login and a wrong password get the same answer after the same time. If an IP address sends five wrong
/// passwords for a login within 15 minutes, the server refuses this login from this IP address until the 15 minutes
/// have ended. The login still works from other IP addresses. Anyone may call it, without a token.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "accounts", security(()),
    responses((status = 200, body = SessionBody, description = "A token for the account"))
)]
pub(crate) async fn create_session(
    State(app): State<Arc<App>>,
    WhereFrom(peer): WhereFrom,
    Json(body): Json<Credentials>,
) -> Result<JsonAnswer<SessionBody>> {
    has_accounts(&app)?;
    let wrong = || unauthenticated("the login_id or the password is wrong".into());
    // What can be no password costs nothing to refuse, so it is not counted either.
    let password = Password::new(body.password).map_err(|_| wrong())?;
    let (address, peer) = (peer, peer.to_string());
    let _place = place(&app, Purpose::SignIn, &peer)?;
    let login = body.login_id.parse::<UserId>().ok();
    let account = async || match &login {
        Some(login) => app.engine.account_of_login(login).await,
        None => Ok(None),
    };
    // Counted as it is looked up: one login has many spellings. What can be no login has one count.
    let counted = login.as_ref().map_or("", UserId::as_str);
    let right = is_right(&app, Purpose::SignIn, &peer, counted, password, account);
    match right.await? {
        Some(account) => session(&app, &account.user_id).map(JsonAnswer::ok),
        None => {
            keep_refused(&app, address, login);
            Err(wrong())
        }
    }
}

/// Keeps that somebody could not sign in, with the account if there is one. What they typed as a login is
/// not kept: it may be their password. Beside the answer: it must take the same time for any login.
fn keep_refused(app: &Arc<App>, peer: Peer, login: Option<UserId>) {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let account = match &login {
            Some(login) => app.engine.account_of_login(login).await.ok().flatten(),
            None => None,
        };
        let user = account.as_ref().map(|account| &account.user_id);
        let trial = TriedCall { action: "sign-in", code: None, user, order: None };
        app.refused(None, peer, &trial, ApiErrorCode::Unauthenticated, None);
    });
}

/// The account of `login` if `password` is its password, unless `peer` has tried too often.
async fn is_right(
    app: &App,
    purpose: Purpose,
    peer: &str,
    login: &str,
    password: Password,
    account: impl AsyncFnOnce() -> Result<Option<Account>, Failure>,
) -> Result<Option<Account>> {
    let (tries, now) = (&app.wrong_passwords, app.engine.now().0);
    let key = format!("{peer} {login}");
    if let Some(wait) = tries.blocked(&key, now) {
        let detail = "too many wrong passwords for this login_id from this IP address";
        return Err(Problem::too_many(detail, wait));
    }
    // Counted before the slow part, so that attempts side by side do not get past the limit.
    tries.count(&key, now);
    let found = async {
        let account = account().await?;
        let hash = account.as_ref().map(|account| account.password_hash.as_str());
        let right = app.access.passwords.verify(purpose, password, hash).await?;
        Ok::<_, Problem>(account.filter(|_| right))
    };
    match found.await {
        Ok(Some(account)) => {
            tries.forget(&key);
            Ok(Some(account))
        }
        Ok(None) => Ok(None),
        Err(problem) => {
            // A busy server is not the caller's mistake.
            tries.take_back(&key);
            Err(problem)
        }
    }
}

fn place(app: &App, purpose: Purpose, peer: &str) -> Result<TakenPlace> {
    let detail = "too many sign-ins or sign-ups at once from this IP address";
    let place = app.access.passwords.begin(purpose, peer);
    place.ok_or_else(|| Problem::too_many(detail, 1_000))
}

/// Delete an account
///
/// The login is deleted and its tokens stop working. The coupons of the user stay. A user may
/// delete their own account, an admin every account.
#[utoipa::path(
    delete, path = "/v1/users/{user_id}", tag = "accounts",
    responses((status = 204, description = "The account is deleted"))
)]
pub(crate) async fn delete_user(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    UserInPath(user_id): UserInPath,
) -> Result<StatusCode> {
    app.engine.remove_account(&caller, &user_id).await.map_err(named("account"))?;
    Ok(StatusCode::NO_CONTENT)
}

fn has_accounts(app: &App) -> Result<()> {
    match app.tokens.accepts_external() {
        false => Ok(()),
        true => Err(Problem::new(
            ApiErrorCode::Forbidden,
            "this server accepts the tokens of an identity provider: sign in there",
        )),
    }
}

fn session(app: &App, user_id: &UserId) -> Result<SessionBody> {
    let now = app.engine.now().0;
    let minted = app.tokens.mint(user_id.as_str(), Role::User, USER_TOKEN_TTL_MS, now);
    let (token, expires_at) =
        minted.map_err(|error| Problem::caused(ApiErrorCode::Internal, SEE_LOG, &error))?;
    let expires_at = format_instant(Millis(expires_at));
    Ok(SessionBody { user_id: user_id.to_string(), token, expires_at })
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Problem {
        match error {
            PasswordError::TooMany => Problem::too_many("too many sign-ins at once", 1_000),
            error => Problem::caused(ApiErrorCode::Internal, SEE_LOG, &error),
        }
    }
}
