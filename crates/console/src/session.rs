//! The session of a browser: how it gets one, which forms are of it, and where to get another.

use axum::response::Response;

use crate::Console;
use crate::cookie::SESSION;
use crate::desk::{CurrentMember, PageContext, to};
use crate::signing::StaffSession;

/// Gives the browser a session, signed now.
pub(crate) fn sign(
    console: &Console,
    desk: &PageContext,
    session: &StaffSession,
    response: &mut Response,
) {
    let salt = uuid::Uuid::new_v4().as_u128();
    let session = StaffSession { at: desk.now.0, salt, ..session.clone() };
    let left = (session.ends_at().0 - desk.now.0).max(0) / 1_000;
    let signed = console.signer.sign(&session, desk.now);
    desk.give(&SESSION, &signed, left, response);
}

/// Where whoever is signed out goes: to the sign-in, and back afterwards.
pub(crate) fn to_sign_in(desk: &PageContext) -> Response {
    to(&format!("/console/sign-in?next={}", desk.here()))
}

pub(crate) fn is_token(desk: &PageContext, member: &CurrentMember, token: &str) -> bool {
    desk.console.signer.is_form_of(&member.session, token)
}
