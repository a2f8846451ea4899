//! How long it takes until namespaces are built, as far as that can be told now: gathered once for however
//! many namespaces, so that all pages say the same.

use std::collections::HashMap;

use buildbtw_api::{NamespaceStatus, ServerMode};
use sqlx::SqliteConnection;

use super::situation::workplaces;
use crate::Server;
use crate::db::keys::NamespaceKey;
use crate::db::{DbResult, modes, now, overview};
use crate::scheduler::{Remaining, Speed, ToGo, UnderWay, Workplace, to_go};

/// What the time that is left goes by for all namespaces.
#[derive(Debug)]
pub struct Outlook {
    server: ServerMode,
    workers: Vec<Workplace>,
    under_way: HashMap<NamespaceKey, Vec<(UnderWay, Speed)>>,
}

impl Outlook {
    /// Gathers it. There are no more runs that are out than slots, however many builds wait.
    pub async fn gather(server: &Server, db: &mut SqliteConnection) -> DbResult<Self> {
        let workers = workplaces(server, &mut *db).await?;
        let mode = modes::server(&mut *db).await?.mode;
        let mut under_way: HashMap<NamespaceKey, Vec<_>> = HashMap::new();
        for run in overview::under_way(&mut *db, now()).await? {
            let mut on = workers.iter();
            let on = on.find(|worker| Some(worker.key) == run.worker);
            let speed = on.map_or_else(Speed::default, |worker| worker.speed);
            let namespace = under_way.entry(run.namespace).or_default();
            namespace.push((run.under_way(), speed));
        }
        Ok(Self {
            server: mode,
            workers,
            under_way,
        })
    }

    /// How long it takes until a namespace is built.
    pub async fn to_go(
        &self,
        db: &mut SqliteConnection,
        namespace: NamespaceKey,
        status: NamespaceStatus,
    ) -> DbResult<ToGo> {
        let left = match status {
            NamespaceStatus::Active => overview::waiting(db, namespace).await?,
            _ => overview::Waiting::default(),
        };
        let under_way = self.under_way.get(&namespace).map(Vec::as_slice);
        let remaining = Remaining {
            namespace: status,
            path_ms: left.path_ms,
            work_ms: left.work_ms,
            waiting: left.builds,
            under_way: under_way.unwrap_or_default(),
        };
        Ok(to_go(&remaining, self.server, &self.workers))
    }
}
