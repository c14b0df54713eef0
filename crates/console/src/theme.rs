//! How the pages look: light, dark, or as the system of the reader has it.

coupon::words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum PageTheme {
        System = "system",
        Light = "light",
        Dark = "dark",
    }
}

impl PageTheme {
    pub(crate) fn named(name: &str) -> Option<PageTheme> {
        PageTheme::ALL.into_iter().find(|it| it.as_str() == name)
    }
}
