//! Statements with another text or other values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use cql_session::{BoundValue, StatementRequest};

/// A value in the place of another one.
#[derive(Clone, Copy)]
pub(super) enum SubstituteValue {
    Int(i32),
    /// So many of its first bytes.
    Head(usize),
    /// One less than it should be.
    OneLess,
    /// The value of this number.
    Same(usize),
    /// The time of the process, in microseconds.
    Now,
    Unset,
}

impl SubstituteValue {
    fn of(self, row: &[BoundValue], at: usize, now_us: i64) -> Option<BoundValue> {
        Some(match self {
            SubstituteValue::Int(number) => BoundValue::Value(number.to_be_bytes().to_vec()),
            SubstituteValue::Head(count) => {
                let BoundValue::Value(bytes) = row.get(at)? else { return None };
                BoundValue::Value(bytes.iter().take(count).copied().collect())
            }
            SubstituteValue::OneLess => {
                let BoundValue::Value(bytes) = row.get(at)? else { return None };
                let number = i64::from_be_bytes(bytes.as_slice().try_into().ok()?);
                BoundValue::Value((number - 1).to_be_bytes().to_vec())
            }
            SubstituteValue::Same(other) => row.get(other)?.clone(),
            SubstituteValue::Now => BoundValue::Value(now_us.to_be_bytes().to_vec()),
            SubstituteValue::Unset => BoundValue::Unset,
        })
    }
}

/// How many values are bound in a text.
pub(super) fn markers(cql: &str) -> usize {
    cql.matches(['?', ':']).count()
}

/// The request with another value in each of its rows.
pub(super) fn set(
    mut request: StatementRequest,
    at: usize,
    value: SubstituteValue,
    now_us: i64,
) -> StatementRequest {
    for row in &mut request.rows {
        if let Some(value) = value.of(row, at, now_us)
            && let Some(place) = row.get_mut(at)
        {
            *place = value;
        }
    }
    request
}

/// The request without a part of its text and the values that are bound in it.
pub(super) fn without(request: &StatementRequest, part: &str) -> StatementRequest {
    match request.cql.find(part) {
        Some(at) => without_span(request, at, at + part.len()),
        None => request.clone(),
    }
}

/// The same without the rest of its text, from a part on.
pub(super) fn cut(request: &StatementRequest, from: &str) -> StatementRequest {
    match request.cql.find(from) {
        Some(at) => without_span(request, at, request.cql.len()),
        None => request.clone(),
    }
}

fn without_span(request: &StatementRequest, from: usize, to: usize) -> StatementRequest {
    let (before, rest) = request.cql.split_at(from);
    let (gone, behind) = rest.split_at(to - from);
    let first = markers(before);
    let gone = first..first + markers(gone);
    let kept = |row: &Vec<BoundValue>| {
        let values = row.iter().enumerate().filter(|(at, _)| !gone.contains(at));
        values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    StatementRequest {
        cql: leaked(format!("{before}{behind}")),
        rows: request.rows.iter().map(kept).collect(),
        ..request.clone()
    }
}

/// A conditional update with the values that are there in the place of those that it asks for;
/// `None` if its condition is not about columns.
pub(super) fn forced(
    request: &StatementRequest,
    there: &BTreeMap<String, BoundValue>,
) -> Option<StatementRequest> {
    let (update, condition) = request.cql.split_once(" IF ")?;
    let mut row = request.rows.first()?.get(..markers(update))?.to_vec();
    let mut columns = Vec::new();
    for part in condition.split(" AND ") {
        let column = part.split(' ').next()?;
        row.push(there.get(column)?.clone());
        columns.push(format!("{column} = ?"));
    }
    let cql = leaked(format!("{update} IF {}", columns.join(" AND ")));
    Some(StatementRequest { cql, rows: vec![row], ..request.clone() })
}

/// A text for ever: a request borrows it. Each is leaked once.
fn leaked(text: String) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().expect("nothing panics with the texts in its hand");
    if let Some(known) = texts.get(text.as_str()).copied() {
        return known;
    }
    let text: &'static str = Box::leak(text.into_boxed_str());
    texts.insert(text);
    text
}

#[cfg(test)]
mod tests {
    use cql_session::StatementProfile;

    use super::*;

    const CHANGE: &str =
        "UPDATE coupon SET version = ?, state = ? WHERE code = ? IF version = :before AND a = null";

    fn request(cql: &'static str, values: &[i64]) -> StatementRequest {
        let row = values.iter().map(|value| bound(*value)).collect();
        let profile = StatementProfile::Change;
        StatementRequest { cql, rows: vec![row], profile, from: None, page_rows: 100 }
    }

    fn bound(value: i64) -> BoundValue {
        BoundValue::Value(value.to_be_bytes().to_vec())
    }

    #[test]
    fn a_part_goes_with_its_values() {
        let whole = request(CHANGE, &[1, 2, 3, 4]);
        let less = without(&whole, "version = :before AND ");
        assert_eq!(less.cql, CHANGE.replace("version = :before AND ", ""));
        assert_eq!(less.rows, request("", &[1, 2, 3]).rows);
        let less = without(&whole, ", state = ?");
        assert_eq!(less.rows, request("", &[1, 3, 4]).rows);
        let less = without(&whole, " AND a = null");
        assert_eq!((less.rows, markers(less.cql)), (whole.rows.clone(), 4));
        assert_eq!(without(&whole, "nothing of it").cql, CHANGE);
        assert!(std::ptr::eq(
            without(&whole, ", state = ?").cql,
            without(&whole, ", state = ?").cql
        ));
    }

    #[test]
    fn the_rest_goes_with_its_values() {
        let delete =
            "DELETE FROM coupon USING TIMESTAMP ? WHERE bucket = ? AND code > ? AND code <= ?";
        let less = cut(&request(delete, &[1, 2, 3, 4]), " AND code > ?");
        assert_eq!(less.cql, "DELETE FROM coupon USING TIMESTAMP ? WHERE bucket = ?");
        assert_eq!(less.rows, request("", &[1, 2]).rows);
    }

    #[test]
    fn a_condition_holds_with_what_is_there() {
        let there = BTreeMap::from([("version".into(), bound(9)), ("a".into(), BoundValue::Null)]);
        let again = forced(&request(CHANGE, &[1, 2, 3, 4]), &there).expect("it has columns");
        assert!(again.cql.ends_with(" WHERE code = ? IF version = ? AND a = ?"), "{}", again.cql);
        assert_eq!(again.rows, [[bound(1), bound(2), bound(3), bound(9), BoundValue::Null]]);
        let insert = request("INSERT INTO a (b) VALUES (?) IF NOT EXISTS", &[1]);
        assert!(forced(&insert, &there).is_none());
    }

    #[test]
    fn values_are_set_in_every_row() {
        let both =
            StatementRequest { rows: vec![vec![bound(1), bound(2)]; 2], ..request(CHANGE, &[]) };
        let rows = [
            (SubstituteValue::OneLess, bound(1)),
            (SubstituteValue::Same(0), bound(1)),
            (SubstituteValue::Now, bound(77)),
            (SubstituteValue::Int(0), BoundValue::Value(vec![0; 4])),
            (SubstituteValue::Head(3), BoundValue::Value(vec![0; 3])),
            (SubstituteValue::Unset, BoundValue::Unset),
        ];
        for (value, want) in rows {
            let set = set(both.clone(), 1, value, 77);
            assert_eq!(set.rows, vec![vec![bound(1), want]; 2]);
        }
    }
}
