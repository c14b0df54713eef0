//! Answers of other services, read up to a limit: a service that is not what it seems could send
//! for ever.

use std::fmt;

use reqwest::Response;

use crate::failure::cause;

/// Why an answer was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It broke off.
    BrokenOff(reqwest::Error),
    /// It has more than so many bytes.
    TooLong(usize),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::BrokenOff(error) => write!(f, "the answer broke off ({})", cause(error)),
            Unread::TooLong(bytes) => write!(f, "the answer has more than {bytes} bytes"),
        }
    }
}

/// The whole body of an answer of at most `bytes_max` bytes.
pub(crate) async fn whole(mut answer: Response, bytes_max: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(Unread::BrokenOff)? {
        if body.len() + piece.len() > bytes_max {
            return Err(Unread::TooLong(bytes_max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use opentelemetry_http::Response as Plain;

    use super::*;

    #[tokio::test]
    async fn limits() {
        for (name, bytes, is_read) in
            [("none", 0, true), ("the most", 7, true), ("one more", 8, false)]
        {
            let read = whole(Plain::new(vec![b'x'; bytes]).into(), 7).await;
            assert_eq!(read.ok().map(|body| body.len()), is_read.then_some(bytes), "{name}");
        }
    }
}
