//! The tables of a schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use scylla::frame::response::result::{ColumnSpec, ColumnType, TableSpec, UserDefinedType};

use super::lexer::TokenStream;
use super::types::{CqlType, ScalarType};

/// The name of the keyspace in what the driver is told.
const KEYSPACE: &str = "couponry";

/// The tables and types of a keyspace.
#[derive(Debug, Default)]
pub struct KeyspaceSchema {
    types: BTreeMap<String, Arc<UserDefinedType<'static>>>,
    tables: BTreeMap<String, Arc<TableDefinition>>,
}

/// A table. A column is known by its place in `columns`.
#[derive(Debug)]
pub(crate) struct TableDefinition {
    pub(crate) name: Arc<str>,
    pub(crate) columns: Vec<ColumnDefinition>,
    /// The columns of the partition key.
    pub(crate) partition: Vec<usize>,
    /// The columns that order the rows of a partition.
    pub(crate) clustering: Vec<ClusteringColumn>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ClusteringColumn {
    pub(crate) column: usize,
    pub(crate) scalar: ScalarType,
    pub(crate) is_descending: bool,
}

#[derive(Debug)]
pub(crate) struct ColumnDefinition {
    pub(crate) name: String,
    pub(crate) typ: CqlType,
    pub(crate) kind: ColumnKind,
}

/// What a column is in its table; of a key column, its place in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Partition(usize),
    Clustering(usize),
    Static,
    Regular,
}

impl KeyspaceSchema {
    /// The schema of couponry's hot store.
    ///
    /// # Panics
    /// If `schema/hot.cql` has what is not known here.
    pub fn couponry() -> Arc<KeyspaceSchema> {
        let text = include_str!("../../../../schema/hot.cql");
        Arc::new(KeyspaceSchema::parse(text).expect("a test parses schema/hot.cql"))
    }

    /// Parses the statements that make tables and types.
    ///
    /// # Errors
    /// A statement that is not known.
    pub fn parse(text: &str) -> Result<KeyspaceSchema, String> {
        let (mut schema, mut tokens) = (KeyspaceSchema::default(), TokenStream::of(text)?);
        while !tokens.is_done() {
            tokens.expect_word("CREATE")?;
            let is_type = tokens.word("TYPE");
            if !is_type {
                tokens.expect_word("TABLE")?;
            }
            tokens.words(&["IF", "NOT", "EXISTS"]);
            let name = tokens.name()?;
            tokens.expect_sign("(")?;
            if is_type {
                let made = schema.user_type(&name, &mut tokens)?;
                schema.types.insert(name, Arc::new(made));
            } else {
                let made = schema.table_of(&name, &mut tokens)?;
                schema.tables.insert(name, Arc::new(made));
            }
            tokens.expect_sign(";")?;
        }
        Ok(schema)
    }

    pub(crate) fn table(&self, name: &str) -> Result<Arc<TableDefinition>, String> {
        self.tables.get(name).cloned().ok_or_else(|| format!("no table {name}"))
    }

    fn user_type(
        &self,
        name: &str,
        tokens: &mut TokenStream,
    ) -> Result<UserDefinedType<'static>, String> {
        let fields = tokens.list(|tokens| {
            let name = tokens.name()?;
            let typ = self.type_of(tokens, false)?.column_type();
            Ok::<(Cow<'static, str>, ColumnType<'static>), String>((name.into(), typ))
        });
        let field_types = fields?;
        tokens.expect_sign(")")?;
        Ok(UserDefinedType { name: name.to_owned().into(), keyspace: KEYSPACE.into(), field_types })
    }

    fn type_of(&self, tokens: &mut TokenStream, is_frozen: bool) -> Result<CqlType, String> {
        let name = tokens.name()?;
        if let Some(scalar) = ScalarType::named(&name) {
            return Ok(CqlType::Scalar(scalar));
        }
        if let Some(definition) = self.types.get(&name).filter(|_| is_frozen) {
            return Ok(CqlType::Udt(Arc::clone(definition)));
        }
        tokens.expect_sign("<")?;
        let scalar = |tokens: &mut TokenStream| {
            let name = tokens.name()?;
            ScalarType::named(&name).ok_or_else(|| format!("no key may be of type {name}"))
        };
        let typ = match name.as_str() {
            "frozen" => self.type_of(tokens, true)?,
            "set" if !is_frozen => CqlType::Set(scalar(tokens)?),
            "map" if !is_frozen => {
                let key = scalar(tokens)?;
                tokens.expect_sign(",")?;
                CqlType::Map(key, Box::new(self.type_of(tokens, false)?))
            }
            _ => return Err(format!("no type {name}")),
        };
        tokens.expect_sign(">")?;
        Ok(typ)
    }

    fn table_of(&self, name: &str, tokens: &mut TokenStream) -> Result<TableDefinition, String> {
        let (mut columns, mut partition, mut clustering) = (Vec::new(), Vec::new(), Vec::new());
        tokens.list(|tokens| {
            if tokens.words(&["PRIMARY", "KEY"]) {
                (partition, clustering) = primary_key(tokens)?;
                return Ok(());
            }
            let (name, typ) = (tokens.name()?, self.type_of(tokens, false)?);
            let is_static = tokens.word("STATIC");
            let kind = if is_static { ColumnKind::Static } else { ColumnKind::Regular };
            if tokens.words(&["PRIMARY", "KEY"]) {
                partition = vec![name.clone()];
            }
            columns.push(ColumnDefinition { name, typ, kind });
            Ok(())
        })?;
        tokens.expect_sign(")")?;
        let descending = options(tokens)?;
        let mut table = TableDefinition {
            name: name.into(),
            columns,
            partition: Vec::new(),
            clustering: Vec::new(),
        };
        for (at, name) in partition.iter().enumerate() {
            let column = table.column(name)?;
            table.columns[column].kind = ColumnKind::Partition(at);
            table.partition.push(column);
        }
        for (at, name) in clustering.iter().enumerate() {
            let column = table.column(name)?;
            table.columns[column].kind = ColumnKind::Clustering(at);
            let scalar = table.columns[column].typ.scalar().ok_or("a key of many parts")?;
            let is_descending = descending.contains(name);
            table.clustering.push(ClusteringColumn { column, scalar, is_descending });
        }
        Ok(table)
    }
}

