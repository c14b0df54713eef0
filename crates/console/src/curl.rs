//! What an action is called outside of the console: the same call with `curl`.

use serde_json::Value;

use crate::desk::PageContext;

impl PageContext {
    /// A call of the HTTP interface, for a shell. Members that are null or empty are left out.
    pub(crate) fn curl(&self, method: &str, path: &str, body: &Value) -> String {
        let url = quoted(&format!("{}{path}", self.host));
        let token = "-H \"Authorization: Bearer $TOKEN\"";
        let given = match body.as_object() {
            Some(members) => {
                let is_given = |value: &Value| !value.is_null() && value.as_str() != Some("");
                members
                    .iter()
                    .filter(|(_, value)| is_given(value))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect()
            }
            None => serde_json::Map::new(),
        };
        if method == "GET" {
            return format!("curl {url} \\\n  {token}");
        }
        let body = quoted(&Value::Object(given).to_string());
        format!(
            "curl -X {method} {url} \\\n  {token} \\\n  -H \"Content-Type: application/json\" \\\n  -d {body}"
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
