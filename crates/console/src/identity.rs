//! Signing in at the company's identity provider: what the console needs of it, and what a browser keeps meanwhile.

use engine::StaffRole;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::signing::SignedPayload;

/// The identity provider. Whoever builds the console talks to it.
pub trait IdentityProvider: Send + Sync {
    /// The address to which a browser goes to sign in there.
    ///
    /// # Errors
    /// [`IdentityError::Away`].
    fn door<'a>(&'a self, asked: &'a SignInRequest)
    -> BoxFuture<'a, Result<String, IdentityError>>;

    /// Who has come back with a code.
    fn person<'a>(
        &'a self,
        asked: &'a SignInRequest,
        code: &'a str,
    ) -> BoxFuture<'a, Result<ExternalIdentity, IdentityError>>;
}

/// One attempt of a browser to sign in at the provider (OpenID Connect, code flow with PKCE).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInRequest {
    /// Where the provider sends the browser back to.
    pub back: String,
    /// Only this browser comes back with it.
    pub state: String,
    /// The provider's answer has it.
    pub nonce: String,
    /// Whoever uses the code must know it; 64 characters.
    pub verifier: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalIdentity {
    /// Who they are there: the same text for the same person for ever, and for nobody else.
    pub identity: String,
    pub name: String,
    /// What they may do here, if the provider says that.
    pub role: Option<StaffRole>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The provider does not answer, or not as one. The text is for the log.
    #[error("the identity provider does not answer: {0}")]
    Away(String),
    /// Its answer is not about this attempt, or the code was used.
    #[error("the identity provider does not confirm the sign-in: {0}")]
    Refused(String),
}

/// What the browser keeps until it comes back.
#[derive(Serialize, Deserialize)]
pub(crate) struct PendingSignIn {
    pub(crate) asked: SignInRequest,
    pub(crate) next: String,
    pub(crate) at: i64,
}

impl SignedPayload for PendingSignIn {
    const PURPOSE: &'static str = "identity";
}
