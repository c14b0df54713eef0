//! Markdown to HTML: the only place where text becomes markup.
//!
//! The texts are our own, from the handlers and from `docs/problems`. Raw HTML in them is shown, not
//! obeyed, and a problem code in backquotes becomes a link to its page.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html::push_html};

use crate::problem_code::ApiErrorCode;

pub(super) fn block(text: &str) -> String {
    html(events(text))
}

/// `text`, which is one paragraph, without the `<p>` around it.
pub(super) fn inline(text: &str) -> String {
    html(events(text).filter(|event| {
        !matches!(event, Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph))
    }))
}

/// `text` as code, with a link when it is a problem code.
pub(super) fn code(text: &str) -> String {
    if ApiErrorCode::ALL.iter().any(|code| code.as_str() == text) {
        format!("<a href=\"/docs/problems/{text}\"><code>{text}</code></a>")
    } else {
        format!("<code>{}</code>", escape(text))
    }
}

/// `text` so that it is itself in a quoted attribute.
pub(super) fn attribute(text: &str) -> String {
    escape(text).replace('"', "&quot;")
}

/// `text` so that it is itself in an element. Quotation marks stay: commands and JSON are full of them.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            other => safe.push(other),
        }
    }
    safe
}

fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Code(text) => Event::InlineHtml(code(&text).into()),
        other => other,
    })
}

fn html<'a>(events: impl Iterator<Item = Event<'a>>) -> String {
    let mut html = String::new();
    push_html(&mut html, events);
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        let cases = [
            ("plain", "a & b", "<p>a &amp; b</p>\n"),
            ("raw html is shown", "a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n"),
            ("a block of it too", "<script>x()</script>", "&lt;script&gt;x()&lt;/script&gt;"),
            (
                "a code is a link",
                "`HELD` not `held`",
                "<p><a href=\"/docs/problems/HELD\"><code>HELD</code></a> not <code>held</code></p>\n",
            ),
            ("a link", "[a](/docs)", "<p><a href=\"/docs\">a</a></p>\n"),
            ("a heading", "# a", "<h1>a</h1>\n"),
        ];
        for (name, text, want) in cases {
            assert_eq!(block(text), want, "{name}");
        }
    }

    #[test]
    fn lines() {
        let cases = [
            ("no paragraph", "a *b*", "a <em>b</em>"),
            ("raw html", "<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;"),
        ];
        for (name, text, want) in cases {
            assert_eq!(inline(text), want, "{name}");
        }
    }

    #[test]
    fn escaping() {
        assert_eq!(escape("<a b='c' d=\"e\">&"), "&lt;a b='c' d=\"e\"&gt;&amp;");
        assert_eq!(attribute("<a d=\"e\">&"), "&lt;a d=&quot;e&quot;&gt;&amp;");
    }
}
