//! Names: the only place where text becomes the id of a user, a campaign, a batch or a request.
//!
//! Every name is visible, has a length limit, and has no space, so it fits in a key and a log line, and no other
//! module checks one again. All but users are ASCII, so they fit in a header, too.

mod user;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use icu_properties::CodePointSetData;
use icu_properties::props::BidiControl;

pub use user::{USER_LEN_MAX, UserId};

/// Longest `campaign_id`, `batch_id` or `reader`, in characters: a prefixed UUID, an e-mail address.
pub const NAME_LEN_MAX: usize = 64;

/// Longest `issue_ref` or `order_ref`, in characters: room for `replaces:` and a foreign code.
pub const REF_LEN_MAX: usize = 100;

/// Longest `reason`, in bytes of UTF-8: a sentence, not a document.
pub const REASON_LEN_MAX: usize = 200;

const _: () = assert!(REF_LEN_MAX >= "replaces:".len() + crate::code::FOREIGN_LEN_MAX);

/// Why a text is no name of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Empty, or longer than the limit of its kind.
    #[error("has {found} characters, want 1 to {max}")]
    Length {
        /// Characters found.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Empty, or longer in UTF-8 than the limit of its kind.
    #[error("has {found} bytes, want 1 to {max}")]
    Bytes {
        /// Bytes found.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A character outside the alphabet of its kind.
    #[error("has {found:?} at {at}, want {want}")]
    Character {
        /// The first character that is not accepted.
        found: char,
        /// Its position, from 0.
        at: usize,
        /// The alphabet, in words.
        want: &'static str,
    },
}

fn check(
    text: &str,
    max: usize,
    want: &'static str,
    accepted: fn(char) -> bool,
) -> Result<(), BadName> {
    let found = text.chars().count();
    if !(1..=max).contains(&found) {
        return Err(BadName::Length { found, max });
    }
    if let "." | ".." = text {
        // A client removes these from a path before it sends it, so nobody could ask for the name.
        return Err(BadName::Character { found: '.', at: 0, want });
    }
    match text.chars().enumerate().find(|(_, c)| !accepted(*c)) {
        Some((at, found)) => Err(BadName::Character { found, at, want }),
        None => Ok(()),
    }
}

fn visible(c: char) -> bool {
    c.is_ascii_graphic()
}

/// Characters that a URL path has without escapes.
fn path_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | ':')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:expr, $want:literal, $accepted:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        // Shared: millions of coupons have the id of one campaign.
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                check(text, $max, $want, $accepted)?;
                Ok(Self(text.into()))
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
    CampaignId, NAME_LEN_MAX, "A-Z a-z 0-9 - _ . ~ :", path_safe
);
name!(
    /// A batch within its campaign, named by whoever creates it, or by couponry.
    BatchId, NAME_LEN_MAX, "A-Z a-z 0-9 - _ . ~ :", path_safe
);
name!(
    /// One attempt to pay, named by the shop.
    OrderRef, REF_LEN_MAX, "visible ASCII characters", visible
);
name!(
    /// One request to issue a coupon, named by the caller.
    IssueRef, REF_LEN_MAX, "visible ASCII characters", visible
);
name!(
    /// A reader of the event feed, as it calls itself.
    ReaderName, NAME_LEN_MAX, "letters, digits, -, _, ., ~ or :", path_safe
);
name!(
    /// One request to revoke a coupon, named by the caller.
    RevokeRef, REF_LEN_MAX, "visible ASCII characters", visible
);

impl IssueRef {
    /// Of the coupon that `order` got behind a shared code. May be longer than [`REF_LEN_MAX`].
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

    /// `role:name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why somebody revoked, voided, extended or cancelled, for readers of the history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reason(Box<str>);

impl Reason {
    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Reason, BadName> {
        if text.is_empty() || text.len() > REASON_LEN_MAX {
            return Err(BadName::Bytes { found: text.len(), max: REASON_LEN_MAX });
        }
        check_sentence(text)?;
        Ok(Reason(text.into()))
    }
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
            ("an order outside ASCII", "ä".parse::<OrderRef>().is_ok(), false),
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
            ("a ref at the limit", "r".repeat(REF_LEN_MAX).parse::<OrderRef>().is_ok(), true),
            (
                "a ref past the limit",
                "r".repeat(REF_LEN_MAX + 1).parse::<IssueRef>().is_ok(),
                false,
            ),
        ];
        for (name, found, want) in cases {
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn an_error_says_what_was_found() {
        let error = "a b".parse::<OrderRef>().unwrap_err();
        assert_eq!(error.to_string(), "has ' ' at 1, want visible ASCII characters");
    }
}
