//! What follows WHERE: the partitions that a statement is about, and which of their rows.

use std::sync::Arc;

use cql_session::BoundValue;
use scylla::frame::response::result::{CollectionType, ColumnType};

use super::parser::StatementParser;
use super::partition::RowRange;
use super::partition_key::PartitionKey;
use super::schema::{ColumnKind, TableDefinition};
use super::types::{behind, list};
use super::value_term::ValueTerm;

/// Why a read is refused that names rows by anything but their key.
const FILTER: &str = "rows would have to be filtered";

/// The partitions and rows that a statement is about.
#[derive(Debug, Default)]
pub(crate) struct WhereClause {
    /// One for each column of the partition key; none for the whole table.
    pub(crate) key: Vec<KeyTerm>,
    /// The first clustering columns.
    pub(crate) prefix: Vec<ValueTerm>,
    /// The next ones.
    pub(crate) lower: Option<ClusteringBound>,
    pub(crate) upper: Option<ClusteringBound>,
    pub(crate) forms: RelationForms,
}

/// How the text writes its comparisons of clustering columns: engines differ in which of them may
/// stand together, while the rows they name are the same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RelationForms {
    pub(crate) has_single: bool,
    pub(crate) has_multi: bool,
}

#[derive(Debug)]
pub(crate) enum KeyTerm {
    Is(ValueTerm),
    In(ValueTerm),
}

/// A bound of clustering columns.
#[derive(Debug)]
pub(crate) struct ClusteringBound {
    terms: Vec<ValueTerm>,
    is_included: bool,
}

/// One comparison of the text.
struct WhereRelation {
    columns: Vec<usize>,
    operator: &'static str,
    terms: Vec<ValueTerm>,
    /// Written with parentheses, which may be around a single column.
    is_multi: bool,
}

impl WhereClause {
    /// Whether it names no row.
    pub(crate) fn is_whole(&self) -> bool {
        self.prefix.is_empty() && self.lower.is_none() && self.upper.is_none()
    }

    /// Whether its text may name several partitions, though not all of the table.
    pub(crate) fn names_several(&self) -> bool {
        self.key.iter().any(|term| matches!(term, KeyTerm::In(_)))
    }

    /// Whether it names one row.
    pub(crate) fn is_one_row(&self, table: &TableDefinition) -> bool {
        self.prefix.len() == table.clustering.len()
    }

    /// The partitions in their order; `None` for the whole table.
    pub(crate) fn keys(
        &self,
        table: &TableDefinition,
        values: &[BoundValue],
    ) -> Option<Result<Vec<PartitionKey>, String>> {
        (!self.key.is_empty()).then(|| self.named_keys(table, values))
    }

    fn named_keys(
        &self,
        table: &TableDefinition,
        values: &[BoundValue],
    ) -> Result<Vec<PartitionKey>, String> {
        let mut all = vec![Vec::new()];
        for (column, term) in table.partition.iter().zip(&self.key) {
            let scalar = table.key_scalar(*column)?;
            let parts = match term {
                KeyTerm::Is(term) => vec![term.key(values)?],
                KeyTerm::In(term) => list(term.key(values)?)?,
            };
            let mut longer = Vec::with_capacity(all.len() * parts.len());
            for part in parts {
                scalar.check(part)?;
                for before in &all {
                    longer.push(key_bytes(before, part, table.partition.len() == 1)?);
                }
            }
            all = longer;
        }
        let mut keys: Vec<PartitionKey> =
            all.iter().map(|bytes| PartitionKey::of(&table.name, bytes)).collect();
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// The one partition of a write.
    pub(crate) fn one_key(
        &self,
        table: &TableDefinition,
        values: &[BoundValue],
    ) -> Result<PartitionKey, String> {
        let mut keys = self.named_keys(table, values)?;
        keys.pop().filter(|_| keys.is_empty()).ok_or_else(|| "more than one partition".to_owned())
    }

    /// The key of the one row, or the beginning of the keys of some.
    pub(crate) fn row_key(
        &self,
        table: &TableDefinition,
        values: &[BoundValue],
    ) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        put(&mut out, table, 0, &self.prefix, values)?;
        Ok(out)
    }

    /// The rows.
    pub(crate) fn span(
        &self,
        table: &TableDefinition,
        values: &[BoundValue],
    ) -> Result<RowRange, String> {
        let from = self.prefix.len();
        let prefix = self.row_key(table, values)?;
        let edge = |edge: &ClusteringBound| {
            let mut out = prefix.clone();
            put(&mut out, table, from, &edge.terms, values)?;
            Ok::<Vec<u8>, String>(out)
        };
        let is_descending = table.clustering.get(from).is_some_and(|it| it.is_descending);
        let (low, high) = match is_descending {
            true => (&self.upper, &self.lower),
            false => (&self.lower, &self.upper),
        };
        let start = match low {
            None => Some(prefix.clone()),
            Some(low) if low.is_included => Some(edge(low)?),
            Some(low) => behind(&edge(low)?),
        };
        let end = match high {
            None => behind(&prefix),
            Some(high) if high.is_included => behind(&edge(high)?),
            Some(high) => Some(edge(high)?),
        };
        // Without a start no key is so great.
        let span = start.map(|start| RowRange { start: start.into(), end: end.map(Arc::from) });
        Ok(span.unwrap_or_else(RowRange::nothing))
    }
}

/// The bytes of a partition key with one more part.
fn key_bytes(before: &[u8], part: &[u8], is_alone: bool) -> Result<Vec<u8>, String> {
    if is_alone {
        return Ok(part.to_vec());
    }
    let length = u16::try_from(part.len()).map_err(|_| "a key is too long")?;
    Ok([before, &length.to_be_bytes(), part, &[0]].concat())
}

