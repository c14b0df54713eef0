//! Secrets and signatures as in Standard Webhooks 1.0: HMAC-SHA-256 over id, timestamp and body.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// Fewest bytes of a secret: as Standard Webhooks requires.
const SECRET_LEN_MIN: usize = 24;

/// Most bytes of a secret: HMAC hashes longer ones.
const SECRET_LEN_MAX: usize = 64;

/// Most secrets at a time: an old and a new one while the receiver changes, and some to spare.
pub(crate) const SECRETS_MAX: usize = 4;

const SECRET_LEN: usize = 32;

/// One secret. Its `Debug` does not show it.
#[derive(Clone)]
pub struct Secret {
    text: String,
    key: hmac::Key,
}

impl Secret {
    /// Parses a secret: `whsec_` and base64, or any other text as it is.
    ///
    /// # Errors
    /// Why; without the secret.
    pub fn parse(text: &str) -> Result<Secret, String> {
        let bytes = match text.strip_prefix("whsec_") {
            Some(encoded) => {
                STANDARD.decode(encoded).map_err(|_| "is not base64 after whsec_".to_owned())?
            }
            None => text.as_bytes().to_vec(),
        };
        let found = bytes.len();
        if !(SECRET_LEN_MIN..=SECRET_LEN_MAX).contains(&found) {
            return Err(format!("has {found} bytes, want {SECRET_LEN_MIN} to {SECRET_LEN_MAX}"));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        Ok(Secret { text: text.to_owned(), key })
    }

    /// `None` if the system has no random numbers.
    pub fn random() -> Option<Secret> {
        let mut bytes = [0; SECRET_LEN];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Secret::parse(&format!("whsec_{}", STANDARD.encode(bytes))).ok()
    }

    /// The whole secret as text. Whoever has it can sign.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The secrets of one receiver; each of them signs every message.
#[derive(Clone, Debug)]
pub struct Secrets(pub(crate) Vec<Secret>);

impl Secrets {
    /// Parses one secret a line, see [`Secret::parse`].
    ///
    /// # Errors
    /// Why; without the secret.
    pub fn read(text: &str) -> Result<Secrets, String> {
        let lines: Vec<&str> = text.split_whitespace().collect();
        if !(1..=SECRETS_MAX).contains(&lines.len()) {
            let found = lines.len();
            return Err(format!("has {found} secrets, want 1 to {SECRETS_MAX}, one a line"));
        }
        lines.into_iter().map(Secret::parse).collect::<Result<_, _>>().map(Secrets)
    }

    /// The header `webhook-signature`. `timestamp` is in seconds since 1970, and also the header
    /// `webhook-timestamp`.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let one = |secret: &Secret| {
            format!("v1,{}", STANDARD.encode(hmac::sign(&secret.key, signed.as_bytes())))
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the libraries that verify these.
    #[test]
    fn as_others_sign() {
        let sign = |secrets: &str| {
            let secrets = Secrets::read(secrets).unwrap();
            let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
            secrets.sign(id, 1_614_265_330, "{\"test\": 2432232314}")
        };
        let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(SECRET), known);
        let both = sign(&format!("{SECRET}\nanother-one-of-24-letters\n"));
        assert!(both.starts_with(&format!("{known} v1,")), "{both}");
        assert_eq!(both.split(' ').count(), 2, "{both}");
    }

    #[test]
    fn secrets() {
        let text = |length: usize| "x".repeat(length);
        let cases = [
            ("as Standard Webhooks writes them", SECRET.to_owned(), true),
            ("with a line end", format!("{SECRET}\n"), true),
            ("any text", text(SECRET_LEN_MIN), true),
            ("one letter less", text(SECRET_LEN_MIN - 1), false),
            ("the longest", text(SECRET_LEN_MAX), true),
            ("one letter more", text(SECRET_LEN_MAX + 1), false),
            ("nothing", String::new(), false),
            ("no base64", "whsec_!".to_owned(), false),
            ("as many as there may be", [SECRET; SECRETS_MAX].join("\n"), true),
            ("one more", [SECRET; SECRETS_MAX + 1].join("\n"), false),
        ];
        for (name, text, good) in cases {
            assert_eq!(Secrets::read(&text).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn random_ones_differ_and_are_hidden() {
        let [one, two] = [Secret::random().unwrap(), Secret::random().unwrap()];
        assert_ne!(one.reveal(), two.reveal());
        assert!(one.reveal().starts_with("whsec_"));
        assert!(Secret::parse(one.reveal()).is_ok());
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
