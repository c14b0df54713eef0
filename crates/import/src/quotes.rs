//! Quotes of CSV (RFC 4180): the only place that decides where a quoted cell begins and ends.
//!
//! The reader of lines and the reader of cells use the same steps, so they never disagree about
//! whether a line end is inside a cell.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Quote,
    Separator,
    Blank,
    Other,
}

/// Where in a cell the reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// Before the first character of a cell that is not blank.
    #[default]
    Start,
    /// In a cell without quotes, or after the text of a quoted one.
    Plain,
    Quoted,
    /// After a quote within quotes: the end, or the first half of a doubled one.
    Closing,
}

impl Quoting {
    pub(crate) fn after(self, kind: Kind) -> Quoting {
        match (self, kind) {
            (Quoting::Quoted, Kind::Quote) => Quoting::Closing,
            (Quoting::Quoted, Kind::Separator | Kind::Blank | Kind::Other) => Quoting::Quoted,
            (Quoting::Start | Quoting::Closing, Kind::Quote) => Quoting::Quoted,
            (Quoting::Start | Quoting::Plain | Quoting::Closing, Kind::Separator)
            | (Quoting::Start, Kind::Blank) => Quoting::Start,
            (Quoting::Plain, Kind::Quote | Kind::Blank | Kind::Other)
            | (Quoting::Closing, Kind::Blank | Kind::Other)
            | (Quoting::Start, Kind::Other) => Quoting::Plain,
        }
    }

    /// Whether a character after the end of a quoted cell belongs to no cell.
    pub(crate) fn is_stray(self, kind: Kind) -> bool {
        self == Quoting::Closing && kind == Kind::Other
    }
}
