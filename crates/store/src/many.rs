//! Many rows in one statement: what a statement costs besides its rows (a thread woken, a round trip) is paid once.

use sqlx::{Any, Transaction};

use crate::sql::{Sql, Value};

/// Parameters of one statement, about: SQLite looks each up among those before it when it first reads the text.
const PARAMETERS_MAX: usize = 512;

/// An INSERT whose rows are given as values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Insert {
    /// Up to the rows: table and columns.
    pub(crate) into: &'static str,
    /// What follows them: ON CONFLICT, perhaps.
    pub(crate) then: &'static str,
}

impl Insert {
    /// Inserts all rows, which have the same columns. Rows that one statement changes must differ in what conflicts.
    pub(crate) async fn all(
        self,
        transaction: &mut Transaction<'_, Any>,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), sqlx::Error> {
        let mut rows = rows.into_iter().peekable();
        while let Some(columns) = rows.peek().map(Vec::len) {
            let count = statement_rows(rows.len(), columns);
            let mut sql = Sql::new("INSERT INTO ").push(self.into).push(" VALUES ");
            for (index, row) in rows.by_ref().take(count).enumerate() {
                sql = sql.push(if index == 0 { "(" } else { ", (" }).binds(row).push(")");
            }
            sql.push(" ").push(self.then).query().execute(&mut **transaction).await?;
        }
        Ok(())
    }
}

/// Rows in the next statement when so many are left: a power of two, so that there are few texts to keep prepared.
pub(crate) fn statement_rows(left: usize, columns: usize) -> usize {
    let most = left.min(PARAMETERS_MAX / columns.max(1)).max(1);
    1 << most.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_taken_by_few_different_statements() {
        for columns in [1, 18, 33, 1000] {
            let mut sizes = std::collections::BTreeSet::new();
            for all in 1..=1000 {
                let mut left = all;
                while left > 0 {
                    let count = statement_rows(left, columns);
                    assert!(count >= 1 && count <= left);
                    assert!(count == 1 || count * columns <= PARAMETERS_MAX);
                    sizes.insert(count);
                    left -= count;
                }
            }
            assert!(sizes.len() <= 10, "{columns} columns: {sizes:?}");
        }
    }
}
