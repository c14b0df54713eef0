//! Frames of the native protocol, version 4, as far as the proxy reads and writes them.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Version, flags, two bytes of the stream, opcode, four bytes of the length.
const HEADER_BYTES: usize = 9;

/// An answer of version 4.
const ANSWER: u8 = 0x84;

/// Opcodes.
const ERROR: u8 = 0x00;
pub(crate) const SUPPORTED: u8 = 0x06;
pub(crate) const RESULT: u8 = 0x08;
pub(crate) const EXECUTE: u8 = 0x0A;

/// A request or an answer.
#[derive(Debug)]
pub(crate) struct Frame {
    version: u8,
    /// What comes before the body proper, such as warnings.
    pub(crate) flags: u8,
    stream: [u8; 2],
    pub(crate) opcode: u8,
    pub(crate) body: Bytes,
}

impl Frame {
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        from.read_exact(&mut header).await?;
        let [version, flags, high, low, opcode, length @ ..] = header;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut body).await?;
        Ok(Frame { version, flags, stream: [high, low], opcode, body: body.into() })
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = u32::try_from(self.body.len()).expect("it was read, or is small");
        let mut whole = BytesMut::with_capacity(HEADER_BYTES + self.body.len());
        whole.put_slice(&[self.version, self.flags, self.stream[0], self.stream[1], self.opcode]);
        whole.put_u32(length);
        whole.put_slice(&self.body);
        // In one piece, or the body would be a packet that waits until that of the header is acknowledged.
        to.write_all(&whole).await
    }
}

/// A result that has rows.
const ROWS: i32 = 2;

/// Flags of the columns of a result.
const GLOBAL_TABLE: i32 = 1;
const HAS_MORE_PAGES: i32 = 2;
const NO_COLUMNS: i32 = 4;

/// Reads a body. `None` means that it ends too early.
struct FrameReader<'a>(&'a [u8]);

impl<'a> FrameReader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<usize> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?).into())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.short()?;
        str::from_utf8(self.take(length)?).ok()
    }

    /// A value with its length; a null has none.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match usize::try_from(self.int()?) {
            Ok(length) => Some(Some(self.take(length)?)),
            Err(_) => Some(None),
        }
    }

    /// Passes over a type and those in it.
    fn skip_type(&mut self) -> Option<()> {
        match self.short()? {
            0x0000 => drop(self.text()?),
            0x0020 | 0x0022 => self.skip_type()?,
            0x0021 => (self.skip_type()?, self.skip_type()?).0,
            0x0030 => {
                self.text()?;
                self.text()?;
                for _ in 0..self.short()? {
                    self.text()?;
                    self.skip_type()?;
                }
            }
            0x0031 => {
                for _ in 0..self.short()? {
                    self.skip_type()?;
                }
            }
            _ => {}
        }
        Some(())
    }
}

/// The name of a column and its type, as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct ColumnShape {
    pub(crate) name: String,
    kind: Bytes,
}

/// A result with rows in one piece, all of one table.
#[derive(Debug)]
pub(crate) struct RowsShape {
    pub(crate) keyspace: String,
    pub(crate) table: String,
    pub(crate) columns: Vec<ColumnShape>,
    pub(crate) rows: Vec<Vec<Option<Bytes>>>,
}

impl RowsShape {
    /// `None` if the body is another one.
    pub(crate) fn read(body: &[u8]) -> Option<RowsShape> {
        let mut reader = FrameReader(body);
        let (kind, flags, count) = (reader.int()?, reader.int()?, reader.int()?);
        if kind != ROWS || flags & (HAS_MORE_PAGES | NO_COLUMNS) != 0 || flags & GLOBAL_TABLE == 0 {
            return None;
        }
        let (keyspace, table) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        let mut columns = Vec::new();
        for _ in 0..count {
            let name = reader.text()?.to_owned();
            let begun = reader.0;
            reader.skip_type()?;
            let kind = Bytes::copy_from_slice(&begun[..begun.len() - reader.0.len()]);
            columns.push(ColumnShape { name, kind });
        }
        let mut rows = Vec::new();
        for _ in 0..reader.int()? {
            let cell = |_| Some(reader.value()?.map(Bytes::copy_from_slice));
            rows.push((0..count).map(cell).collect::<Option<Vec<_>>>()?);
        }
        Some(RowsShape { keyspace, table, columns, rows })
    }

