//! Signing up, in and out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coupon::calendar::format_instant;
use coupon::ids::UserId;
use coupon::time::Millis;

use super::{Answer, Made};
use crate::app::App;
use crate::bodies::{Credentials, Reading};
use crate::extract::{Json, UserInPath, Who, unauthenticated};
use crate::password::{Password, PasswordError};
use crate::problem::{Code, Problem};
use crate::token::Role;
use crate::views::SessionBody;

/// How long a user's token is good for: an evening of shopping.
pub const USER_TOKEN_TTL_MS: i64 = 12 * 3_600 * 1_000;

/// Failed sign-ins of one login after which it is closed for [`SIGN_IN_WINDOW_MS`].
pub const SIGN_INS_MAX: u32 = 5;

/// The window in which failed sign-ins are counted.
pub const SIGN_IN_WINDOW_MS: i64 = 15 * 60 * 1_000;

/// Make an account
///
/// For shops without an identity provider: off when the server accepts tokens of another issuer.
/// Anyone may call it.
#[utoipa::path(
    post, path = "/v1/users", tag = "accounts", request_body = Credentials, security(()),
    responses((status = 201, body = SessionBody, description = "The account, and a token for it"))
)]
pub(crate) async fn create_user(
    State(app): State<Arc<App>>,
    Json(body): Json<Credentials>,
) -> Result<Made<SessionBody>, Problem> {
    has_accounts(&app)?;
    let mut reading = Reading::default();
    let login: Option<UserId> = reading.must("login_id", Some(&body.login_id));
    let password = reading.parsed("password", Password::new(body.password));
    let (login, password) = reading.done(login.zip(password))?;
    let hash = app.passwords.hash(password).await?;
    let user_id = app.engine.create_account(login, hash).await?;
    Ok(Made(engine::Done::Created(session(&app, &user_id)?)))
}

/// Sign in
///
/// An unknown login and a wrong password get the same answer after the same time. After five
/// failures in 15 minutes a login is closed for as long. Anyone may call it.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "accounts", request_body = Credentials, security(()),
    responses((status = 200, body = SessionBody, description = "A token"))
)]
pub(crate) async fn create_session(
    State(app): State<Arc<App>>,
    Json(body): Json<Credentials>,
) -> Result<Answer<SessionBody>, Problem> {
    has_accounts(&app)?;
    let wrong = || unauthenticated("the login_id or the password is wrong".into());
    // What can be no password costs nothing to refuse, so it is not counted either.
    let password = Password::new(body.password).map_err(|_| wrong())?;
    let now = app.engine.now().0;
    if let Some(wait) = app.sign_ins.blocked(&body.login_id, now) {
        return Err(Problem::too_many("too many failed sign-ins under this login_id", wait));
    }
    // Counted before the slow part, so that attempts side by side do not get past the limit.
    app.sign_ins.count(&body.login_id, now);
    let login = body.login_id.parse::<UserId>().ok();
    let account = match &login {
        Some(login) => app.engine.account_of_login(login).await,
        None => Ok(None),
    };
    if account.is_err() {
        app.sign_ins.take_back(&body.login_id);
    }
    let account = account?;
    let hash = account.as_ref().map(|account| account.password_hash.as_str());
    let right = app.passwords.verify(password, hash).await;
    if right.is_err() {
        // A busy server is not the caller's mistake.
        app.sign_ins.take_back(&body.login_id);
    }
    let right = right?;
    match account {
        Some(account) if right => {
            app.sign_ins.forget(&body.login_id);
            session(&app, &account.user_id).map(Answer)
        }
        _ => Err(wrong()),
    }
}

/// Remove an account
///
/// The login is gone and its tokens are worth nothing; its coupons stay. For the user himself, or
/// an admin.
#[utoipa::path(
    delete, path = "/v1/users/{user_id}", tag = "accounts", params(("user_id" = String, Path)),
    responses((status = 204, description = "It is gone"))
)]
pub(crate) async fn delete_user(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    UserInPath(user_id): UserInPath,
) -> Result<StatusCode, Problem> {
    app.engine.remove_account(&caller, &user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn has_accounts(app: &App) -> Result<(), Problem> {
    match app.tokens.accepts_outside() {
        false => Ok(()),
        true => Err(Problem::new(
            Code::Forbidden,
            "this server accepts the tokens of an identity provider: sign in there",
        )),
    }
}

fn session(app: &App, user_id: &UserId) -> Result<SessionBody, Problem> {
    let now = app.engine.now().0;
    let minted = app.tokens.mint(user_id.as_str(), Role::User, USER_TOKEN_TTL_MS, now);
    let (token, expires_at) = minted.map_err(|error| internal(&error))?;
    let expires_at = format_instant(Millis(expires_at));
    Ok(SessionBody { user_id: user_id.to_string(), token, expires_at })
}

fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %error, "a token could not be signed");
    Problem::new(Code::Internal, "see the log of the server")
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Problem {
        match error {
            PasswordError::TooMany => Problem::too_many("too many sign-ins at once", 1_000),
            error => {
                tracing::error!(error = %error, "a password could not be checked");
                Problem::new(Code::Internal, "see the log of the server")
            }
        }
    }
}
