//! Tokens that were verified a moment ago: a shop sends the same one with every request, and to
//! check a signature takes longer than all the rest of reading a request.

use std::collections::HashMap;

use parking_lot::RwLock;
use ring::digest::{SHA256, digest};

use super::claims::TokenClaims;

/// How long a verified token is taken for good without a second look at its key, in milliseconds:
/// an identity provider that withdraws a key expects it to be gone within minutes. Never past the
/// token's own `exp`, nor past the time for which the key itself counts.
const REMEMBERED_MS: i64 = 5 * 60 * 1_000;

/// Most tokens that are remembered: some 1 MB.
const TOKENS_MAX: usize = 4_096;

/// SHA-256 of a token: the tokens themselves are not kept.
type TokenDigest = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct VerifiedTokens(RwLock<HashMap<TokenDigest, VerifiedToken>>);

#[derive(Debug)]
struct VerifiedToken {
    claims: TokenClaims,
    /// Milliseconds since 1970, exclusive.
    until: i64,
}

pub(super) fn print_of(token: &str) -> TokenDigest {
    let mut print = TokenDigest::default();
    print.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    print
}

impl VerifiedTokens {
    pub(super) fn claims(&self, print: &TokenDigest, now_ms: i64) -> Option<TokenClaims> {
        let remembered = self.0.read();
        let found = remembered.get(print).filter(|it| now_ms < it.until)?;
        Some(found.claims.clone())
    }

    pub(super) fn keep(
        &self,
        print: TokenDigest,
        claims: &TokenClaims,
        key_until_ms: i64,
        now_ms: i64,
    ) {
        let remembered_until = now_ms.saturating_add(REMEMBERED_MS);
        let until = claims.expires_at_ms.min(remembered_until).min(key_until_ms);
        let mut remembered = self.0.write();
        if remembered.len() >= TOKENS_MAX {
            remembered.clear();
        }
        remembered.insert(print, VerifiedToken { claims: claims.clone(), until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Role, TokenIssuer};

    fn claims(expires_at_ms: i64) -> TokenClaims {
        let (role, issuer) = (Role::User, TokenIssuer::Local);
        TokenClaims { subject: "u".parse().unwrap(), role, issuer, expires_at_ms }
    }

    #[test]
    fn for_how_long() {
        let verified = VerifiedTokens::default();
        for (name, expires_at, key_until, asked_at, is_known) in [
            ("at once", 1_000_000, i64::MAX, 10, true),
            ("before its exp", 1_000, i64::MAX, 999, true),
            ("at its exp", 1_000, i64::MAX, 1_000, false),
            ("its key may be gone", 10_000_000, i64::MAX, REMEMBERED_MS + 10, false),
            ("before its key is stale", 10_000_000, 5_000, 4_999, true),
            ("its key is stale", 10_000_000, 5_000, 5_000, false),
        ] {
            verified.keep(print_of(name), &claims(expires_at), key_until, 10);
            let found = verified.claims(&print_of(name), asked_at);
            assert_eq!(found.is_some(), is_known, "{name}");
        }
        assert!(verified.claims(&print_of("another"), 10).is_none());
    }

    #[test]
    fn no_more_than_there_may_be() {
        let verified = VerifiedTokens::default();
        for nth in 0..=TOKENS_MAX {
            verified.keep(print_of(&nth.to_string()), &claims(1_000), i64::MAX, 0);
        }
        assert!(verified.0.read().len() <= TOKENS_MAX);
        assert!(verified.claims(&print_of(&TOKENS_MAX.to_string()), 0).is_some(), "the last one");
    }
}
