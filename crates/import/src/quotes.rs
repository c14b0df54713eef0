//! Quotes of CSV (RFC 4180): the only place that decides where a quoted cell begins and ends.
//!
//! The reader of lines and the reader of cells use the same steps, so they never disagree about
//! whether a line end is inside a cell.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteKind {
    Quote,
    Separator,
    Blank,
    Other,
}

/// Where in a cell the reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum QuoteState {
    /// Before the first character of a cell that is not blank.
    #[default]
    Start,
    /// In a cell without quotes, or after the text of a quoted one.
    Plain,
    Quoted,
    /// After a quote within quotes: the end, or the first half of a doubled one.
    Closing,
}

impl QuoteState {
    pub(crate) fn after(self, kind: ByteKind) -> QuoteState {
        match (self, kind) {
            (QuoteState::Quoted, ByteKind::Quote) => QuoteState::Closing,
            (QuoteState::Quoted, ByteKind::Separator | ByteKind::Blank | ByteKind::Other) => {
                QuoteState::Quoted
            }
            (QuoteState::Start | QuoteState::Closing, ByteKind::Quote) => QuoteState::Quoted,
            (QuoteState::Start | QuoteState::Plain | QuoteState::Closing, ByteKind::Separator)
            | (QuoteState::Start, ByteKind::Blank) => QuoteState::Start,
            (QuoteState::Plain, ByteKind::Quote | ByteKind::Blank | ByteKind::Other)
            | (QuoteState::Closing, ByteKind::Blank | ByteKind::Other)
            | (QuoteState::Start, ByteKind::Other) => QuoteState::Plain,
        }
    }

    /// Whether a character after the end of a quoted cell belongs to no cell.
    pub(crate) fn is_stray(self, kind: ByteKind) -> bool {
        self == QuoteState::Closing && kind == ByteKind::Other
    }
}
