//! The company's identity provider, at which people sign in to the console (OpenID Connect Core 1.0, code flow with
//! PKCE). The token verifier checks what it signs; here are the requests around that.

use std::sync::Arc;
use std::time::Duration;

use api::outbound::{self, whole};
use api::token::{BadToken, ROLE_PREFIX, RoleClaim, TokenService};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use command_line::SecretText;
use console::{ExternalIdentity, IdentityError, IdentityProvider, SignInRequest};
use engine::{Engine, StaffRole};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Client, Response, StatusCode, Url};
use ring::digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::failure::{CliError, Result};
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer, in bytes: a token with many groups has some 20 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// For how long it is remembered where the provider is asked.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// The claims that may have a name that people know, the best first.
const NAME_CLAIMS: [&str; 3] = ["preferred_username", "email", "sub"];

pub(crate) struct Provider {
    issuer: String,
    client_id: String,
    secret: Option<SecretText>,
    role_claim: RoleClaim,
    tokens: Arc<TokenService>,
    engine: Arc<Engine>,
    known: Mutex<Option<(Instant, Arc<Doors>)>>,
}

/// Where the provider is asked.
struct Doors {
    people: Url,
    tokens: Url,
    /// Whether the secret goes into the form.
    secret_in_form: bool,
    client: Client,
}

/// What a provider publishes of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Published {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

pub(super) fn provider(
    settings: &Settings,
    tokens: &Arc<TokenService>,
    engine: &Arc<Engine>,
) -> Result<Option<Arc<dyn IdentityProvider>>> {
    let Some((issuer, client_id, secret)) = client_of(settings)? else { return Ok(None) };
    Ok(Some(Arc::new(Provider {
        issuer,
        client_id,
        secret,
        role_claim: RoleClaim::new(&settings.console_role_claim.value),
        tokens: Arc::clone(tokens),
        engine: Arc::clone(engine),
        known: Mutex::default(),
    })))
}

/// The issuer, and the id and the secret of the console as its client, if people sign in there.
///
/// # Errors
/// Usage: no issuer, one that cannot be asked, or a secret that cannot be read.
pub(super) fn client_of(
    settings: &Settings,
) -> Result<Option<(String, String, Option<SecretText>)>> {
    let Some(client_id) = settings.console_client.value.clone() else { return Ok(None) };
    let Some(issuer) = settings.identity_issuer.value.clone() else {
        return Err(CliError::usage(
            "console_client needs an issuer: set identity_issuer, identity_audience and \
             identity_jwks",
        ));
    };
    outbound::checked(&issuer).map_err(|why| {
        let why = format!("people cannot sign in there, since its address {why}");
        settings.identity_issuer.unusable(why)
    })?;
    let file = &settings.console_client_secret;
    let secret = file.value.as_deref().map(SecretText::in_file).transpose();
    let secret = secret.map_err(|why| file.unusable(why))?;
    Ok(Some((issuer, client_id, secret)))
}

impl IdentityProvider for Provider {
    fn door<'a>(
        &'a self,
        asked: &'a SignInRequest,
    ) -> BoxFuture<'a, Result<String, IdentityError>> {
        async move {
            let mut door = self.doors().await?.people.clone();
            let digest = digest::digest(&digest::SHA256, asked.verifier.as_bytes());
            let challenge = URL_SAFE_NO_PAD.encode(digest);
            door.query_pairs_mut()
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.client_id)
                .append_pair("redirect_uri", &asked.back)
                .append_pair("scope", "openid profile email")
                .append_pair("state", &asked.state)
                .append_pair("nonce", &asked.nonce)
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
            Ok(door.to_string())
        }
        .boxed()
    }

    fn person<'a>(
        &'a self,
        asked: &'a SignInRequest,
        code: &'a str,
    ) -> BoxFuture<'a, Result<ExternalIdentity, IdentityError>> {
        async move {
            let token = self.id_token(asked, code).await?;
            let now = self.engine.now().0;
            let claims = self.tokens.id_token(&token, &self.client_id, &asked.nonce, now).await;
            let claims = claims.map_err(|error| match error {
                BadToken::KeysUnavailable => IdentityError::Away(error.to_string()),
                other => IdentityError::Refused(other.to_string()),
            })?;
            Ok(person(&self.issuer, &self.role_claim, &claims))
        }
        .boxed()
    }
}

impl Provider {
    /// Where it is asked. Callers wait for one who finds out.
    async fn doors(&self) -> Result<Arc<Doors>, IdentityError> {
        let mut known = self.known.lock().await;
        if let Some((at, doors)) = &*known
            && at.elapsed() < KEPT
        {
            return Ok(Arc::clone(doors));
        }
        let address = format!(
            "{}/.well-known/openid-configuration",
            self.issuer.strip_suffix('/').unwrap_or(&self.issuer)
        );
        let address = checked("the issuer", &address)?;
        let published = client(&address)?.get(address).send().await.map_err(away)?;
        let published: Published = read(published).await?;
        if published.issuer != self.issuer {
            let why = format!("it calls itself {:?}, want {:?}", published.issuer, self.issuer);
            return Err(IdentityError::Away(why));
        }
        let methods = published.token_endpoint_auth_methods_supported;
        let has = |name: &str| methods.iter().any(|method| method == name);
        let tokens = checked("token_endpoint", &published.token_endpoint)?;
        let doors = Arc::new(Doors {
            people: checked("authorization_endpoint", &published.authorization_endpoint)?,
            client: client(&tokens)?,
            tokens,
            // Without a list it is the header.
            secret_in_form: has("client_secret_post") && !has("client_secret_basic"),
        });
        *known = Some((Instant::now(), Arc::clone(&doors)));
        Ok(doors)
    }

