//! Markdown to HTML: the only place where text that others wrote becomes markup.
//!
//! Raw HTML in the text is shown, not obeyed; a link leads to this server or is no link; nothing
//! is loaded. A problem code in backquotes becomes a link to its page.

use std::borrow::Cow;

use pulldown_cmark::{
    CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html::push_html,
};

use crate::problem::Code;

/// Whether [`inline`] may make links; inside a link it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    Live,
    Dead,
}

/// `text` as blocks; its headings begin `shift` levels below `<h1>`.
pub(super) fn block(text: &str, shift: usize) -> String {
    let mut reader = Reader { shift, links: Links::Live, open: Vec::new(), in_head: false };
    let mut html = String::with_capacity(text.len() * 2);
    push_html(&mut html, events(text).flat_map(|event| reader.block_event(event)));
    html
}

/// `text` on one line, without paragraphs around it.
pub(super) fn inline(text: &str, links: Links) -> String {
    let mut reader = Reader { shift: 0, links, open: Vec::new(), in_head: false };
    let mut html = String::with_capacity(text.len() * 2);
    let inline = events(text).filter_map(inline_event);
    push_html(&mut html, inline.flat_map(|event| reader.block_event(event)));
    html
}

/// `text` as code, with a link when it is a problem code.
pub(super) fn code(text: &str) -> String {
    if Code::ALL.iter().any(|code| code.as_str() == text) {
        format!("<a href=\"/docs/problems/{text}\"><code>{text}</code></a>")
    } else {
        format!("<code>{}</code>", escape(text))
    }
}

/// `text` so that it is itself in an element and in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// What of `event` has a place on one line.
fn inline_event(event: Event<'_>) -> Option<Event<'_>> {
    let is_inline = match &event {
        Event::Text(_) | Event::Code(_) | Event::Html(_) | Event::InlineHtml(_) => true,
        Event::Start(tag) => matches!(tag, Tag::Emphasis | Tag::Strong | Tag::Link { .. }),
        Event::End(tag) => matches!(tag, TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link),
        Event::SoftBreak | Event::HardBreak => return Some(Event::Text(" ".into())),
        Event::InlineMath(_)
        | Event::DisplayMath(_)
        | Event::FootnoteReference(_)
        | Event::Rule
        | Event::TaskListMarker(_) => false,
    };
    is_inline.then_some(event)
}

/// A link that has begun: shown as one, or, when it leads elsewhere, with its address behind it.
enum Opened {
    Local,
    Elsewhere { address: Option<String> },
}

struct Reader {
    shift: usize,
    links: Links,
    open: Vec<Opened>,
    in_head: bool,
}

impl Reader {
    fn block_event<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        Some(match event {
            Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
            Event::Code(text) if self.may_link() => raw(code(&text)),
            Event::Start(tag) => return self.start(tag),
            Event::End(tag) => return self.end(tag),
            other => other,
        })
    }

    fn may_link(&self) -> bool {
        self.links == Links::Live && !self.open.iter().any(|link| matches!(link, Opened::Local))
    }

    fn start<'a>(&mut self, tag: Tag<'a>) -> Option<Event<'a>> {
        Some(match tag {
            Tag::Link { link_type, dest_url, title, id } => {
                if self.may_link() && is_local(&dest_url) {
                    self.open.push(Opened::Local);
                    return Some(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                }
                let spelled_out = matches!(link_type, LinkType::Autolink | LinkType::Email);
                let address = (!spelled_out && !is_local(&dest_url)).then(|| dest_url.to_string());
                self.open.push(Opened::Elsewhere { address });
                return None;
            }
            Tag::Image { .. } => return None,
            Tag::HtmlBlock => Event::Start(Tag::Paragraph),
            Tag::Heading { level, .. } => Event::Start(Tag::Heading {
                level: self.lowered(level),
                id: None,
                classes: Vec::new(),
                attrs: Vec::new(),
            }),
            // Alignment would be a style attribute, which the page's policy forbids.
            Tag::Table(_) => Event::Start(Tag::Table(Vec::new())),
            Tag::TableHead => {
                self.in_head = true;
                Event::Start(Tag::TableHead)
            }
            Tag::TableCell if self.in_head => raw("<th scope=\"col\">".to_owned()),
            other => Event::Start(other),
        })
    }

    fn end<'a>(&mut self, tag: TagEnd) -> Option<Event<'a>> {
        Some(match tag {
            TagEnd::Link => match self.open.pop() {
                Some(Opened::Local) => Event::End(TagEnd::Link),
                Some(Opened::Elsewhere { address }) => {
                    Event::Text(format!(" ({})", address?).into())
                }
                None => return None,
            },
            TagEnd::Image => return None,
            TagEnd::HtmlBlock => Event::End(TagEnd::Paragraph),
            TagEnd::Heading(level) => Event::End(TagEnd::Heading(self.lowered(level))),
            TagEnd::TableHead => {
                self.in_head = false;
                Event::End(TagEnd::TableHead)
            }
            other => Event::End(other),
        })
    }

    fn lowered(&self, level: HeadingLevel) -> HeadingLevel {
        HeadingLevel::try_from(level as usize + self.shift).unwrap_or(HeadingLevel::H6)
    }
}

