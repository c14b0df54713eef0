//! Passwords: the only place that hashes or compares them, and that counts what a [`peer`] does: the wrong ones
//! ([`throttle`]), and those under way ([`places`]).
//!
//! Argon2id at OWASP's minimum costs 42 ms of a core and 19 MiB, so a few run at a time, a few
//! more wait, and the rest is turned away: signing in must not starve redeeming. The memory of a
//! hash goes back to the system with its end.

pub mod peer;
pub mod places;
mod slots;
pub mod throttle;

use std::fmt;
use std::thread::available_parallelism;

use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};

use self::places::TakenPlace;
use self::slots::HashSlots;

/// Shortest password, in characters: NIST SP 800-63B wants 8 at least, and no rules of composition.
pub const PASSWORD_CHARS_MIN: usize = 8;

/// Longest password, in bytes: room for a pass phrase; more would only be work for us.
pub const PASSWORD_BYTES_MAX: usize = 128;

/// How many of a kind, sign-ins or sign-ups, may wait for their turn. On two cores that is 1.4 s
/// for the last, after which people press the button again anyway.
pub const WAITING_MAX: usize = 32;

/// Memory of one hash, in KiB. With time 2 and one lane OWASP's minimum for argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Blocks of 1 KiB for which address space is reserved: 33 MiB, of which a hash touches 19.
///
/// glibc maps an allocation of more than 32 MiB by itself and unmaps it when it is freed. A
/// smaller one it keeps after the first time, once for each thread that ever hashed a password.
const RESERVED_BLOCKS: usize = 33 * 1_024;

/// Most memory of a stored hash, in KiB: what a later release may ask for. A hash that names more
/// did not come from couponry, and would take the machine's memory with one sign-in.
const STORED_MEMORY_KIB_MAX: u32 = 4 * MEMORY_KIB;

/// Longest hash within a PHC string, in bytes; ours have 32.
const OUTPUT_BYTES_MAX: usize = Output::MAX_LENGTH;

/// Compared with when there is no such login; of the same cost as a real one, a test sees to
/// that. Which password it belongs to does not matter: the answer is `false` either way.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWxvZ3MtaW4hIQ$\
                      YSBwYXNzd29yZCBvZiBub2JvZHkgYXQgYWxsLCAzMmI";

/// A password of an acceptable length. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    #[error("password has {0} characters, want {PASSWORD_CHARS_MIN} at least")]
    Short(usize),
    #[error("password has {0} bytes, want {PASSWORD_BYTES_MAX} at most")]
    Long(usize),
}

impl Password {
    /// Takes any characters.
    ///
    /// # Errors
    /// [`BadPassword`] by its length.
    pub fn new(text: impl Into<Box<str>>) -> Result<Password, BadPassword> {
        let text = text.into();
        match (text.chars().count(), text.len()) {
            (characters @ ..PASSWORD_CHARS_MIN, _) => Err(BadPassword::Short(characters)),
            (_, ..=PASSWORD_BYTES_MAX) => Ok(Password(text)),
            (_, bytes) => Err(BadPassword::Long(bytes)),
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
    #[error("too many sign-ins or sign-ups at the moment, want at most {WAITING_MAX} waiting")]
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

/// Hashes and compares passwords, a few at a time. Cheap to clone; clones share the slots.
///
/// Sign-in and sign-up have slots of their own, so that neither can keep the other waiting.
#[derive(Clone, Debug)]
pub struct Passwords {
    sign_in: HashSlots,
    sign_up: HashSlots,
}

/// What a password is compared for, and so whose slots it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    SignIn,
    /// Somebody makes an account, or asks for the same account again.
    SignUp,
}

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords::new()
    }
}

impl Passwords {
    /// Sign-ins get half of the cores, sign-ups a quarter, each at least one: the rest is for
    /// redeeming.
    pub fn new() -> Passwords {
        let cores = available_parallelism().map_or(1, usize::from);
        Passwords::with_turns((cores / 2).max(1), (cores / 4).max(1))
    }

