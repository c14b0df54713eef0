//! The dictionary of actors: a record has the number of a name instead of the name.

use coupon::ids::Actor;

use super::Txn;
use super::seen::keep;
use crate::failure::damaged;
use crate::record::Actors;

/// Most names in the dictionary. A service has a few; whoever makes a token for each request fills it,
/// and from then on records have the names themselves.
const ACTORS_MAX: i64 = 4_096;

impl Actors for Txn<'_> {
    fn number(&self, name: &str) -> rusqlite::Result<Option<u64>> {
        let known = self.seen.actor_numbers.borrow().get(name).copied();
        if known.is_some() {
            return Ok(known);
        }
        let sql = "SELECT number FROM actor WHERE name = ?1";
        let number: Option<i64> = match self.first(sql, [name], |row| row.get(0))? {
            Some(number) => Some(number),
            None => {
                let sql = "INSERT INTO actor (name) SELECT ?1 \
                           WHERE (SELECT coalesce(max(number), 0) FROM actor) < ?2 \
                           RETURNING number";
                self.first(sql, (name, ACTORS_MAX), |row| row.get(0))?
            }
        };
        let number = number.map(i64::unsigned_abs);
        if let Some(number) = number {
            keep(&self.seen.actor_numbers, name.to_owned(), &number);
        }
        Ok(number)
    }

    fn name(&self, number: u64) -> rusqlite::Result<Actor> {
        if let Some(actor) = self.seen.actors.borrow().get(&number) {
            return Ok(actor.clone());
        }
        let sql = "SELECT name FROM actor WHERE number = ?1";
        let name: Option<String> = self.first(sql, [number as i64], |row| row.get(0))?;
        let name = name.ok_or_else(|| damaged("actor", format!("{number} has no name")))?;
        let actor = Actor::new(&name);
        keep(&self.seen.actors, number, &actor);
        Ok(actor)
    }
}
