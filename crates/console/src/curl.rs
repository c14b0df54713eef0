//! What an action is called outside of the console: the same call with `curl`.

use serde_json::Value;

use crate::desk::PageContext;

const TOKEN: &str = "-H \"Authorization: Bearer $TOKEN\"";

impl PageContext {
    /// A call of the HTTP interface that reads, for a shell.
    pub(crate) fn curl_get(&self, path: &str) -> String {
        format!("curl {} \\\n  {TOKEN}", quoted(&format!("{}{path}", self.host)))
    }

    /// A call that changes something. Members that are null or empty are left out.
    pub(crate) fn curl(&self, method: &str, path: &str, mut body: Value) -> String {
        if let Some(members) = body.as_object_mut() {
            members.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
        }
        let (url, body) = (quoted(&format!("{}{path}", self.host)), quoted(&body.to_string()));
        format!(
            "curl -X {method} {url} \\\n  {TOKEN} \\\n  -H \"Content-Type: application/json\" \\\n  -d {body}"
        )
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell() {
        let cases =
            [("plain", "a b", "'a b'"), ("a quote", "it's", "'it'\\''s'"), ("$", "$(x)", "'$(x)'")];
        for (name, text, want) in cases {
            assert_eq!(quoted(text), want, "{name}");
        }
    }
}
