//! Commands: what a message of the topic says.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::limits::{COMMAND_BYTES_MAX, NAME_CHARS_MAX};

/// Characters of a minted code. What stands before them in a longer one is a prefix.
const MINTED_LEN: usize = 16;

/// What to do. Each is a route of the API with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CommandVerb {
    Issue,
    Redeem,
    CancelRedemption,
    Hold,
    Release,
    Revoke,
    Void,
    Extend,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandTarget {
    Coupon(String),
    /// The next coupon of this campaign.
    Campaign(String),
}

#[derive(Clone, Debug)]
pub(crate) struct CouponCommand {
    /// What the sender calls it. It is only repeated in the answer.
    pub(crate) id: Option<String>,
    pub(crate) verb: CommandVerb,
    pub(crate) target: CommandTarget,
    pub(crate) body: Box<RawValue>,
    /// Commands of one lane are executed in order.
    pub(crate) lane: String,
}

/// Why a message is no command. It goes to the dead-letter topic.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCommand {
    #[error("it has no value")]
    Empty,
    #[error("it has {found} bytes, want at most {COMMAND_BYTES_MAX}")]
    Size { found: usize },
    /// Not JSON, or not of this form.
    #[error("it is no command: {0}")]
    Form(String),
    #[error("{0}")]
    Target(&'static str),
    #[error("{field} cannot be used: want 1 to {NAME_CHARS_MAX} visible characters")]
    Name { field: &'static str },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandText {
    command_id: Option<String>,
    command: CommandVerb,
    code: Option<String>,
    campaign_id: Option<String>,
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct NamedUser {
    user_id: Option<String>,
}

impl CommandVerb {
    /// Its name in a command and in the path of the route.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            CommandVerb::Issue => "issue",
            CommandVerb::Redeem => "redeem",
            CommandVerb::CancelRedemption => "cancel-redemption",
            CommandVerb::Hold => "hold",
            CommandVerb::Release => "release",
            CommandVerb::Revoke => "revoke",
            CommandVerb::Void => "void",
            CommandVerb::Extend => "extend",
        }
    }
}

impl CouponCommand {
    /// # Errors
    /// Any [`BadCommand`]. Whether the body makes sense is for couponry to say.
    pub(crate) fn read(value: Option<&[u8]>) -> Result<CouponCommand, BadCommand> {
        let value = value.filter(|value| !value.is_empty()).ok_or(BadCommand::Empty)?;
        if value.len() > COMMAND_BYTES_MAX {
            return Err(BadCommand::Size { found: value.len() });
        }
        let form = |error: serde_json::Error| BadCommand::Form(error.to_string());
        let text: CommandText = serde_json::from_slice(value).map_err(form)?;
        let body = text.body.unwrap_or_else(empty);
        if !body.get().starts_with('{') {
            return Err(BadCommand::Target("body: want an object"));
        }
        let named: NamedUser = serde_json::from_str(body.get()).map_err(form)?;
        let target = target(text.command, text.code, text.campaign_id)?;
        if text.command_id.as_deref().is_some_and(|id| id.chars().count() > NAME_CHARS_MAX) {
            return Err(BadCommand::Name { field: "command_id" });
        }
        let lane = lane(&target, named.user_id.as_deref());
        Ok(CouponCommand { id: text.command_id, verb: text.command, target, body, lane })
    }

    pub(crate) fn path(&self) -> [&str; 4] {
        match &self.target {
            CommandTarget::Coupon(code) => ["v1", "coupons", code, self.verb.as_str()],
            CommandTarget::Campaign(id) => ["v1", "campaigns", id, self.verb.as_str()],
        }
    }
}

fn target(
    verb: CommandVerb,
    code: Option<String>,
    campaign: Option<String>,
) -> Result<CommandTarget, BadCommand> {
    match (verb, code, campaign) {
        (CommandVerb::Issue, None, Some(id)) if is_name(&id) => Ok(CommandTarget::Campaign(id)),
        (CommandVerb::Issue, None, Some(_)) => Err(BadCommand::Name { field: "campaign_id" }),
        (CommandVerb::Issue, None, None) => {
            Err(BadCommand::Target("issue: want code or campaign_id"))
        }
        (_, Some(_), Some(_)) => Err(BadCommand::Target("want code or campaign_id, not both")),
        (_, None, _) => Err(BadCommand::Target("code is missing")),
        (_, Some(code), None) if is_name(&code) => Ok(CommandTarget::Coupon(code)),
        (_, Some(_), None) => Err(BadCommand::Name { field: "code" }),
    }
}

fn empty() -> Box<RawValue> {
    serde_json::value::to_raw_value(&serde_json::Map::new()).unwrap_or_default()
}

