//! The dictionary of actors and operations: a record has their numbers.

use coupon::ids::{Actor, OperationId};

use super::Txn;
use super::seen::{keep, known};
use rusqlite::{Result as SqlResult, ToSql, params};

use crate::failure::damaged;
use crate::record::{NameDictionary, USER_ROLE};

/// Most names in the dictionary. A service has a few; a caller that makes a token for each request fills it,
/// and from then on records have the names themselves.
const ACTORS_MAX: i64 = 4_096;

/// Most operations of imports in the dictionary: some three megabytes.
const OPERATIONS_MAX: i64 = 65_536;

impl NameDictionary for Txn<'_> {
    fn number_of_actor(&self, name: &str) -> SqlResult<Option<u64>> {
        // Numbers are for ever, and a person can be forgotten.
        if name.starts_with(USER_ROLE) {
            return Ok(None);
        }
        let known = self.seen.actor_numbers.borrow().get(name).copied();
        if known.is_some() {
            return Ok(known);
        }
        let number = self.number_in(("actor", "name"), &name, ACTORS_MAX)?;
        if let Some(number) = number {
            keep(&self.seen.actor_numbers, name.to_owned(), &number);
        }
        Ok(number)
    }

    fn actor(&self, number: u64) -> SqlResult<Actor> {
        known(&self.seen.actors, number, || {
            let sql = "SELECT name FROM actor WHERE number = ?1";
            let name: Option<String> = self.first(sql, [number as i64], |row| row.get(0))?;
            let name = name.ok_or_else(|| damaged("actor", format!("{number} has no name")))?;
            Ok(Actor::new(&name))
        })
    }

    fn number_of_operation(&self, operation: OperationId) -> Option<u64> {
        self.seen.operation_numbers.borrow().get(&operation).copied()
    }

    fn operation(&self, number: u64) -> SqlResult<OperationId> {
        if let Some(operation) = self.seen.operations.borrow().get(&number) {
            return Ok(*operation);
        }
        let sql = "SELECT operation FROM operation WHERE number = ?1";
        let bytes: Option<[u8; 16]> = self.first(sql, [number as i64], |row| row.get(0))?;
        let bytes = bytes.ok_or_else(|| damaged("operation", format!("there is no {number}")))?;
        let operation = OperationId(u128::from_be_bytes(bytes));
        self.know_operation(number, operation);
        Ok(operation)
    }
}

impl Txn<'_> {
    /// Gives an operation a number, because many rows will have it.
    pub(crate) fn enter_operation(&self, operation: OperationId) -> SqlResult<()> {
        if self.number_of_operation(operation).is_some() {
            return Ok(());
        }
        let bytes = operation.0.to_be_bytes();
        let number = self.number_in(("operation", "operation"), &bytes, OPERATIONS_MAX)?;
        if let Some(number) = number {
            self.know_operation(number, operation);
        }
        Ok(())
    }

    /// The number of a value in a table, which may be new; `None` if the table has `most`.
    fn number_in(
        &self,
        (table, column): (&str, &str),
        value: &dyn ToSql,
        most: i64,
    ) -> SqlResult<Option<u64>> {
        let found = format!("SELECT number FROM {table} WHERE {column} = ?1");
        let entered = format!(
            "INSERT INTO {table} ({column}) SELECT ?1 \
             WHERE (SELECT coalesce(max(number), 0) FROM {table}) < ?2 RETURNING number"
        );
        let number: Option<i64> = match self.first(&found, [value], |row| row.get(0))? {
            None => self.first(&entered, params![value, most], |row| row.get(0))?,
            found => found,
        };
        Ok(number.map(i64::unsigned_abs))
    }

    /// A row that is read has its operations by number, and then they are known when it is written.
    fn know_operation(&self, number: u64, operation: OperationId) {
        keep(&self.seen.operations, number, &operation);
        keep(&self.seen.operation_numbers, operation, &number);
    }
}