/// Appends the sortable bytes of clustering columns, the first of which is `from`.
fn put(
    out: &mut Vec<u8>,
    table: &TableDefinition,
    from: usize,
    terms: &[ValueTerm],
    values: &[BoundValue],
) -> Result<(), String> {
    for (term, it) in terms.iter().zip(table.clustering.iter().skip(from)) {
        let value = term.key(values)?;
        it.scalar.check(value)?;
        let begin = out.len();
        it.scalar.put_sortable(value, out);
        if it.is_descending {
            out[begin..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    Ok(())
}

impl StatementParser {
    /// What follows WHERE, if it is next.
    pub(crate) fn relations(&mut self) -> Result<WhereClause, String> {
        if !self.tokens.word("WHERE") {
            return Ok(WhereClause::default());
        }
        let mut all = Vec::new();
        loop {
            all.push(self.relation()?);
            if !self.tokens.word("AND") {
                break;
            }
        }
        self.clause_of(all)
    }

    fn relation(&mut self) -> Result<WhereRelation, String> {
        if self.tokens.sign("(") {
            let names = self.tokens.list(|tokens| tokens.name())?;
            self.tokens.expect_sign(")")?;
            let operator = self.operator()?;
            self.tokens.expect_sign("(")?;
            let (mut columns, mut terms) = (Vec::new(), Vec::new());
            for (at, name) in names.iter().enumerate() {
                if at > 0 {
                    self.tokens.expect_sign(",")?;
                }
                let column = self.table.column(name)?;
                columns.push(column);
                terms.push(self.column_term(column)?);
            }
            self.tokens.expect_sign(")")?;
            return Ok(WhereRelation { columns, operator, terms, is_multi: true });
        }
        let name = self.tokens.name()?;
        let column = self.table.column(&name)?;
        if self.tokens.word("IN") {
            self.tokens.expect_sign("?")?;
            let element = Box::new(self.table.columns[column].typ.column_type());
            let typ = CollectionType::List(element);
            let typ = ColumnType::Collection { frozen: false, typ };
            let term = self.parameter(&format!("in({name})"), typ);
            let (columns, terms) = (vec![column], vec![term]);
            return Ok(WhereRelation { columns, operator: "IN", terms, is_multi: false });
        }
        let operator = self.operator()?;
        let terms = vec![self.column_term(column)?];
        Ok(WhereRelation { columns: vec![column], operator, terms, is_multi: false })
    }

    fn operator(&mut self) -> Result<&'static str, String> {
        let all = ["=", "<=", ">=", "<", ">"];
        let operator = all.into_iter().find(|operator| self.tokens.sign(operator));
        operator.ok_or_else(|| "a comparison was expected".to_owned())
    }

    fn forms(&self, all: &[WhereRelation]) -> RelationForms {
        let mut forms = RelationForms::default();
        for relation in all {
            let first = self.table.columns[relation.columns[0]].kind;
            if matches!(first, ColumnKind::Clustering(_)) {
                forms.has_multi |= relation.is_multi;
                forms.has_single |= !relation.is_multi;
            }
        }
        forms
    }

    /// What the comparisons mean together.
    fn clause_of(&self, all: Vec<WhereRelation>) -> Result<WhereClause, String> {
        let table = &self.table;
        let mut keys: Vec<Option<KeyTerm>> = table.partition.iter().map(|_| None).collect();
        let mut equal: Vec<Option<ValueTerm>> = vec![None; table.clustering.len()];
        let mut edges = Vec::new();
        let forms = self.forms(&all);
        for WhereRelation { columns, operator, terms, .. } in all {
            let term = terms.first().cloned().ok_or("a comparison without a value")?;
            let many = columns.len() > 1;
            match (table.columns[columns[0]].kind, operator) {
                (ColumnKind::Partition(at), "=") if !many => keys[at] = Some(KeyTerm::Is(term)),
                (ColumnKind::Partition(at), "IN") => keys[at] = Some(KeyTerm::In(term)),
                (ColumnKind::Clustering(at), "=") if !many => equal[at] = Some(term),
                (ColumnKind::Clustering(at), "<" | "<=" | ">" | ">=") => {
                    let part = table.clustering.get(at..at + columns.len()).unwrap_or_default();
                    if !part.iter().map(|it| &it.column).eq(&columns)
                        || part.iter().any(|it| it.is_descending != part[0].is_descending)
                    {
                        return Err("these columns do not follow each other".into());
                    }
                    edges.push((at, operator, terms));
                }
                _ => return Err(FILTER.into()),
            }
        }
        let named = equal.iter().flatten().count();
        let prefix: Vec<ValueTerm> = equal.into_iter().map_while(|term| term).collect();
        let is_prefix = prefix.len() == named;
        let key = keys.into_iter().flatten().collect();
        let mut clause = WhereClause { key, prefix, forms, ..WhereClause::default() };
        for (at, operator, terms) in edges {
            let is_lower = operator.starts_with('>');
            let edge = if is_lower { &mut clause.lower } else { &mut clause.upper };
            if !is_prefix || at != clause.prefix.len() || edge.is_some() {
                return Err(FILTER.into());
            }
            *edge = Some(ClusteringBound { terms, is_included: operator.len() == 2 });
        }
        let is_whole_table = clause.key.is_empty() && clause.is_whole();
        let is_key = clause.key.len() == table.partition.len();
        if is_prefix && (is_whole_table || is_key) { Ok(clause) } else { Err(FILTER.into()) }
    }
}
