//! The types of columns: their bytes in the native protocol, and bytes that sort as the values do.

use std::sync::Arc;

use scylla::frame::response::result::{CollectionType, ColumnType, NativeType, UserDefinedType};

/// A type without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Boolean,
    Int,
    BigInt,
    Text,
    Blob,
    Timestamp,
    Date,
    Uuid,
}

/// The type of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CqlType {
    Scalar(ScalarType),
    /// Always frozen: its value is one cell.
    Udt(Arc<UserDefinedType<'static>>),
    /// Not frozen: each element is a cell, and its value is empty.
    Set(ScalarType),
    /// Not frozen: each element is a cell.
    Map(ScalarType, Box<CqlType>),
}

impl ScalarType {
    pub(crate) fn named(name: &str) -> Option<ScalarType> {
        Some(match name {
            "boolean" => ScalarType::Boolean,
            "int" => ScalarType::Int,
            "bigint" => ScalarType::BigInt,
            "text" => ScalarType::Text,
            "blob" => ScalarType::Blob,
            "timestamp" => ScalarType::Timestamp,
            "date" => ScalarType::Date,
            "uuid" => ScalarType::Uuid,
            _ => return None,
        })
    }

    /// Bytes of a value; `None` if it may have any number.
    fn size(self) -> Option<usize> {
        match self {
            ScalarType::Boolean => Some(1),
            ScalarType::Int | ScalarType::Date => Some(4),
            ScalarType::BigInt | ScalarType::Timestamp => Some(8),
            ScalarType::Uuid => Some(16),
            ScalarType::Text | ScalarType::Blob => None,
        }
    }

    /// Whether these bytes are a value.
    pub(crate) fn check(self, value: &[u8]) -> Result<(), String> {
        let is_right = match self.size() {
            Some(size) => value.len() == size,
            None => self == ScalarType::Blob || std::str::from_utf8(value).is_ok(),
        };
        if is_right { Ok(()) } else { Err(format!("{} bytes are no {self:?}", value.len())) }
    }

    fn column_type(self) -> ColumnType<'static> {
        ColumnType::Native(match self {
            ScalarType::Boolean => NativeType::Boolean,
            ScalarType::Int => NativeType::Int,
            ScalarType::BigInt => NativeType::BigInt,
            ScalarType::Text => NativeType::Text,
            ScalarType::Blob => NativeType::Blob,
            ScalarType::Timestamp => NativeType::Timestamp,
            ScalarType::Date => NativeType::Date,
            ScalarType::Uuid => NativeType::Uuid,
        })
    }

    /// Appends a value so that bytes sort as the values do. None is the beginning of another.
    pub(crate) fn put_sortable(self, value: &[u8], out: &mut Vec<u8>) {
        match self {
            ScalarType::Boolean | ScalarType::Date => out.extend_from_slice(value),
            ScalarType::Int | ScalarType::BigInt | ScalarType::Timestamp => {
                let from = out.len();
                out.extend_from_slice(value);
                if let Some(first) = out.get_mut(from) {
                    *first ^= 0x80;
                }
            }
            // A version orders before all else.
            ScalarType::Uuid => {
                out.push(value.get(6).map_or(0, |byte| byte >> 4));
                out.extend_from_slice(value);
            }
            ScalarType::Text | ScalarType::Blob => {
                for byte in value {
                    out.push(*byte);
                    if *byte == 0 {
                        out.push(0xFF);
                    }
                }
                out.extend_from_slice(&[0, 0]);
            }
        }
    }

    /// The value at the beginning of sortable bytes, and how many bytes it takes there. `mask` is
    /// 0xFF for a descending column, whose bytes are inverted.
    pub(crate) fn take_sortable(self, bytes: &[u8], mask: u8) -> (Vec<u8>, usize) {
        let byte = |at: usize| bytes.get(at).map_or(0, |byte| byte ^ mask);
        match self.size() {
            Some(size) => {
                let skipped = usize::from(self == ScalarType::Uuid);
                let mut value: Vec<u8> = (skipped..skipped + size).map(byte).collect();
                if matches!(self, ScalarType::Int | ScalarType::BigInt | ScalarType::Timestamp) {
                    value[0] ^= 0x80;
                }
                (value, skipped + size)
            }
            None => {
                let (mut value, mut at) = (Vec::with_capacity(bytes.len()), 0);
                while at < bytes.len() && (byte(at), byte(at + 1)) != (0, 0) {
                    value.push(byte(at));
                    at += if byte(at) == 0 { 2 } else { 1 };
                }
                (value, at + 2)
            }
        }
    }
}

/// An element of a collection: the sortable bytes of its key, and its value.
pub(crate) type CollectionElement<'v> = (Vec<u8>, &'v [u8]);

impl CqlType {
    /// Whether each element is a cell of its own.
    pub(crate) fn has_elements(&self) -> bool {
        matches!(self, CqlType::Set(_) | CqlType::Map(..))
    }

    pub(crate) fn scalar(&self) -> Option<ScalarType> {
        match self {
            CqlType::Scalar(scalar) => Some(*scalar),
            _ => None,
        }
    }

