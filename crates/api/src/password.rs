//! Passwords: the only place that hashes or compares them.
//!
//! Argon2id at OWASP's minimum costs 42 ms of a core and 19 MiB, so a few run at a time, a few
//! more wait, and the rest is turned away: signing in must not starve redeeming.

use std::fmt;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::Error as HashError;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// Shortest password, in bytes: NIST SP 800-63B wants 8 characters at least, and no rules of
/// composition.
pub const PASSWORD_BYTES_MIN: usize = 8;

/// Longest password, in bytes: room for a pass phrase; more would only be work for us.
pub const PASSWORD_BYTES_MAX: usize = 128;

/// How many may wait for their turn. On two cores that is 1.4 s for the last, after which people
/// press the button again anyway.
pub const WAITING_MAX: usize = 32;

/// Memory of one hash, in KiB. With time 2 and one lane OWASP's minimum for argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Compared with when there is no such login; of the same cost as a real one, a test sees to
/// that. Which password it belongs to does not matter: the answer is `false` either way.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWxvZ3MtaW4hIQ$\
                      YSBwYXNzd29yZCBvZiBub2JvZHkgYXQgYWxsLCAzMmI";

/// A password of an acceptable length. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

/// Why a text is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("password has {len} bytes, want {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX}")]
pub struct BadPassword {
    /// How long it is.
    pub len: usize,
}

impl Password {
    /// Takes any characters.
    ///
    /// # Errors
    /// [`BadPassword`] by its length.
    pub fn new(text: impl Into<Box<str>>) -> Result<Password, BadPassword> {
        let text = text.into();
        match (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&text.len()) {
            true => Ok(Password(text)),
            false => Err(BadPassword { len: text.len() }),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Why a password was neither hashed nor compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// All turns and waiting places are taken; 429, nothing was done.
    #[error("too many sign-ins at the moment, want at most {WAITING_MAX} waiting")]
    TooMany,
    /// What the store holds is not a hash.
    #[error("stored password hash is unreadable: {0}")]
    Stored(HashError),
    /// Out of memory or out of randomness.
    #[error("password could not be hashed: {0}")]
    Hashing(HashError),
    /// The process is stopping.
    #[error("password work was broken off")]
    BrokenOff,
}

/// Hashes and compares passwords, a few at a time. Cheap to clone; clones share the turns.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Those working and those waiting.
    places: Arc<Semaphore>,
    /// Those working.
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords::new()
    }
}

impl Passwords {
    /// With half of the cores, at least one: the other half is for redeeming.
    pub fn new() -> Passwords {
        let cores = available_parallelism().map_or(1, usize::from);
        Passwords::with_turns((cores / 2).max(1))
    }

    fn with_turns(turns: usize) -> Passwords {
        Passwords {
            places: Arc::new(Semaphore::new(turns + WAITING_MAX)),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// The hash of `password` with a fresh salt, as a PHC string of about 97 characters.
    ///
    /// # Errors
    /// [`PasswordError::TooMany`], [`PasswordError::Hashing`], [`PasswordError::BrokenOff`].
    pub async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        self.in_turn(move || {
            let hashed: PasswordHash = argon2()
                .and_then(|argon2| argon2.hash_password(password.0.as_bytes()))
                .map_err(PasswordError::Hashing)?;
            Ok(hashed.to_string())
        })
        .await
    }

    /// Whether `password` belongs to `stored`, a PHC string. With `None`, for a login that does
    /// not exist, it works as long and says `false`.
    ///
    /// # Errors
    /// Any [`PasswordError`].
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<&str>,
    ) -> Result<bool, PasswordError> {
        let exists = stored.is_some();
        let stored = whole(stored.unwrap_or(NOBODY))?;
        let matches = self.in_turn(move || compare(&password, &stored)).await?;
        Ok(exists && matches)
    }

