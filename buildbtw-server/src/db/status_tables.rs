//! The tables of statuses and steps, read back to hold them against the ones in code.

use sqlx::SqliteConnection;

use super::DbResult;

/// The pairs of a table of steps, such as `build_step`, in order.
pub async fn steps(db: &mut SqliteConnection, table: StepTable) -> DbResult<Vec<(String, String)>> {
    let query = match table {
        StepTable::Namespace => "SELECT before, after FROM namespace_step ORDER BY before, after",
        StepTable::Iteration => "SELECT before, after FROM iteration_step ORDER BY before, after",
        StepTable::Build => "SELECT before, after FROM build_step ORDER BY before, after",
        StepTable::Run => "SELECT before, after FROM run_step ORDER BY before, after",
    };
    Ok(sqlx::query_as(query).fetch_all(db).await?)
}

/// Which steps.
#[derive(Debug, Clone, Copy)]
pub enum StepTable {
    /// Of namespaces.
    Namespace,
    /// Of iterations.
    Iteration,
    /// Of builds.
    Build,
    /// Of runs.
    Run,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;
    use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus, RunStatus};

    fn sorted<T: Copy + ToString>(steps: &[(T, T)]) -> Vec<(String, String)> {
        let mut steps: Vec<_> = steps
            .iter()
            .map(|(from, to)| (from.to_string(), to.to_string()))
            .collect();
        steps.sort();
        steps
    }

    #[tokio::test]
    async fn the_tables_in_code_and_database_are_equal() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(None, folder.path()).await.unwrap();
        let mut tx = db.read().await.unwrap();
        let expected = [
            (StepTable::Namespace, sorted(NamespaceStatus::STEPS)),
            (StepTable::Iteration, sorted(IterationStatus::STEPS)),
            (StepTable::Build, sorted(BuildStatus::STEPS)),
            (StepTable::Run, sorted(RunStatus::STEPS)),
        ];
        for (table, steps_in_code) in expected {
            assert_eq!(
                steps(&mut tx, table).await.unwrap(),
                steps_in_code,
                "{table:?}"
            );
        }
    }
}
