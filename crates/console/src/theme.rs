//! How the pages look: light, dark, or as the system of the reader has it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageTheme {
    /// As the system has it.
    System,
    Light,
    Dark,
}

pub(crate) const THEMES: [PageTheme; 3] = [PageTheme::System, PageTheme::Light, PageTheme::Dark];

impl PageTheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            PageTheme::System => "system",
            PageTheme::Light => "light",
            PageTheme::Dark => "dark",
        }
    }

    pub(crate) fn named(name: &str) -> Option<PageTheme> {
        THEMES.into_iter().find(|it| it.as_str() == name)
    }
}