    fn with_turns(sign_in: usize, sign_up: usize) -> Passwords {
        Passwords {
            sign_in: HashSlots::new(sign_in, WAITING_MAX),
            sign_up: HashSlots::new(sign_up, WAITING_MAX),
        }
    }

    fn slots(&self, purpose: Purpose) -> &HashSlots {
        match purpose {
            Purpose::SignIn => &self.sign_in,
            Purpose::SignUp => &self.sign_up,
        }
    }

    /// A place for one more sign-in or sign-up of `peer`; `None` where the peer has
    /// [`SIGNING_MAX`](throttle::SIGNING_MAX). To be asked before any work for them.
    pub fn begin(&self, purpose: Purpose, peer: &str) -> Option<TakenPlace> {
        self.slots(purpose).of_peer.take(peer)
    }

    /// The hash of `password` with a fresh salt, as a PHC string of about 97 characters. Takes a
    /// slot of sign-up.
    ///
    /// # Errors
    /// [`PasswordError::TooMany`], [`PasswordError::Hashing`], [`PasswordError::BrokenOff`].
    pub async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        let slots = self.slots(Purpose::SignUp);
        slots.run(move || hashed(&password).map_err(PasswordError::Hashing)).await
    }

    /// Whether `password` belongs to `stored`, a PHC string. With `None`, for a login that does
    /// not exist, it works as long and says `false`.
    pub async fn verify(
        &self,
        purpose: Purpose,
        password: Password,
        stored: Option<&str>,
    ) -> Result<bool, PasswordError> {
        let exists = stored.is_some();
        let stored = StoredHash::parse(stored.unwrap_or(NOBODY)).map_err(PasswordError::Stored)?;
        let matches = self.slots(purpose).run(move || stored.is_of(&password)).await?;
        Ok(exists && matches)
    }
}

fn hashed(password: &Password) -> Result<String, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = Salt::generate();
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(salt),
        hash: Some(output(&argon2, password, &salt, Params::DEFAULT_OUTPUT_LEN)?),
    };
    Ok(hash.to_string())
}

fn output(
    argon2: &Argon2<'_>,
    password: &Password,
    salt: &[u8],
    len: usize,
) -> Result<Output, HashError> {
    let mut buffer = [0; OUTPUT_BYTES_MAX];
    let out = buffer.get_mut(..len).ok_or(HashError::OutputSize)?;
    let needed = argon2.params().block_count();
    let mut blocks = Vec::with_capacity(needed.max(RESERVED_BLOCKS));
    blocks.resize(needed, Block::new());
    argon2.hash_password_into_with_memory(password.0.as_bytes(), salt, out, &mut blocks)?;
    Ok(Output::new(out)?)
}

/// A hash out of the store. The cost is the one written in it, so that hashes outlive a change of
/// it.
struct StoredHash {
    argon2: Argon2<'static>,
    salt: Salt,
    hash: Output,
}

impl StoredHash {
    fn parse(phc: &str) -> Result<StoredHash, HashError> {
        let parsed = PasswordHash::new(phc)?;
        let algorithm = Algorithm::try_from(parsed.algorithm.as_str())?;
        let version = parsed.version.map(Version::try_from).transpose()?.unwrap_or_default();
        let params = Params::try_from(&parsed)?;
        if params.m_cost() > STORED_MEMORY_KIB_MAX {
            return Err(HashError::ParamInvalid { name: "m" });
        }
        // A PHC string may lack salt and hash; the library would call every password wrong then.
        let (Some(salt), Some(hash)) = (parsed.salt, parsed.hash) else {
            return Err(HashError::EncodingInvalid);
        };
        Ok(StoredHash { argon2: Argon2::new(algorithm, version, params), salt, hash })
    }