    /// The permits go with the work, not with the request: somebody who hangs up gives neither
    /// his core nor his memory back before the hash is done.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place =
            Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordError::TooMany)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| PasswordError::BrokenOff)?;
        let permits: [OwnedSemaphorePermit; 2] = [place, turn];
        let task = spawn_blocking(move || {
            let done = work();
            drop(permits);
            done
        });
        task.await.unwrap_or(Err(PasswordError::BrokenOff))
    }
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A PHC string may lack salt and hash; the library would call every password wrong then.
fn whole(phc: &str) -> Result<PasswordHash, PasswordError> {
    let parsed = PasswordHash::new(phc).map_err(|error| PasswordError::Stored(error.into()))?;
    match (parsed.salt, parsed.hash) {
        (Some(_), Some(_)) => Ok(parsed),
        (None, _) | (_, None) => Err(PasswordError::Stored(HashError::EncodingInvalid)),
    }
}

/// The cost is the one written in `stored`, so that hashes outlive a change of it.
fn compare(password: &Password, stored: &PasswordHash) -> Result<bool, PasswordError> {
    let argon2 = argon2().map_err(PasswordError::Hashing)?;
    match argon2.verify_password(password.0.as_bytes(), stored) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Stored(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[test]
    fn lengths() {
        let cases = [
            ("7 bytes", 7, Err(BadPassword { len: 7 })),
            ("8 bytes", 8, Ok(())),
            ("128 bytes", 128, Ok(())),
            ("129 bytes", 129, Err(BadPassword { len: 129 })),
        ];
        for (name, len, want) in cases {
            assert_eq!(Password::new("p".repeat(len)).map(|_| ()), want, "{name}");
        }
    }

    #[test]
    fn is_not_printed() {
        assert_eq!(format!("{:?}", password("correct horse")), "Password(…)");
    }

    #[tokio::test]
    async fn verifies_what_it_hashed() {
        let passwords = Passwords::new();
        let stored = passwords.hash(password("correct horse")).await.unwrap();
        let again = passwords.hash(password("correct horse")).await.unwrap();
        assert_ne!(stored, again, "salted");
        let cases = [
            ("the password", "correct horse", Some(stored.as_str()), true),
            ("another one", "battery staple", Some(stored.as_str()), false),
            ("nobody's", "correct horse", None, false),
        ];
        for (name, text, stored, want) in cases {
            assert_eq!(passwords.verify(password(text), stored).await.unwrap(), want, "{name}");
        }
    }

    #[tokio::test]
    async fn nobody_costs_what_somebody_costs() {
        let stored = Passwords::new().hash(password("correct horse")).await.unwrap();
        let somebody = PasswordHash::new(&stored).unwrap();
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let params = |hash| Params::try_from(hash).unwrap();
        let (real, dummy) = (params(&somebody), params(&nobody));
        assert_eq!(
            (real.m_cost(), real.t_cost(), real.p_cost()),
            (dummy.m_cost(), dummy.t_cost(), dummy.p_cost())
        );
        assert_eq!((somebody.algorithm, somebody.version), (nobody.algorithm, nobody.version));
        let len = |hash: &PasswordHash| (hash.hash.unwrap().len(), hash.salt.unwrap().len());
        assert_eq!(len(&somebody), len(&nobody));
    }

    #[tokio::test]
    async fn an_unreadable_hash_is_an_error_and_not_a_wrong_password() {
        for stored in ["", "plain text", "$argon2id$v=19$m=1"] {
            let outcome = Passwords::new().verify(password("correct horse"), Some(stored)).await;
            assert!(matches!(outcome, Err(PasswordError::Stored(_))), "{stored:?}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn one_past_the_queue_is_turned_away() {
        let passwords = Passwords::with_turns(1);
        let working = Arc::clone(&passwords.turns).acquire_owned().await.unwrap();
        let _its_place = Arc::clone(&passwords.places).acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.in_turn(|| Ok(1)).await })
            })
            .collect();
        // This test has one thread: after a yield each of them has run until it had to wait.
        tokio::task::yield_now().await;
        let refused = passwords.in_turn(|| Ok(1)).await;
        assert!(matches!(refused, Err(PasswordError::TooMany)), "{refused:?}");
        drop(working);
        for task in waiting {
            assert_eq!(task.await.unwrap().unwrap(), 1, "the 32 that waited had their turn");
        }
    }
}
