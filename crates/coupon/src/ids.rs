//! Names: the only place where text becomes the id of a user, a campaign, a batch or a request.
//!
//! Every name is visible, has a length limit, and has no space, so it fits in a key and a log line, and no other
//! module checks one again. Users, orders and requests are named by the words of a shop ([`WORD_LEN_MAX`]), all others
//! by ASCII that a path has without escapes.

mod word;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use icu_properties::CodePointSetData;
use icu_properties::props::BidiControl;

pub use self::word::WORD_LEN_MAX;
use self::word::word;

/// Longest `campaign_id`, `batch_id` or `reader`, in characters: a prefixed UUID, an e-mail address.
pub const NAME_LEN_MAX: usize = 64;

/// Longest `reason`, in bytes of UTF-8: a sentence, not a document.
pub const REASON_LEN_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("has {found} characters, want 1 to {max}")]
    Length { found: usize, max: usize },
    #[error("has {found} bytes, want 1 to {max}")]
    Bytes { found: usize, max: usize },
    #[error("has {found:?} at {at}, want {want}")]
    Character {
        found: char,
        /// Its position, from 0.
        at: usize,
        /// The alphabet, in words.
        want: &'static str,
    },
}

/// A text of 1 to [`NAME_LEN_MAX`] characters that a URL path has without escapes.
fn path_safe(text: &str) -> Result<Arc<str>, BadName> {
    let want = "A-Z a-z 0-9 - _ . ~ :";
    let found = text.chars().count();
    if !(1..=NAME_LEN_MAX).contains(&found) {
        return Err(BadName::Length { found, max: NAME_LEN_MAX });
    }
    if let "." | ".." = text {
        // A client removes these from a path before it sends it, so nobody could ask for the name.
        return Err(BadName::Character { found: '.', at: 0, want });
    }
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.~:".contains(c);
    match text.chars().enumerate().find(|(_, c)| !is_safe(*c)) {
        Some((at, found)) => Err(BadName::Character { found, at, want }),
        None => Ok(text.into()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $read:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        // Shared: millions of coupons have the id of one campaign, and many have one holder.
        pub struct $name(Arc<str>);

        impl $name {
            /// Its text; that of a word in normal form C.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                $read(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A campaign, named by whoever creates it, or by couponry.
    CampaignId, path_safe
);
name!(
    /// A batch within its campaign, named by whoever creates it, or by couponry.
    BatchId, path_safe
);
name!(
    /// A reader of the event feed, as it calls itself.
    ReaderName, path_safe
);
name!(
    /// A user, in the words of the shop.
    UserId, word
);
name!(
    /// One attempt to pay, named by the shop.
    OrderRef, word
);
name!(
    /// One request to issue a coupon, named by the caller.
    IssueRef, word
);
name!(
    /// One request to revoke a coupon, named by the caller.
    RevokeRef, word
);
name!(
    /// One request to rotate the secret of a webhook, named by the caller.
    RotateRef, word
);
name!(
    /// Why somebody revoked, voided, extended or cancelled, for readers of the history.
    Reason, reason
);

impl IssueRef {
    /// Of the coupon that `order` got behind a shared code. May be longer than [`WORD_LEN_MAX`].
    pub fn of_order(order: &OrderRef) -> IssueRef {
        IssueRef(format!("order:{order}").into())
    }

    /// The text of the code that this request replaces, if it replaces one.
    pub fn replaces(&self) -> Option<&str> {
        self.0.strip_prefix("replaces:")
    }

    /// A reference from a store; it was checked when it came in.
    pub fn stored(text: &str) -> IssueRef {
        IssueRef(text.into())
    }
}

/// Who made a change: role and name of the token, `shop:checkout-7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor(Box<str>);

impl Actor {
    /// The actor `role:name`; both were checked before.
    pub fn new(text: &str) -> Actor {
        Actor(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text of 1 to [`REASON_LEN_MAX`] bytes, as it was given.
fn reason(text: &str) -> Result<Arc<str>, BadName> {
    if text.is_empty() || text.len() > REASON_LEN_MAX {
        return Err(BadName::Bytes { found: text.len(), max: REASON_LEN_MAX });
    }
    check_sentence(text)?;
    Ok(text.into())
}

/// Checks a text that people write for people: a reason, the name of a campaign.
///
/// # Errors
/// A control character, or a control of direction (Bidi_Control): it would turn the sentence round in which the text
/// is shown.
pub fn check_sentence(text: &str) -> Result<(), BadName> {
    let turns = CodePointSetData::new::<BidiControl>();
    match text.chars().enumerate().find(|(_, c)| c.is_control() || turns.contains(*c)) {
        Some((at, found)) => {
            let want = "text without control characters and marks of direction";
            Err(BadName::Character { found, at, want })
        }
        None => Ok(()),
    }
}

/// Names one attempt to change a coupon, to find it in the row if its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationId(pub u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_alphabets() {
        let long = "x".repeat(NAME_LEN_MAX);
        let longer = "x".repeat(NAME_LEN_MAX + 1);
        let cases = [
            ("a campaign at the limit", long.parse::<CampaignId>().is_ok(), true),
            ("a campaign past the limit", longer.parse::<CampaignId>().is_ok(), false),
            ("an empty campaign", "".parse::<CampaignId>().is_ok(), false),
            ("a campaign outside ASCII", "봄".parse::<CampaignId>().is_ok(), false),
            ("a campaign with a slash", "a/b".parse::<CampaignId>().is_ok(), false),
            ("a campaign that is a dot", ".".parse::<CampaignId>().is_ok(), false),
            ("a campaign of ours", "cmp_018f-x".parse::<CampaignId>().is_ok(), true),
            ("an order with a slash", "991/2".parse::<OrderRef>().is_ok(), true),
            ("a reason with spaces", "sent twice".parse::<Reason>().is_ok(), true),
            ("a reason of two lines", "a\nb".parse::<Reason>().is_ok(), false),
            ("a reason in Hebrew", "נשלח פעמיים".parse::<Reason>().is_ok(), true),
            ("a reason that turns round", "a\u{202e}b".parse::<Reason>().is_ok(), false),
            ("a reason that ends an isolate", "a\u{2069}b".parse::<Reason>().is_ok(), false),
            ("a reason at the limit", "r".repeat(REASON_LEN_MAX).parse::<Reason>().is_ok(), true),
            (
                "a reason past the limit",
                "r".repeat(REASON_LEN_MAX + 1).parse::<Reason>().is_ok(),
                false,
            ),
        ];
        for (name, found, want) in cases {
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn an_error_says_what_was_found() {
        let error = "a b".parse::<BatchId>().unwrap_err();
        assert_eq!(error.to_string(), "has ' ' at 1, want A-Z a-z 0-9 - _ . ~ :");
    }

    /// What a request replaces, and which request an order made behind a shared code.
    #[test]
    fn issue_refs_with_a_meaning() {
        let cases = [
            ("a replacement", "replaces:SPRING20", Some("SPRING20")),
            ("a word in Korean", "환영", None),
            ("no colon of ASCII", "replaces：SPRING20", None),
        ];
        for (name, text, want) in cases {
            assert_eq!(text.parse::<IssueRef>().unwrap().replaces(), want, "{name}");
        }
        let order: OrderRef = "\u{1100}\u{1161}-1".parse().unwrap();
        assert_eq!(IssueRef::of_order(&order).as_str(), "order:가-1");
    }
}