/// Whether a path can have it as a part.
fn is_name(text: &str) -> bool {
    let is_visible = |c: char| c == ' ' || c.is_ascii_graphic() && c != '/';
    let is_whole = (1..=NAME_CHARS_MAX).contains(&text.len()) && text != "." && text != "..";
    is_whole && text.chars().all(is_visible)
}

/// Two texts of one code lead to one lane. Two codes may share one, too: that only costs time.
fn lane(target: &CommandTarget, user: Option<&str>) -> String {
    match target {
        CommandTarget::Campaign(id) => format!("campaign {id} {}", user.unwrap_or_default()),
        CommandTarget::Coupon(code) => {
            let bare = code.chars().filter(|c| !matches!(c, '-' | ' '));
            let bare: Vec<char> = bare.map(read_as).collect();
            let last = &bare[bare.len().saturating_sub(MINTED_LEN)..];
            format!("code {}", last.iter().collect::<String>())
        }
    }
}

/// How couponry may read a character of a minted code.
fn read_as(c: char) -> char {
    match c.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CouponCommand, BadCommand> {
        CouponCommand::read(Some(text.as_bytes()))
    }

    #[test]
    fn paths_and_lanes() {
        let cases = [
            (
                r#"{"command": "redeem", "code": "7k2m-9qxd-4trb-hOve", "body": {"order_ref": "1"}}"#,
                ["v1", "coupons", "7k2m-9qxd-4trb-hOve", "redeem"],
                "code 7K2M9QXD4TRBH0VE",
            ),
            (
                r#"{"command": "cancel-redemption", "code": "SHOP-7K2M-9QXD-4TRB-H0VE"}"#,
                ["v1", "coupons", "SHOP-7K2M-9QXD-4TRB-H0VE", "cancel-redemption"],
                "code 7K2M9QXD4TRBH0VE",
            ),
            (
                r#"{"command": "issue", "campaign_id": "spring", "body": {"user_id": "ann"}}"#,
                ["v1", "campaigns", "spring", "issue"],
                "campaign spring ann",
            ),
            (
                r#"{"command": "issue", "code": "OLD1", "body": {"user_id": "ann"}}"#,
                ["v1", "coupons", "OLD1", "issue"],
                "code 01D1",
            ),
        ];
        for (text, path, lane) in cases {
            let command = read(text).expect(text);
            assert_eq!(command.path(), path, "{text}");
            assert_eq!(command.lane, lane, "{text}");
        }
    }

    #[test]
    fn names_of_verbs() {
        use CommandVerb::{CancelRedemption, Extend, Hold, Issue, Redeem, Release, Revoke, Void};
        for verb in [Issue, Redeem, CancelRedemption, Hold, Release, Revoke, Void, Extend] {
            let text = format!(r#"{{"command": "{}", "code": "ABCD"}}"#, verb.as_str());
            assert_eq!(read(&text).expect("a command").verb, verb);
        }
    }

    #[test]
    fn no_commands() {
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        let cases = [
            ("not JSON", "redeem".to_owned(), "it is no command"),
            ("another verb", r#"{"command": "delete", "code": "ABCD"}"#.into(), "unknown variant"),
            ("another field", r#"{"command": "void", "cod": "ABCD"}"#.into(), "unknown field"),
            ("no code", r#"{"command": "void"}"#.into(), "code is missing"),
            ("no target", r#"{"command": "issue"}"#.into(), "want code or campaign_id"),
            (
                "two targets",
                r#"{"command": "issue", "code": "ABCD", "campaign_id": "a"}"#.into(),
                "not both",
            ),
            ("a path", r#"{"command": "void", "code": "../x"}"#.into(), "code cannot be used"),
            ("dots", r#"{"command": "void", "code": ".."}"#.into(), "code cannot be used"),
            (
                "a body",
                r#"{"command": "void", "code": "ABCD", "body": 1}"#.into(),
                "want an object",
            ),
            ("a long code", format!(r#"{{"command": "void", "code": "{long}"}}"#), "code cannot"),
            (
                "a long id",
                format!(r#"{{"command": "void", "code": "ABCD", "command_id": "{long}"}}"#),
                "command_id cannot",
            ),
        ];
        for (name, text, want) in cases {
            let error = read(&text).expect_err(name).to_string();
            assert!(error.contains(want), "{name}: {error}");
        }
        assert_eq!(CouponCommand::read(None).expect_err("none"), BadCommand::Empty);
        let fill = |bytes: usize| {
            let rest = r#"{"command":"void","code":"ABCD","body":{"reason":""}}"#;
            rest.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - rest.len())))
        };
        assert!(read(&fill(COMMAND_BYTES_MAX)).is_ok(), "at the limit");
        let found = COMMAND_BYTES_MAX + 1;
        assert_eq!(read(&fill(found)).expect_err("beyond"), BadCommand::Size { found });
    }
}
