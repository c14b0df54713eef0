//! The problem pages: the only place that knows which problem codes have a page.

use super::{frame, markdown};

/// The table of pages, one file a code: a missing file does not compile.
macro_rules! pages {
    ($($code:literal)*) => {
        /// Code and Markdown, in the order of the index.
        const PAGES: &[(&str, &str)] = &[
            $(($code, include_str!(concat!("../../../../docs/problems/", $code, ".md")))),*
        ];
    };
}

pages! {
    "INVALID" "UNAUTHENTICATED" "FORBIDDEN" "NOT_FOUND" "METHOD_NOT_ALLOWED" "TIMEOUT"
    "ALREADY_REDEEMED" "ALREADY_ISSUED" "NOT_ISSUED" "EXPIRED" "VOIDED" "SOLD_OUT" "LIMIT_PER_USER"
    "CANCEL_CLOSED" "REDEMPTION_CANCELLED" "NOT_REDEEMED" "NOT_LATER" "EXPIRY_DAY_CLOSED" "HISTORY_FULL"
    "VERSION_CONFLICT" "NOT_ISSUABLE" "NAME_TAKEN" "LOGIN_TAKEN" "HELD" "NOT_STARTED" "ISSUE_CLOSED" "PAUSED"
    "TOO_LARGE" "UNSUPPORTED_MEDIA_TYPE" "UNPROCESSABLE" "TOO_MANY" "INTERNAL" "OVERLOADED"
    "STORE_FULL" "STORE_UNAVAILABLE" "STORE_DAMAGED" "COLD_UNAVAILABLE" "OUTCOME_UNKNOWN"
}

/// What the index says about retrying, in the words of the `retry` field.
const RETRY: &str = "\
- `never`: the same request will not succeed; it, or the world, has to change first.
- `later`: nothing was changed; send it again at `retry_at` or after `Retry-After`, where given.
- `same`: it may have happened; send exactly the same again, and the repeat says what happened.

No answer at all is treated like `same`. Decide by `code` and `retry`; the words of `title`, `detail`
and `hint` are for people and may change.";

/// Every problem code that has a page, in the order of the index.
pub fn problem_codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}

/// The page of one code as HTML; `None` when there is no such code.
pub fn problem_page(code: &str) -> Option<String> {
    let (code, text) = PAGES.iter().find(|(name, _)| *name == code)?;
    Some(frame(code, "", &format!("<article>{}</article>", markdown::block(text, 0))))
}

/// The list of all codes as HTML: status, whether to repeat, and a sentence of meaning for each.
pub fn problem_index() -> String {
    let retry = markdown::block(RETRY, 1);
    let rows: String = PAGES.iter().map(|(code, text)| row(code, text)).collect();
    let main = format!(
        "<h1>Problems</h1>\
         <p>Every refusal and every failure is an <code>application/problem+json</code> document \
         with one of these codes in <code>code</code> and one of three words in \
         <code>retry</code>:</p>\n{retry}\
         <div class=\"scroll\"><table><thead><tr><th scope=\"col\">Code</th>\
         <th scope=\"col\">Status</th><th scope=\"col\">Retry</th><th scope=\"col\">Meaning</th>\
         </tr></thead><tbody>{rows}</tbody></table></div>"
    );
    frame("Problems", "", &main)
}

fn row(code: &str, text: &str) -> String {
    let (status, retry) = status_and_retry(text).unwrap_or_default();
    format!(
        "<tr><th scope=\"row\"><a href=\"/docs/problems/{code}\"><code>{code}</code></a></th>\
         <td>{}</td><td>{}</td><td>{}</td></tr>\n",
        markdown::escape(status),
        markdown::escape(retry),
        markdown::inline(&first_sentence(text), markdown::Links::Live)
    )
}

/// The two values of a page's second line, `Status 409 · retry: never`.
fn status_and_retry(text: &str) -> Option<(&str, &str)> {
    text.lines().nth(1)?.strip_prefix("Status ")?.split_once(" · retry: ")
}