fn raw<'a>(html: String) -> Event<'a> {
    Event::InlineHtml(CowStr::from(Cow::<str>::Owned(html)))
}

/// Whether a browser stays on this server: `//host` and `/\host` leave it, and a browser drops
/// tabs and line ends before it looks.
fn is_local(address: &str) -> bool {
    let leaves = |rest: &str| rest.starts_with(['/', '\\']);
    !address.contains(char::is_control)
        && (address.starts_with('#') || address.strip_prefix('/').is_some_and(|rest| !leaves(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        let cases = [
            ("plain", "a & b", "<p>a &amp; b</p>\n"),
            ("raw html is shown", "a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n"),
            (
                "a block of it too",
                "<script>x()</script>",
                "<p>&lt;script&gt;x()&lt;/script&gt;</p>\n",
            ),
            (
                "a code is a link",
                "`HELD` not `held`",
                "<p><a href=\"/docs/problems/HELD\"><code>HELD</code></a> not <code>held</code></p>\n",
            ),
            ("a local link", "[a](/docs)", "<p><a href=\"/docs\">a</a></p>\n"),
            (
                "no link in a link",
                "[see `HELD`](#x)",
                "<p><a href=\"#x\">see <code>HELD</code></a></p>\n",
            ),
            ("elsewhere", "[a](https://b.example)", "<p>a (https://b.example)</p>\n"),
            ("spelled out", "<https://b.example>", "<p>https://b.example</p>\n"),
            ("a script", "[a](javascript:x)", "<p>a (javascript:x)</p>\n"),
            ("another host", "[a](//b.example)", "<p>a (//b.example)</p>\n"),
            ("the same to a browser", "[a](/\\b.example)", "<p>a (/\\b.example)</p>\n"),
            ("an image is its text", "![a](/b.png)", "<p>a</p>\n"),
            ("headings go down", "# a", "<h3>a</h3>\n"),
            ("as far as they go", "##### a", "<h6>a</h6>\n"),
        ];
        for (name, text, want) in cases {
            assert_eq!(block(text, 2), want, "{name}");
        }
    }

    #[test]
    fn a_table_has_scopes_and_no_style() {
        let html = block("|a|b|\n|:-:|--:|\n|1|<i>|\n", 0);
        assert!(html.contains("<th scope=\"col\">a</th><th scope=\"col\">b</th>"), "{html}");
        assert!(html.contains("<td>1</td><td>&lt;i&gt;</td>"), "{html}");
        assert!(!html.contains("style"), "{html}");
    }

    #[test]
    fn lines() {
        let cases = [
            ("no paragraph", "a\nb", Links::Live, "a b"),
            ("no heading", "# a *b*", Links::Live, "a <em>b</em>"),
            ("no list", "- a", Links::Live, "a"),
            ("dead", "[a `HELD`](/b)", Links::Dead, "a <code>HELD</code>"),
            ("raw html", "<img src=x onerror=y>", Links::Live, "&lt;img src=x onerror=y&gt;"),
        ];
        for (name, text, links, want) in cases {
            assert_eq!(inline(text, links), want, "{name}");
        }
    }

    #[test]
    fn escaping() {
        assert_eq!(escape("<a b='c' d=\"e\">&"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
    }
}