/// The columns of the partition key, and those behind them.
fn primary_key(tokens: &mut TokenStream) -> Result<(Vec<String>, Vec<String>), String> {
    tokens.expect_sign("(")?;
    let partition = if tokens.sign("(") {
        let names = tokens.list(|tokens| tokens.name())?;
        tokens.expect_sign(")")?;
        names
    } else {
        vec![tokens.name()?]
    };
    let mut clustering = Vec::new();
    while tokens.sign(",") {
        clustering.push(tokens.name()?);
    }
    tokens.expect_sign(")")?;
    Ok((partition, clustering))
}

/// The columns that sort descending. Other options change no answer.
fn options(tokens: &mut TokenStream) -> Result<Vec<String>, String> {
    let mut descending = Vec::new();
    if !tokens.word("WITH") {
        return Ok(descending);
    }
    loop {
        if tokens.words(&["CLUSTERING", "ORDER", "BY"]) {
            tokens.expect_sign("(")?;
            tokens.list(|tokens| {
                let name = tokens.name()?;
                if tokens.word("DESC") {
                    descending.push(name);
                } else {
                    tokens.word("ASC");
                }
                Ok(())
            })?;
            tokens.expect_sign(")")?;
        } else {
            tokens.name()?;
            tokens.expect_sign("=")?;
            tokens.token()?;
        }
        if !tokens.word("AND") {
            return Ok(descending);
        }
    }
}

impl TableDefinition {
    pub(crate) fn column(&self, name: &str) -> Result<usize, String> {
        let at = self.columns.iter().position(|column| column.name == name);
        at.ok_or_else(|| format!("{} has no column {name}", self.name))
    }

    pub(crate) fn has_statics(&self) -> bool {
        self.columns.iter().any(|column| column.kind == ColumnKind::Static)
    }

    pub(crate) fn is_static(&self, column: usize) -> bool {
        self.columns[column].kind == ColumnKind::Static
    }

    /// The type of a column of the partition key.
    pub(crate) fn key_scalar(&self, column: usize) -> Result<ScalarType, String> {
        self.columns[column].typ.scalar().ok_or_else(|| "a key of many parts".to_owned())
    }

    /// All columns in the order of `SELECT *`: the key, then static ones, then the others, by name.
    pub(crate) fn in_order(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.columns.len()).collect();
        all.sort_by_key(|at| {
            let column = &self.columns[*at];
            match column.kind {
                ColumnKind::Partition(at) => (0, at, ""),
                ColumnKind::Clustering(at) => (1, at, ""),
                ColumnKind::Static => (2, 0, column.name.as_str()),
                ColumnKind::Regular => (3, 0, column.name.as_str()),
            }
        });
        all
    }

    /// A column of an answer, or a parameter.
    pub(crate) fn spec(&self, name: &str, typ: ColumnType<'static>) -> ColumnSpec<'static> {
        let table = TableSpec::owned(KEYSPACE.to_owned(), self.name.to_string());
        ColumnSpec::owned(name.to_owned(), typ, table)
    }

    /// The values of a row's clustering columns.
    pub(crate) fn clustering_values(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let mut from = 0;
        let values = self.clustering.iter().map(|it| {
            let mask = if it.is_descending { 0xFF } else { 0 };
            let rest = key.get(from..).unwrap_or_default();
            let (value, length) = it.scalar.take_sortable(rest, mask);
            from += length;
            value
        });
        values.collect()
    }

    /// The values of the columns of a partition key.
    pub(crate) fn partition_values<'k>(&self, key: &'k [u8]) -> Vec<&'k [u8]> {
        if self.partition.len() == 1 {
            return vec![key];
        }
        let (mut all, mut rest) = (Vec::with_capacity(self.partition.len()), key);
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (value, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            all.push(value);
            rest = after.get(1..).unwrap_or_default();
        }
        all
    }
}