    async fn id_token(&self, asked: &SignInRequest, code: &str) -> Result<String, IdentityError> {
        #[derive(Deserialize)]
        struct Given {
            id_token: String,
        }
        let doors = self.doors().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &asked.back),
            ("code_verifier", &asked.verifier),
        ];
        let mut request = doors.client.post(doors.tokens.clone());
        match self.secret.as_ref().map(SecretText::reveal) {
            Some(secret) if !doors.secret_in_form => {
                request = request.basic_auth(encoded(&self.client_id), Some(encoded(secret)));
            }
            Some(secret) => {
                form.extend([("client_id", &*self.client_id), ("client_secret", secret)])
            }
            None => form.push(("client_id", &self.client_id)),
        }
        let answer = request.form(&form).send().await.map_err(away)?;
        let status = answer.status();
        if status.is_client_error() {
            let body: Value = read(answer).await.unwrap_or_default();
            let said =
                ["error", "error_description"].map(|it| body[it].as_str().unwrap_or_default());
            let why = format!("{status} {}", said.join(" ").trim());
            // It refuses us, not the person: nobody is locked out for a secret that has expired.
            let is_ours = status == StatusCode::TOO_MANY_REQUESTS
                || ["invalid_client", "unauthorized_client"].contains(&said[0]);
            return Err(match is_ours {
                true => IdentityError::Away(why),
                false => IdentityError::Refused(why),
            });
        }
        if !status.is_success() {
            return Err(IdentityError::Away(format!("it answered {status}")));
        }
        read::<Given>(answer).await.map(|given| given.id_token)
    }
}

/// The id of a client, or its secret, in the header of a request (RFC 6749, section 2.3.1).
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn checked(name: &str, address: &str) -> Result<Url, IdentityError> {
    outbound::checked(address).map_err(|why| IdentityError::Away(format!("{name} {why}")))
}

fn client(url: &Url) -> Result<Client, IdentityError> {
    outbound::client(url, TIMEOUT).build().map_err(away)
}

fn away(error: reqwest::Error) -> IdentityError {
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    // Without the address: it may have the code.
    IdentityError::Away(format!("{} {cause}", error.without_url()))
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, IdentityError> {
    let body = whole(answer, ANSWER_BYTES_MAX).await;
    let body = body.map_err(|unread| IdentityError::Away(unread.to_string()))?;
    serde_json::from_slice(&body).map_err(|why| IdentityError::Away(why.to_string()))
}

/// The person whom these claims of the issuer are about.
fn person(issuer: &str, role_claim: &RoleClaim, claims: &Map<String, Value>) -> ExternalIdentity {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let is_unverified = claims.get("email_verified").is_some_and(|it| *it == Value::Bool(false));
    let mut names = NAME_CLAIMS.into_iter().filter(|claim| *claim != "email" || !is_unverified);
    let name = names.find_map(text).unwrap_or_default();
    let roles = role_claim.values(claims);
    let has = |role: &StaffRole| {
        roles.iter().any(|it| it.strip_prefix(ROLE_PREFIX) == Some(role.as_str()))
    };
    ExternalIdentity {
        // An address has no blank.
        identity: format!("{issuer} {}", text("sub").unwrap_or_default()),
        name: name.to_owned(),
        role: StaffRole::ALL.into_iter().rev().find(has),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people() {
        let cases = [
            ("an admin", json!({"sub": "1", "roles": ["couponry-admin"]}), "1", Some("admin")),
            ("one role", json!({"sub": "1", "roles": "couponry-support"}), "1", Some("support")),
            (
                "the strongest",
                json!({"sub": "1", "roles": ["couponry-viewer", "couponry-operator", "x"]}),
                "1",
                Some("operator"),
            ),
            ("admin of something", json!({"sub": "1", "roles": ["admin", "couponry-"]}), "1", None),
            ("no roles", json!({"sub": "1"}), "1", None),
            ("odd roles", json!({"sub": "1", "roles": {"couponry-admin": true}}), "1", None),
            ("a name", json!({"sub": "1", "preferred_username": "eva"}), "eva", None),
            ("an address", json!({"sub": "1", "email": "eva@a.example"}), "eva@a.example", None),
            (
                "an address of somebody",
                json!({"sub": "1", "email": "eva@a.example", "email_verified": false}),
                "1",
                None,
            ),
        ];
        for (case, claims, name, role) in cases {
            let found =
                person("https://id", &RoleClaim::new("roles"), claims.as_object().expect("claims"));
            assert_eq!(found.identity, "https://id 1", "{case}");
            assert_eq!((&*found.name, found.role.map(StaffRole::as_str)), (name, role), "{case}");
        }
    }
}