/// The first sentence after the title and the status.
fn first_sentence(text: &str) -> String {
    let body = text.lines().skip(2).skip_while(|line| line.is_empty());
    let paragraph = body.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    paragraph[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Design section 10: what each status carries, and whether to repeat.
    const TABLE: &[(&str, &str, &str)] = &[
        ("400", "never", "INVALID"),
        ("401", "never", "UNAUTHENTICATED"),
        ("403", "never", "FORBIDDEN"),
        ("404", "never", "NOT_FOUND"),
        ("405", "never", "METHOD_NOT_ALLOWED"),
        ("408", "same", "TIMEOUT"),
        (
            "409",
            "never",
            "ALREADY_REDEEMED ALREADY_ISSUED NOT_ISSUED EXPIRED VOIDED SOLD_OUT LIMIT_PER_USER \
             CANCEL_CLOSED REDEMPTION_CANCELLED NOT_REDEEMED NOT_LATER EXPIRY_DAY_CLOSED HISTORY_FULL \
             VERSION_CONFLICT NOT_ISSUABLE NAME_TAKEN LOGIN_TAKEN",
        ),
        ("409", "later", "HELD NOT_STARTED ISSUE_CLOSED PAUSED"),
        ("413", "never", "TOO_LARGE"),
        ("415", "never", "UNSUPPORTED_MEDIA_TYPE"),
        ("422", "never", "UNPROCESSABLE"),
        ("429", "later", "TOO_MANY"),
        ("500", "same", "INTERNAL"),
        ("503", "later", "OVERLOADED STORE_FULL STORE_UNAVAILABLE STORE_DAMAGED COLD_UNAVAILABLE"),
        ("503", "same", "OUTCOME_UNKNOWN"),
    ];

    #[test]
    fn each_code_of_the_table_has_a_page_that_says_so() {
        let mut seen = 0;
        for (status, retry, codes) in TABLE {
            for code in codes.split_whitespace() {
                let (_, text) = PAGES.iter().find(|(name, _)| *name == code).expect(code);
                let head = format!("# {code}\nStatus {status} · retry: {retry}\n\n");
                assert!(text.starts_with(&head), "{code} begins with its name, status and retry");
                for part in ["\n## When\n", "\n## What to do now\n"] {
                    assert!(text.contains(part), "{code} has{part}");
                }
                let page = problem_page(code).expect(code);
                assert!(page.contains(&format!("<h1>{code}</h1>")), "{code} has a heading");
                assert!(page.contains(&format!("Status {status}")), "{code} names its status");
                seen += 1;
            }
        }
        assert_eq!(seen, problem_codes().count(), "a page has a row in the table");
        assert_eq!(problem_page("NO_SUCH_CODE"), None);
        assert_eq!(problem_page("../INVALID"), None);
    }

    #[test]
    fn the_index_lists_every_page() {
        let index = problem_index();
        for code in problem_codes() {
            assert!(index.contains(&format!("href=\"/docs/problems/{code}\"")), "{code}");
            let (_, text) = PAGES.iter().find(|(name, _)| *name == code).expect(code);
            assert!(first_sentence(text).ends_with('.'), "{code} opens with a sentence");
        }
        assert!(!index.contains("<td></td>"), "a row has all its cells");
    }

    #[test]
    fn names_in_capitals_on_a_page_are_codes_with_a_page() {
        for (code, text) in PAGES {
            for name in text.split('`').skip(1).step_by(2) {
                let capitals = name.len() > 3
                    && !["POST", "PATCH"].contains(&name)
                    && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                assert!(!capitals || problem_page(name).is_some(), "{code} names {name}");
            }
        }
    }

    #[test]
    fn example_bodies_are_whole_problem_documents() {
        let keys = "type title status code detail hint retry retry_at coupon errors request_id";
        let mut want: Vec<_> = keys.split(' ').collect();
        want.sort_unstable();
        let mut examples = 0;
        for (code, text) in PAGES {
            for example in text.split("```json\n").skip(1) {
                let json = example.split("```").next().expect("a fence has an end");
                let body: Value = serde_json::from_str(json).expect(code);
                let mut keys: Vec<_> = body.as_object().expect(code).keys().collect();
                keys.sort_unstable();
                assert_eq!(keys, want, "{code}: absent means null, never a missing key");
                assert_eq!(body["code"], *code);
                assert_eq!(body["type"], format!("/docs/problems/{code}"));
                let head = format!("Status {} · retry: {}", body["status"], body["retry"]);
                assert_eq!(text.lines().nth(1), Some(&*head.replace('"', "")), "{code}");
                examples += 1;
            }
        }
        assert!(examples >= 4);
    }
}
