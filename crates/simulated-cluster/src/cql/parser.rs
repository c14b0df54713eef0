//! A statement that is being parsed: its tokens, its table, and the parameters until here.

use std::sync::Arc;

use cql_session::{BoundValue, CqlEngine};
use scylla::frame::response::result::{ColumnSpec, ColumnType};

use super::lexer::{CqlToken, TokenStream};
use super::schema::TableDefinition;
use super::types::{CqlType, ScalarType};
use super::value_term::ValueTerm;

pub(crate) struct StatementParser {
    pub(crate) engine: CqlEngine,
    pub(crate) tokens: TokenStream,
    pub(crate) table: Arc<TableDefinition>,
    pub(crate) parameters: Vec<ColumnSpec<'static>>,
}

impl StatementParser {
    pub(crate) fn new(
        engine: CqlEngine,
        tokens: TokenStream,
        table: Arc<TableDefinition>,
    ) -> StatementParser {
        StatementParser { engine, tokens, table, parameters: Vec::new() }
    }

    pub(crate) fn column_term(&mut self, column: usize) -> Result<ValueTerm, String> {
        let table = Arc::clone(&self.table);
        let of = &table.columns[column];
        self.term(&of.name, &of.typ)
    }

    /// A value: a parameter with this name, or one in the text.
    pub(crate) fn term(&mut self, name: &str, typ: &CqlType) -> Result<ValueTerm, String> {
        let bytes = match (self.tokens.token()?, typ.scalar()) {
            (CqlToken::Sign("?"), _) => return Ok(self.parameter(name, typ.column_type())),
            (CqlToken::Sign(":"), _) => {
                let name = self.tokens.name()?;
                return Ok(self.parameter(&name, typ.column_type()));
            }
            (CqlToken::Word(word), _) if word.eq_ignore_ascii_case("null") => {
                return Ok(ValueTerm::Fixed(BoundValue::Null));
            }
            (CqlToken::Word(word), Some(ScalarType::Boolean)) => {
                vec![u8::from(word.parse::<bool>().map_err(|_| "no boolean")?)]
            }
            (CqlToken::Text(text), Some(ScalarType::Text)) => text.into_bytes(),
            (CqlToken::Number(number), Some(ScalarType::BigInt | ScalarType::Timestamp)) => {
                number.to_be_bytes().to_vec()
            }
            (CqlToken::Number(number), Some(ScalarType::Int)) => {
                let number = i32::try_from(number).map_err(|_| "a number too large")?;
                number.to_be_bytes().to_vec()
            }
            (token, _) => return Err(format!("{token:?} is no value of {name}")),
        };
        Ok(ValueTerm::Fixed(BoundValue::Value(bytes)))
    }

    pub(crate) fn parameter(&mut self, name: &str, typ: ColumnType<'static>) -> ValueTerm {
        self.parameters.push(self.table.spec(name, typ));
        ValueTerm::Bind(self.parameters.len() - 1)
    }
}