    pub(crate) fn body(&self) -> Bytes {
        let mut body = BytesMut::new();
        let count = i32::try_from(self.columns.len()).expect("few columns");
        [ROWS, GLOBAL_TABLE, count].into_iter().for_each(|int| body.put_i32(int));
        put_text(&mut body, &self.keyspace);
        put_text(&mut body, &self.table);
        for column in &self.columns {
            put_text(&mut body, &column.name);
            body.put_slice(&column.kind);
        }
        body.put_i32(i32::try_from(self.rows.len()).expect("few rows"));
        for value in self.rows.iter().flatten() {
            match value {
                Some(value) => {
                    body.put_i32(i32::try_from(value.len()).expect("a small value"));
                    body.put_slice(value);
                }
                None => body.put_i32(-1),
            }
        }
        body.freeze()
    }
}

fn put_text(body: &mut BytesMut, text: &str) {
    body.put_u16(u16::try_from(text.len()).expect("a short text"));
    body.put_slice(text.as_bytes());
}

/// What an engine supports, with more of it.
pub(crate) fn supported(body: &[u8], more: &[(&str, String)]) -> Option<Bytes> {
    let (count, rest) = body.split_first_chunk::<2>()?;
    let count = u16::from_be_bytes(*count) + u16::try_from(more.len()).ok()?;
    let mut body = BytesMut::new();
    body.put_u16(count);
    body.put_slice(rest);
    for (name, value) in more {
        put_text(&mut body, name);
        body.put_u16(1);
        put_text(&mut body, value);
    }
    Some(body.freeze())
}

/// An error of ScyllaDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineError {
    /// A conditional write of which the coordinator does not know whether it was applied.
    Uncertain,
    Overloaded,
    RateLimit,
    ReadTimeout,
}

/// The code of the error of a rate limit, which the proxy announces.
pub(crate) const RATE_LIMIT_CODE: i32 = 0xF000;

const LOCAL_QUORUM: u16 = 6;
const LOCAL_SERIAL: u16 = 9;

impl EngineError {
    pub(crate) fn body(self) -> Bytes {
        let (code, text) = match self {
            EngineError::Uncertain => (0x1100, "timeout due to uncertainty"),
            EngineError::Overloaded => (0x1001, "too many in flight hints"),
            EngineError::RateLimit => (RATE_LIMIT_CODE, "per-partition rate limit reached"),
            EngineError::ReadTimeout => (0x1200, "operation timed out"),
        };
        let mut body = BytesMut::new();
        body.put_i32(code);
        put_text(&mut body, text);
        match self {
            EngineError::Uncertain => {
                body.put_u16(LOCAL_SERIAL);
                [1, 2].into_iter().for_each(|count| body.put_i32(count));
                put_text(&mut body, "CAS");
            }
            EngineError::Overloaded => {}
            // Of a write, which a replica refused.
            EngineError::RateLimit => body.put_slice(&[1, 0]),
            EngineError::ReadTimeout => {
                body.put_u16(LOCAL_QUORUM);
                [1, 2].into_iter().for_each(|count| body.put_i32(count));
                body.put_u8(0);
            }
        }
        body.freeze()
    }

    /// As the answer to a request, or in place of another answer.
    pub(crate) fn in_place_of(self, frame: &Frame) -> Frame {
        let stream = frame.stream;
        Frame { version: ANSWER, flags: 0, stream, opcode: ERROR, body: self.body() }
    }
}
