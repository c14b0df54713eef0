//! Numbers, dates and texts in few bytes.

use std::fmt::Display;
use std::str::FromStr;

use coupon::time::Millis;
use rusqlite::Result as SqlResult;

use crate::failure::damaged;

#[derive(Default)]
pub(crate) struct ByteWriter(Vec<u8>);

impl ByteWriter {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// LEB128: seven bits a byte, lowest first.
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// By how much `date` is later than `than`, which may be less than nothing.
    pub(crate) fn later(&mut self, date: Millis, than: Millis) {
        let by = date.0.wrapping_sub(than.0);
        // Zigzag: small numbers of either sign are short.
        self.number(((by << 1) ^ (by >> 63)) as u64);
    }

    /// Bytes and their number.
    pub(crate) fn counted(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.counted(text.as_bytes());
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what a [`ByteWriter`] wrote. Any other bytes are an error or something else, never a panic.
pub(crate) struct ByteReader<'a>(&'a [u8]);

impl<'a> ByteReader<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> ByteReader<'a> {
        ByteReader(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> SqlResult<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count).ok_or_else(too_short)?;
        self.0 = left;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> SqlResult<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> SqlResult<[u8; N]> {
        let (taken, left) = self.0.split_first_chunk().ok_or_else(too_short)?;
        self.0 = left;
        Ok(*taken)
    }

    pub(crate) fn number(&mut self) -> SqlResult<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(damaged("record", "a number is too long"))
    }

    pub(crate) fn later(&mut self, than: Millis) -> SqlResult<Millis> {
        let zigzag = self.number()?;
        let by = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Ok(Millis(than.0.wrapping_add(by)))
    }

    pub(crate) fn counted(&mut self) -> SqlResult<&'a [u8]> {
        let length = usize::try_from(self.number()?).map_err(|why| damaged("record", why))?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> SqlResult<&'a str> {
        std::str::from_utf8(self.counted()?).map_err(|why| damaged("record", why))
    }

    /// What `read` reads; nothing without the flag.
    pub(crate) fn flagged<T>(
        &mut self,
        flag: u8,
        read: impl FnOnce(&mut Self) -> SqlResult<T>,
    ) -> SqlResult<Option<T>> {
        if flag == 0 { Ok(None) } else { read(self).map(Some) }
    }

    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, what: &str) -> SqlResult<T> {
        self.text()?.parse().map_err(|why| damaged(what, why))
    }
}

fn too_short() -> rusqlite::Error {
    damaged("record", "it ends too early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut written = ByteWriter::default();
            written.number(number);
            let bytes = written.into_bytes();
            assert_eq!(ByteReader::of(&bytes).number().expect("a number"), number, "{bytes:?}");
        }
        for (date, than) in [(0, 0), (1, 0), (0, 1), (i64::MIN, 7), (i64::MAX, -7), (-5, 5)] {
            let mut written = ByteWriter::default();
            written.later(Millis(date), Millis(than));
            let bytes = written.into_bytes();
            let read = ByteReader::of(&bytes).later(Millis(than)).expect("a date");
            assert_eq!(read, Millis(date), "{date} than {than}");
        }
        for text in ["", "ann", "ü\u{0}", &"x".repeat(300)] {
            let mut written = ByteWriter::default();
            written.text(text);
            assert_eq!(ByteReader::of(&written.into_bytes()).text().expect("a text"), text);
        }
    }

    #[test]
    fn what_ends_too_early_is_an_error() {
        let cases: [(&str, &[u8]); 5] = [
            ("nothing", &[]),
            ("half a number", &[0x80]),
            ("a number without an end", &[0xff; 11]),
            ("a text longer than the rest", &[3, b'a', b'b']),
            ("no UTF-8", &[1, 0xff]),
        ];
        for (name, bytes) in cases {
            assert!(ByteReader::of(bytes).text().is_err(), "{name}");
        }
    }
}
