//! Parses a statement and finds its columns and parameters.

use std::sync::Arc;

use cql_session::CqlEngine;
use scylla::frame::response::result::ColumnSpec;

use super::clock::{READ_CLOCK, clock_statement};
use super::dialect::check_dialect;
use super::lexer::TokenStream;
use super::parser::StatementParser;
use super::relations::{KeyTerm, WhereClause};
use super::schema::{ColumnKind, KeyspaceSchema};
use super::statement::{CqlStatement, ReadPlan, SelectItem, StatementPlan};
use super::types::{CqlType, ScalarType};
use super::value_term::ValueTerm;
use super::write::{AssignedValue, ColumnAssignment, UpdateCondition, WriteEffect, WritePlan};

/// A column of an answer in the text, before the table is known.
pub(crate) enum SelectedColumn {
    Column(String),
    Written(String),
    Remaining(String),
}

impl KeyspaceSchema {
    /// Prepares a statement as Cassandra does.
    pub fn prepare(self: &Arc<Self>, cql: &str) -> Result<Arc<CqlStatement>, String> {
        self.prepare_for(CqlEngine::Cassandra, cql)
    }

    /// Prepares a statement as an engine does.
    ///
    /// # Errors
    /// The statement is not known, or this engine refuses it; the error has its text.
    pub fn prepare_for(
        self: &Arc<Self>,
        engine: CqlEngine,
        cql: &str,
    ) -> Result<Arc<CqlStatement>, String> {
        let statement = prepare(self, engine, cql).map_err(|why| format!("{why}: {cql}"))?;
        check_dialect(engine, &statement).map_err(|why| format!("{why}: {cql}"))?;
        Ok(Arc::new(statement))
    }
}

fn prepare(schema: &KeyspaceSchema, engine: CqlEngine, cql: &str) -> Result<CqlStatement, String> {
    if cql == READ_CLOCK {
        return Ok(clock_statement());
    }
    let mut tokens = TokenStream::of(cql)?;
    let verb = tokens.name()?;
    if verb == "select" {
        return select(schema, engine, cql, tokens);
    }
    match verb.as_str() {
        "insert" => tokens.expect_word("INTO")?,
        "delete" => tokens.expect_word("FROM")?,
        "update" => {}
        _ => return Err("no statement of the store".into()),
    }
    let table = schema.table(&tokens.name()?)?;
    let mut parser = StatementParser::new(engine, tokens, table);
    let plan = match verb.as_str() {
        "insert" => parser.insert()?,
        "update" => parser.update()?,
        _ => parser.delete()?,
    };
    let columns = parser.answer_of(&plan);
    parser.end()?;
    Ok(parser.statement(cql, columns, StatementPlan::Write(Box::new(plan))))
}

fn select(
    schema: &KeyspaceSchema,
    engine: CqlEngine,
    cql: &str,
    mut tokens: TokenStream,
) -> Result<CqlStatement, String> {
    let is_distinct = tokens.word("DISTINCT");
    let selected = tokens.list(selected)?;
    tokens.expect_word("FROM")?;
    let name = tokens.name()?;
    let mut parser = StatementParser::new(engine, tokens, schema.table(&name)?);
    let (items, columns) = parser.items(&selected)?;
    let of = parser.relations()?;
    let order = parser.order()?;
    let int = CqlType::Scalar(ScalarType::Int);
    let is_partition_limit = parser.tokens.words(&["PER", "PARTITION", "LIMIT"]);
    let partition_limit =
        is_partition_limit.then(|| parser.term("[per_partition_limit]", &int)).transpose()?;
    let is_limit = parser.tokens.word("LIMIT");
    let limit = is_limit.then(|| parser.term("[limit]", &int)).transpose()?;
    parser.end()?;
    let table = Arc::clone(&parser.table);
    let (is_ordered, is_reversed) = (order.is_some(), order.unwrap_or_default());
    let plan =
        ReadPlan { table, of, items, is_distinct, is_ordered, is_reversed, limit, partition_limit };
    Ok(parser.statement(cql, columns, StatementPlan::Read(Box::new(plan))))
}

/// A column of an answer and its name there.
fn selected(tokens: &mut TokenStream) -> Result<(SelectedColumn, Option<String>), String> {
    let name = tokens.name()?;
    let selected = if tokens.sign("(") {
        let selected = match name.as_str() {
            "writetime" => SelectedColumn::Written(tokens.name()?),
            "ttl" => SelectedColumn::Remaining(tokens.name()?),
            _ => return Err(format!("no function {name}")),
        };
        tokens.expect_sign(")")?;
        selected
    } else {
        SelectedColumn::Column(name)
    };
    let alias = if tokens.word("AS") { Some(tokens.name()?) } else { None };
    Ok((selected, alias))
}

