//! Which ready builds go to GitLab, and when: as soon as fewer pipelines are open than may be. The same
//! decision as for workers chooses among them, so their order and shares are the same.

use buildbtw_api::runs::Assignment;
use buildbtw_graph::PkgBase;
use sqlx::SqliteConnection;

use crate::Server;
use crate::db::keys::BuildKey;
use crate::db::pipelines::{self, Wanted};
use crate::db::{DbResult, workers};
use crate::dispatch::claim::{Handed, Taker, hand_out};
use crate::dispatch::situation::{self, Others};
use crate::scheduler::{Idle, Situation};

/// The branch of a project of which none is known.
const USUAL_BRANCH: &str = "main";

/// The name of a run's pipeline, by which it is found again. The CI configuration gives it.
pub fn mark(run: buildbtw_api::RunId) -> String {
    format!("buildbtw {run}")
}

/// Hands over whatever is ready and has room. When it is to be done again at the latest comes back, in
/// stored form.
///
/// # Errors
///
/// When the database fails; what was handed over until then stays so.
pub async fn hand_over(server: &Server) -> DbResult<Option<i64>> {
    let Some(fleet) = &server.fleet else {
        return Ok(None);
    };
    loop {
        let handed = {
            let _turn = server.dispatch.turn.lock().await;
            hand_over_one(server, fleet).await?
        };
        match handed {
            One::Handed => fleet.news.notify_one(),
            One::Nothing(until) => return Ok(until),
        }
    }
}

enum One {
    Handed,
    Nothing(Option<i64>),
}

async fn hand_over_one(server: &Server, fleet: &super::Fleet) -> DbResult<One> {
    let mut each = situation::NEXT;
    loop {
        let mut tx = server.db.write().await?;
        let workplace = situation::fleet(server, &mut tx).await?;
        if workplace.running >= workplace.slots {
            return Ok(One::Nothing(None));
        }
        let offer = fleet
            .settings
            .offer(workers::newest_runner(&mut tx).await?.as_ref());
        let gathered = situation::gather(server, &mut tx, each, Others::ThatMatter(None)).await?;
        let candidates = gathered.situation.candidates(&workplace);
        let mut open = Some(tx);
        for key in candidates.iter().flatten() {
            let tx = match open.take() {
                Some(tx) => tx,
                None => server.db.write().await?,
            };
            match hand_out(server, tx, Taker::Fleet(&offer), *key, &gathered).await? {
                Handed::Given(_) => return Ok(One::Handed),
                Handed::Nothing(tx) => open = tx,
            }
        }
        drop(open);
        if gathered.more && matches!(candidates, Ok(_) | Err(Idle::NothingFits(_))) {
            each = each.saturating_mul(16);
            continue;
        }
        return Ok(One::Nothing(gathered.until));
    }
}

/// Notes that a run that was just made goes to GitLab, in the transaction that makes it.
pub async fn note(
    server: &Server,
    db: &mut SqliteConnection,
    assignment: &Assignment,
    situation: &Situation<BuildKey>,
    key: BuildKey,
) -> DbResult<()> {
    let Some(fleet) = &server.fleet else {
        return Ok(());
    };
    let build = &assignment.build;
    let asks = situation.ready.iter().find(|ready| ready.key == key);
    let asks = asks
        .map(|ready| ready.requirements.clone())
        .unwrap_or_default();
    let (project, branch) = place(server, &build.pkgbase);
    let wanted = Wanted {
        // A project that is gone is none that GitLab knows: it says so when it is asked.
        project: project.unwrap_or(0),
        mark: &mark(assignment.run),
        reference: branch.as_deref().unwrap_or(USUAL_BRANCH),
        tags: &fleet.settings.tags(&build.architecture, &asks),
        assignment,
    };
    pipelines::insert(db, &wanted).await
}

/// The project of a package base on GitLab, and its default branch.
fn place(server: &Server, pkgbase: &PkgBase) -> (Option<u64>, Option<String>) {
    let heads = server.sources.heads();
    let known = heads.repository(pkgbase);
    let project = known.and_then(|known| Some(known.address()?.id.0));
    (
        project,
        known.and_then(|known| known.default_branch.clone()),
    )
}
