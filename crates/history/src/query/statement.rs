//! The statement of a query: one, of bounded size, that only reads.

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;

use super::session;
use crate::error::HistoryError;

/// Most operators of a statement. Each may nest the expression once more, and the planner walks the whole
/// nesting on the stack.
const OPERATORS_MAX: usize = 2_000;

/// Most operators that a text can have.
fn operators(sql: &str) -> usize {
    let signs = sql.bytes().filter(|byte| b"+-*/%|<>=([".contains(byte)).count();
    let is_operator = |word: &&str| {
        ["and", "or", "not", "union", "intersect", "except", "case", "join"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(word))
    };
    signs + sql.split(|c: char| !c.is_ascii_alphabetic()).filter(is_operator).count()
}

/// The one statement of a text.
///
/// # Errors
/// [`HistoryError::Sql`] if it has none or several, or if the statement does more than read.
pub(super) fn only(sql: &str) -> Result<Statement, HistoryError> {
    let operators = operators(sql);
    if operators > OPERATORS_MAX {
        return Err(HistoryError::Sql(format!(
            "the statement has {operators} operators and brackets, want {OPERATORS_MAX} at most: \
             write long lists with IN"
        )));
    }
    let mut parsed =
        DFParser::parse_sql(sql).map_err(|error| HistoryError::of(error, &session::names(None)))?;
    match (parsed.pop_front(), parsed.len()) {
        (None, _) => Err(HistoryError::Sql("there is no SQL statement".to_owned())),
        (Some(statement), 0) => only_reads(&statement).map(|()| statement),
        (Some(_), more) => Err(HistoryError::Sql(format!("{} statements, want one", more + 1))),
    }
}

fn only_reads(statement: &Statement) -> Result<(), HistoryError> {
    match statement {
        Statement::Explain(explain) => only_reads(&explain.statement),
        Statement::Statement(inner)
            if matches!(
                **inner,
                Sql::Query(_)
                    | Sql::ShowTables { .. }
                    | Sql::ShowColumns { .. }
                    | Sql::ShowVariable { .. }
                    | Sql::ShowFunctions { .. }
                    | Sql::ExplainTable { .. }
            ) =>
        {
            Ok(())
        }
        other => {
            let text = other.to_string();
            let word = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            Err(HistoryError::Sql(format!(
                "{word} is not allowed, a query only reads: use SELECT, EXPLAIN, SHOW or DESCRIBE"
            )))
        }
    }
}