impl StatementParser {
    fn statement(
        self,
        cql: &str,
        columns: Vec<ColumnSpec<'static>>,
        plan: StatementPlan,
    ) -> CqlStatement {
        CqlStatement {
            engine: self.engine,
            text: cql.into(),
            table: Arc::clone(&self.table.name),
            parameters: self.parameters.into(),
            columns: columns.into(),
            plan,
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.tokens.sign(";");
        if self.tokens.is_done() { Ok(()) } else { Err("more follows than is known".into()) }
    }

    fn items(
        &self,
        selected: &[(SelectedColumn, Option<String>)],
    ) -> Result<(Vec<SelectItem>, Vec<ColumnSpec<'static>>), String> {
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        let scalar = |of| CqlType::Scalar(of).column_type();
        for (selected, alias) in selected {
            let (item, name, typ) = match selected {
                SelectedColumn::Column(name) => {
                    let column = self.table.column(name)?;
                    let typ = self.table.columns[column].typ.column_type();
                    (SelectItem::Column(column), name.clone(), typ)
                }
                SelectedColumn::Written(name) => {
                    let item = SelectItem::Written(self.cell(name)?);
                    (item, format!("writetime({name})"), scalar(ScalarType::BigInt))
                }
                SelectedColumn::Remaining(name) => {
                    let item = SelectItem::Remaining(self.cell(name)?);
                    (item, format!("ttl({name})"), scalar(ScalarType::Int))
                }
            };
            items.push(item);
            columns.push(self.table.spec(alias.as_ref().unwrap_or(&name), typ));
        }
        Ok((items, columns))
    }

    /// A column with one write time and one end. Of a collection ScyllaDB has none (`writetime_or_ttl` in its
    /// selectable.cc), and Cassandra a list of them since 5.0: the store must do without.
    fn cell(&self, name: &str) -> Result<usize, String> {
        let column = self.table.column(name)?;
        let of = &self.table.columns[column];
        let is_cell = matches!(of.kind, ColumnKind::Static | ColumnKind::Regular);
        match is_cell && !of.typ.has_elements() {
            true => Ok(column),
            false => Err(format!("{name} has no write time and no end")),
        }
    }

    /// What follows ORDER BY: whether rows are read from the end.
    fn order(&mut self) -> Result<Option<bool>, String> {
        if !self.tokens.words(&["ORDER", "BY"]) {
            return Ok(None);
        }
        let order = self.tokens.list(|tokens| {
            let name = tokens.name()?;
            let is_descending = tokens.word("DESC");
            if !is_descending {
                tokens.word("ASC");
            }
            Ok((name, is_descending))
        })?;
        let turned = order.iter().zip(&self.table.clustering).map(|((name, is_descending), it)| {
            let is_next = self.table.columns[it.column].name == *name;
            is_next.then_some(*is_descending != it.is_descending)
        });
        let turned: Option<Vec<bool>> = turned.collect();
        match turned {
            Some(all) if all.len() == order.len() && all.iter().all(|one| *one == all[0]) => {
                Ok(Some(all[0]))
            }
            _ => Err("rows are not kept in this order".into()),
        }
    }

    fn insert(&mut self) -> Result<WritePlan, String> {
        self.tokens.expect_sign("(")?;
        let names = self.tokens.list(|tokens| tokens.name())?;
        self.tokens.expect_sign(")")?;
        self.tokens.expect_word("VALUES")?;
        self.tokens.expect_sign("(")?;
        let (mut key, mut prefix) = (Vec::new(), Vec::new());
        let mut assignments = Vec::new();
        for (at, name) in names.iter().enumerate() {
            if at > 0 {
                self.tokens.expect_sign(",")?;
            }
            let column = self.table.column(name)?;
            let term = self.column_term(column)?;
            match self.table.columns[column].kind {
                ColumnKind::Partition(at) => key.push((at, term)),
                ColumnKind::Clustering(at) => prefix.push((at, term)),
                ColumnKind::Static | ColumnKind::Regular => {
                    assignments
                        .push(ColumnAssignment { column, value: AssignedValue::Whole(term) });
                }
            }
        }
        self.tokens.expect_sign(")")?;
        key.sort_by_key(|(at, _)| *at);
        prefix.sort_by_key(|(at, _)| *at);
        let of = WhereClause {
            key: key.into_iter().map(|(_, term)| KeyTerm::Is(term)).collect(),
            prefix: prefix.into_iter().map(|(_, term)| term).collect(),
            ..WhereClause::default()
        };
        let condition = self.condition()?;
        let (timestamp, ttl) = self.using()?;
        if !of.is_one_row(&self.table) || ttl.is_some() {
            return Err("an INSERT has the key of a row, and no TTL".into());
        }
        self.write(of, WriteEffect::Insert(assignments), (timestamp, ttl), condition)
    }

    fn update(&mut self) -> Result<WritePlan, String> {
        let (timestamp, ttl) = self.using()?;
        self.tokens.expect_word("SET")?;
        let mut assignments = vec![self.assignment()?];
        while self.tokens.sign(",") {
            assignments.push(self.assignment()?);
        }
        let of = self.relations()?;
        let condition = self.condition()?;
        let is_of_row = assignments.iter().any(|it| !self.table.is_static(it.column));
        if is_of_row && !of.is_one_row(&self.table) || !is_of_row && !of.is_whole() {
            return Err("these columns and this key do not fit together".into());
        }
        self.write(of, WriteEffect::Update(assignments), (timestamp, ttl), condition)
    }

    fn delete(&mut self) -> Result<WritePlan, String> {
        let (timestamp, ttl) = self.using()?;
        let of = self.relations()?;
        let condition = self.condition()?;
        if ttl.is_some() || condition.is_some() && !of.is_one_row(&self.table) {
            return Err("a DELETE has no TTL, and a conditional one is of one row".into());
        }
        self.write(of, WriteEffect::Delete, (timestamp, ttl), condition)
    }

    fn write(
        &self,
        of: WhereClause,
        effect: WriteEffect,
        (timestamp, ttl): (Option<ValueTerm>, Option<ValueTerm>),
        condition: Option<UpdateCondition>,
    ) -> Result<WritePlan, String> {
        let table = Arc::clone(&self.table);
        let plan = WritePlan { table, of, effect, timestamp, ttl, condition };
        let is_one = |term: &KeyTerm| matches!(term, KeyTerm::Is(_));
        if plan.of.key.len() != self.table.partition.len() || !plan.of.key.iter().all(is_one) {
            return Err("a write has the key of one partition".into());
        }
        if plan.condition.is_some() && plan.timestamp.is_some() {
            return Err("a conditional update has a time of its own".into());
        }
        if let Some(UpdateCondition::Equal(all)) = &plan.condition {
            for (column, _) in all {
                let is_right = match self.table.columns[*column].kind {
                    ColumnKind::Static => true,
                    ColumnKind::Regular => plan.of.is_one_row(&self.table),
                    ColumnKind::Partition(_) | ColumnKind::Clustering(_) => false,
                };
                if !is_right {
                    return Err("a condition on a column that is not read".into());
                }
            }
        }
        Ok(plan)
    }

    fn assignment(&mut self) -> Result<ColumnAssignment, String> {
        let name = self.tokens.name()?;
        let column = self.table.column(&name)?;
        let table = Arc::clone(&self.table);
        let of = &table.columns[column];
        if !matches!(of.kind, ColumnKind::Static | ColumnKind::Regular) {
            return Err(format!("{name} never changes"));
        }
        if self.tokens.sign("[") {
            let CqlType::Map(scalar, element) = &of.typ else {
                return Err(format!("{name} is no map"));
            };
            let key = self.term(&format!("key({name})"), &CqlType::Scalar(*scalar))?;
            self.tokens.expect_sign("]")?;
            self.tokens.expect_sign("=")?;
            let value = self.term(&format!("value({name})"), element)?;
            return Ok(ColumnAssignment { column, value: AssignedValue::Element(key, value) });
        }
        self.tokens.expect_sign("=")?;
        if !self.tokens.word(&name) {
            let value = AssignedValue::Whole(self.column_term(column)?);
            return Ok(ColumnAssignment { column, value });
        }
        self.tokens.expect_sign("+")?;
        if !of.typ.has_elements() {
            return Err(format!("{name} has no elements"));
        }
        Ok(ColumnAssignment { column, value: AssignedValue::More(self.column_term(column)?) })
    }

    /// What follows USING: the timestamp and the TTL.
    fn using(&mut self) -> Result<(Option<ValueTerm>, Option<ValueTerm>), String> {
        let (mut timestamp, mut ttl) = (None, None);
        if !self.tokens.word("USING") {
            return Ok((timestamp, ttl));
        }
        loop {
            if self.tokens.word("TIMESTAMP") {
                timestamp = Some(self.term("[timestamp]", &CqlType::Scalar(ScalarType::BigInt))?);
            } else {
                self.tokens.expect_word("TTL")?;
                ttl = Some(self.term("[ttl]", &CqlType::Scalar(ScalarType::Int))?);
            }
            if !self.tokens.word("AND") {
                return Ok((timestamp, ttl));
            }
        }
    }

    /// What follows IF.
    fn condition(&mut self) -> Result<Option<UpdateCondition>, String> {
        if !self.tokens.word("IF") {
            return Ok(None);
        }
        if self.tokens.words(&["NOT", "EXISTS"]) {
            return Ok(Some(UpdateCondition::NotExists));
        }
        let mut all = Vec::new();
        loop {
            let name = self.tokens.name()?;
            let column = self.table.column(&name)?;
            self.tokens.expect_sign("=")?;
            all.push((column, self.column_term(column)?));
            if !self.tokens.word("AND") {
                return Ok(Some(UpdateCondition::Equal(all)));
            }
        }
    }

    /// The columns of the answer to a write.
    fn answer_of(&self, plan: &WritePlan) -> Vec<ColumnSpec<'static>> {
        let Some(condition) = &plan.condition else { return Vec::new() };
        let mut columns =
            vec![self.table.spec("[applied]", CqlType::Scalar(ScalarType::Boolean).column_type())];
        for column in condition.columns(self.engine, &self.table) {
            let of = &self.table.columns[column];
            columns.push(self.table.spec(&of.name, of.typ.column_type()));
        }
        columns
    }
}