    fn is_of(&self, password: &Password) -> Result<bool, PasswordError> {
        let found = output(&self.argon2, password, &self.salt, self.hash.len());
        // `Output` compares in constant time.
        Ok(found.map_err(PasswordError::Stored)? == self.hash)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[test]
    fn lengths() {
        let cases = [
            ("7 characters", "p".repeat(7), Err(BadPassword::Short(7))),
            ("7 characters of 3 bytes", "가".repeat(7), Err(BadPassword::Short(7))),
            ("8 characters", "p".repeat(8), Ok(())),
            ("8 characters of 3 bytes", "가".repeat(8), Ok(())),
            ("128 bytes", "p".repeat(128), Ok(())),
            ("129 bytes", "가".repeat(43), Err(BadPassword::Long(129))),
        ];
        for (name, text, want) in cases {
            assert_eq!(Password::new(text).map(|_| ()), want, "{name}");
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
            for purpose in [Purpose::SignIn, Purpose::SignUp] {
                let found = passwords.verify(purpose, password(text), stored).await.unwrap();
                assert_eq!(found, want, "{name}");
            }
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
        for stored in
            ["", "plain text", "$argon2id$v=19$m=1", &NOBODY.replace("m=19456", "m=4000000")]
        {
            let passwords = Passwords::new();
            let asked = password("correct horse");
            let outcome = passwords.verify(Purpose::SignIn, asked, Some(stored)).await;
            assert!(matches!(outcome, Err(PasswordError::Stored(_))), "{stored:?}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn hashes_of_the_library_and_ours_are_the_same() {
        use argon2::{PasswordHasher, PasswordVerifier};
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap();
        let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let theirs = library.hash_password(b"correct horse").unwrap().to_string();
        let passwords = Passwords::new();
        let asked = password("correct horse");
        assert!(passwords.verify(Purpose::SignIn, asked, Some(&theirs)).await.unwrap());
        let ours = hashed(&password("correct horse")).unwrap();
        library.verify_password(b"correct horse", ours.as_str()).unwrap();
    }

    #[test]
    fn a_peer_has_one_share_of_all_front_ends() {
        let (here, there) = {
            let passwords = Passwords::new();
            (passwords.clone(), passwords)
        };
        let begin = |at: &Passwords, purpose, peer| at.begin(purpose, peer).is_some();
        let mut share: Vec<_> = (0..throttle::SIGNING_MAX)
            .map(|nth| {
                let at = if nth % 2 == 0 { &here } else { &there };
                at.begin(Purpose::SignIn, "192.0.2.1").expect("one of its share")
            })
            .collect();
        let cases = [
            ("one more here", &here, Purpose::SignIn, "192.0.2.1", false),
            ("one more there", &there, Purpose::SignIn, "192.0.2.1", false),
            ("another peer", &there, Purpose::SignIn, "192.0.2.2", true),
            ("a sign-up", &here, Purpose::SignUp, "192.0.2.1", true),
        ];
        for (name, at, purpose, peer, want) in cases {
            assert_eq!(begin(at, purpose, peer), want, "{name}");
        }
        share.pop();
        assert!(begin(&here, Purpose::SignIn, "192.0.2.1"), "one has ended");
    }

    #[tokio::test]
    async fn one_past_the_queue_is_turned_away_and_sign_up_has_its_own() {
        let passwords = Passwords::with_turns(1, 1);
        let slots = &passwords.sign_in;
        let working = Arc::clone(slots.turns()).acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..=WAITING_MAX)
            .map(|_| {
                let slots = slots.clone();
                tokio::spawn(async move { slots.run(|| Ok(1)).await })
            })
            .collect();
        // This test has one thread: after a yield each of them has run until it had to wait.
        tokio::task::yield_now().await;
        let refused = slots.run(|| Ok(1)).await;
        assert!(matches!(refused, Err(PasswordError::TooMany)), "{refused:?}");
        let stored = passwords.hash(password("correct horse")).await;
        assert!(stored.is_ok(), "sign-ups do not wait behind sign-ins: {stored:?}");
        drop(working);
        for task in waiting {
            assert_eq!(task.await.unwrap().unwrap(), 1, "whoever had a place had a turn");
        }
    }
}