    /// As the driver knows it.
    pub(crate) fn column_type(&self) -> ColumnType<'static> {
        let frozen = false;
        match self {
            CqlType::Scalar(scalar) => scalar.column_type(),
            CqlType::Udt(definition) => {
                ColumnType::UserDefinedType { frozen, definition: Arc::clone(definition) }
            }
            CqlType::Set(element) => {
                let typ = CollectionType::Set(Box::new(element.column_type()));
                ColumnType::Collection { frozen, typ }
            }
            CqlType::Map(key, value) => {
                let (key, value) = (Box::new(key.column_type()), Box::new(value.column_type()));
                ColumnType::Collection { frozen, typ: CollectionType::Map(key, value) }
            }
        }
    }

    /// Whether these bytes are the value of one cell.
    pub(crate) fn check(&self, value: &[u8]) -> Result<(), String> {
        self.scalar().map_or(Ok(()), |scalar| scalar.check(value))
    }

    /// The sortable bytes of the key of an element.
    ///
    /// # Errors
    /// This is no map, or the bytes are no key of it.
    pub(crate) fn element_key(&self, key: &[u8]) -> Result<Vec<u8>, String> {
        let CqlType::Map(scalar, _) = self else { return Err("this is no map".into()) };
        scalar.check(key)?;
        let mut sortable = Vec::with_capacity(key.len());
        scalar.put_sortable(key, &mut sortable);
        Ok(sortable)
    }

    /// The elements of a value of this collection: the sortable bytes of each key, and its value.
    ///
    /// # Errors
    /// The bytes are no such value.
    pub(crate) fn elements<'v>(
        &self,
        value: &'v [u8],
    ) -> Result<Vec<CollectionElement<'v>>, String> {
        let (key, of) = match self {
            CqlType::Set(key) => (*key, None),
            CqlType::Map(key, of) => (*key, Some(of)),
            CqlType::Scalar(_) | CqlType::Udt(_) => return Err("this is no collection".into()),
        };
        let (count, mut rest) = number(value).ok_or(SHORT)?;
        let mut all = Vec::new();
        for _ in 0..count {
            let name = part(&mut rest)?;
            key.check(name)?;
            let mut sortable = Vec::with_capacity(name.len() + 2);
            key.put_sortable(name, &mut sortable);
            let element = match of {
                Some(of) => {
                    let element = part(&mut rest)?;
                    of.check(element)?;
                    element
                }
                None => &[],
            };
            all.push((sortable, element));
        }
        Ok(all)
    }

    /// The value of this collection that has these elements, in their order; `None` without any:
    /// an empty collection is a null.
    pub(crate) fn collected<'e>(
        &self,
        elements: impl Iterator<Item = (&'e [u8], &'e [u8])>,
    ) -> Option<Vec<u8>> {
        let (key, has_values) = match self {
            CqlType::Set(key) => (*key, false),
            CqlType::Map(key, _) => (*key, true),
            CqlType::Scalar(_) | CqlType::Udt(_) => return None,
        };
        let (mut count, mut out) = (0_i32, vec![0; 4]);
        for (name, element) in elements {
            count += 1;
            put_cell(&mut out, Some(&key.take_sortable(name, 0).0));
            if has_values {
                put_cell(&mut out, Some(element));
            }
        }
        out[..4].copy_from_slice(&count.to_be_bytes());
        (count > 0).then_some(out)
    }
}

const SHORT: &str = "a collection has fewer bytes than it says";

fn number(bytes: &[u8]) -> Option<(i32, &[u8])> {
    bytes.split_first_chunk::<4>().map(|(number, rest)| (i32::from_be_bytes(*number), rest))
}

/// The next part of a collection.
pub(crate) fn part<'v>(rest: &mut &'v [u8]) -> Result<&'v [u8], String> {
    let (length, after) = number(rest).ok_or(SHORT)?;
    let length = usize::try_from(length).map_err(|_| "a collection has a null")?;
    let (part, after) = after.split_at_checked(length).ok_or(SHORT)?;
    *rest = after;
    Ok(part)
}

/// The parts of a list.
///
/// # Errors
/// The bytes are no list, or it has a null.
pub(crate) fn list(value: &[u8]) -> Result<Vec<&[u8]>, String> {
    let (count, mut rest) = number(value).ok_or(SHORT)?;
    (0..count).map(|_| part(&mut rest)).collect()
}

/// Appends a cell of an answer: its length and its bytes; -1 for a null.
pub fn put_cell(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

/// The cells of a row of an answer, as [`put_cell`] wrote them.
pub fn cells(mut row: &[u8]) -> Vec<Option<&[u8]>> {
    let mut cells = Vec::new();
    while let Some((length, rest)) = row.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (cell, behind) = rest.split_at(length.unwrap_or(0).min(rest.len()));
        cells.push(length.map(|_| cell));
        row = behind;
    }
    cells
}

/// The least bytes that are greater than all that begin with `prefix`; `None` if there are none.
pub(crate) fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_were_written() {
        let mut row = Vec::new();
        let all: [Option<&[u8]>; 3] = [Some(&[7]), None, Some(&[])];
        all.iter().for_each(|cell| put_cell(&mut row, *cell));
        assert_eq!(row, [0, 0, 0, 1, 7, 255, 255, 255, 255, 0, 0, 0, 0]);
        assert_eq!(cells(&row), all);
        assert!(cells(&[]).is_empty());
    }
}
