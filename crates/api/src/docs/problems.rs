//! The problem pages, and the index of them; their text is in `docs/problems`.

use super::{frame, markdown, table};
use crate::problem_code::ApiErrorCode;

pub fn problem_page(code: &str) -> Option<String> {
    let code = ApiErrorCode::ALL.iter().find(|known| known.as_str() == code)?;
    let article = format!("<article>{}</article>", markdown::block(code.page()));
    Some(frame(code.as_str(), "", &article))
}

pub fn problem_index() -> String {
    let about = markdown::block(include_str!("problems.md"));
    let rows: String = ApiErrorCode::ALL.iter().copied().map(row).collect();
    let table = table("problems", &["Code", "Status", "Retry", "Meaning"], &rows);
    frame("Problems", "", &format!("{about}{table}"))
}

fn row(code: ApiErrorCode) -> String {
    let word = code.as_str();
    format!(
        "<tr><th scope=\"row\"><a href=\"/docs/problems/{word}\"><code>{word}</code></a></th>\
         <td>{}</td><td>{}</td><td>{}</td></tr>\n",
        code.status(),
        code.retry().as_str(),
        markdown::inline(&first_sentence(code.page()))
    )
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

    /// Line 2 of a page is the second statement of status and retry: whoever changes a row changes
    /// the page, or this fails.
    #[test]
    fn each_page_says_what_the_table_says() {
        for code in ApiErrorCode::ALL {
            let (word, text) = (code.as_str(), code.page());
            let (status, retry) = (code.status(), code.retry().as_str());
            let head = format!("# {word}\nStatus {status} · retry: {retry}\n\n");
            assert!(text.starts_with(&head), "{word} begins with its name, status and retry");
            for part in ["\n## When\n", "\n## What to do now\n"] {
                assert!(text.contains(part), "{word} has{part}");
            }
            let page = problem_page(word).expect(word);
            assert!(page.contains(&format!("<h1>{word}</h1>")), "{word} has a heading");
            assert!(page.contains(&format!("Status {status}")), "{word} names its status");
        }
        assert_eq!(problem_page("NO_SUCH_CODE"), None);
        assert_eq!(problem_page("../INVALID"), None);
    }

    #[test]
    fn the_index_lists_every_page() {
        let index = problem_index();
        for code in ApiErrorCode::ALL {
            let word = code.as_str();
            assert!(index.contains(&format!("href=\"/docs/problems/{word}\"")), "{word}");
            let opening = first_sentence(code.page());
            assert!(opening.ends_with('.'), "{word} opens with a sentence");
        }
        assert!(!index.contains("<td></td>"), "a row has all its cells");
    }

    #[test]
    fn names_in_capitals_on_a_page_are_codes_with_a_page() {
        for code in ApiErrorCode::ALL {
            for name in code.page().split('`').skip(1).step_by(2) {
                let capitals = name.len() > 3
                    && !["POST", "PATCH"].contains(&name)
                    && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                assert!(
                    !capitals || problem_page(name).is_some(),
                    "{} names {name}",
                    code.as_str()
                );
            }
        }
    }

    #[test]
    fn example_bodies_are_whole_problem_documents() {
        let keys = "type title status code detail hint retry retry_at min_order missing \
                    discount coupon next_cursor errors coupons \
                    request_id";
        let mut want: Vec<_> = keys.split(' ').collect();
        want.sort_unstable();
        let mut examples = 0;
        for (code, text) in ApiErrorCode::ALL.iter().map(|code| (code.as_str(), code.page())) {
            for example in text.split("```json\n").skip(1) {
                let json = example.split("```").next().expect("a fence has an end");
                let body: Value = serde_json::from_str(json).expect(code);
                let mut keys: Vec<_> = body.as_object().expect(code).keys().collect();
                keys.sort_unstable();
                assert_eq!(keys, want, "{code}: absent means null, never a missing key");
                assert_eq!(body["code"], code);
                assert_eq!(body["type"], format!("/docs/problems/{code}"));
                let head = format!("Status {} · retry: {}", body["status"], body["retry"]);
                assert_eq!(text.lines().nth(1), Some(&*head.replace('"', "")), "{code}");
                examples += 1;
            }
        }
        assert!(examples >= 4);
    }
}
