//! Changing a running namespace: each makes a new iteration.

use axum::extract::State;
use buildbtw_api::changing::{AddRequest, RebuildRequest, RemoveRequest, Updated};
use buildbtw_api::namespaces::{IterationReason, Namespace};
use buildbtw_api::{Changeset, NamespaceName, Problem, ProblemType};

use super::extract::{self, Json, Path};
use super::namespaces::shown;
use crate::Server;
use crate::db::namespaces;
use crate::planner;
use crate::problems::{HttpProblem, HttpResult};

/// Adds origin changesets to a namespace.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/add", tag = "namespaces", params(("name" = String, Path)),
    request_body = AddRequest, responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn add(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Json(request): Json<AddRequest>,
) -> HttpResult<Json<Namespace>> {
    let (namespace, _) = begin(&server, name, Change::Add(request)).await?;
    Ok(Json(namespace))
}

fn with_added(
    name: &NamespaceName,
    there: Vec<Changeset>,
    added: &[Changeset],
) -> HttpResult<Vec<Changeset>> {
    if added.is_empty() {
        return Err(
            HttpProblem::new(ProblemType::BadRequest, "no changeset to add is named")
                .hint("name at least one, such as `openimageio/main`"),
        );
    }
    for new in added {
        let known = there.iter().find(|old| old.pkgbase == new.pkgbase);
        if let Some(known) = known {
            let detail = match known == new {
                true => format!("{new} is among the changesets of {name} already"),
                false => format!(
                    "{name} has the changeset {known} already, and takes one of {} only",
                    new.pkgbase
                ),
            };
            let hint = format!("`bbtw remove {name} {}` takes it out", known.pkgbase);
            return Err(HttpProblem::new(ProblemType::Conflict, detail).hint(hint));
        }
    }
    Ok(there.into_iter().chain(added.iter().cloned()).collect())
}

/// Takes origin changesets out of a namespace.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/remove", tag = "namespaces", params(("name" = String, Path)),
    request_body = RemoveRequest, responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn remove(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Json(request): Json<RemoveRequest>,
) -> HttpResult<Json<Namespace>> {
    let (namespace, _) = begin(&server, name, Change::Remove(request)).await?;
    Ok(Json(namespace))
}

/// What stays of changesets, and what is taken out.
fn without(
    name: &NamespaceName,
    changesets: Vec<Changeset>,
    request: &RemoveRequest,
) -> HttpResult<(Vec<Changeset>, Vec<Changeset>)> {
    let list = || {
        let all: Vec<String> = changesets.iter().map(ToString::to_string).collect();
        all.join(", ")
    };
    if request.changesets.is_empty() {
        let detail = "no changeset to take out is named";
        return Err(HttpProblem::new(ProblemType::BadRequest, detail)
            .hint(format!("{name} has {}", list())));
    }
    for chosen in &request.changesets {
        if !changesets.iter().any(|changeset| chosen.means(changeset)) {
            let detail = format!("{chosen} is not among the changesets of {name}");
            return Err(
                HttpProblem::new(ProblemType::Conflict, detail).hint(format!("it has {}", list()))
            );
        }
    }
    let is_chosen = |changeset: &Changeset| {
        let mut chosen = request.changesets.iter();
        chosen.any(|chosen| chosen.means(changeset))
    };
    let (removed, left): (Vec<Changeset>, Vec<Changeset>) =
        changesets.iter().cloned().partition(is_chosen);
    if left.is_empty() {
        let detail = format!("that would leave {name} without any changeset");
        return Err(
            HttpProblem::new(ProblemType::Conflict, detail).hint(format!(
                "`bbtw add {name}` another one first, or call it off with `bbtw cancel {name}`"
            )),
        );
    }
    Ok((left, removed))
}

/// Takes newer commits of dependents and newer base repositories, if there are any.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/update", tag = "namespaces", params(("name" = String, Path)),
    responses((status = 200, body = Updated), (status = "4XX", body = Problem)))]
pub async fn update(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
) -> HttpResult<Json<Updated>> {
    let (namespace, updated) = begin(&server, name, Change::Update).await?;
    Ok(Json(Updated { namespace, updated }))
}

/// Makes a new iteration of what there is, in any case.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/rebuild", tag = "namespaces", params(("name" = String, Path)),
    request_body = RebuildRequest, responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn rebuild(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Json(request): Json<RebuildRequest>,
) -> HttpResult<Json<Namespace>> {
    let (namespace, _) = begin(&server, name, Change::Rebuild(request)).await?;
    Ok(Json(namespace))
}

/// What somebody wants to be changed.
enum Change {
    Add(AddRequest),
    Remove(RemoveRequest),
    Update,
    Rebuild(RebuildRequest),
}

/// Changes a namespace, and hands it back as it is then, with whether there was anything to do. Not cut
/// short when the client goes away: what was begun is finished.
async fn begin(
    server: &Server,
    name: NamespaceName,
    change: Change,
) -> HttpResult<(Namespace, bool)> {
    let task = server.tasks.spawn({
        let server = server.clone();
        async move { carry_out(&server, &name, change).await }
    });
    task.await.map_err(|error| HttpProblem::internal(&error))?
}

async fn carry_out(
    server: &Server,
    name: &NamespaceName,
    change: Change,
) -> HttpResult<(Namespace, bool)> {
    // Nobody else makes an iteration meanwhile.
    let _turn = server.following.lock().await;
    let namespace = extract::namespace(server, name).await?;
    planner::change::check_worked_on(&namespace)?;
    let there = {
        let mut tx = server.db.read().await?;
        namespaces::changesets(&mut tx, namespace.key).await?
    };
    let (changesets, reason) = match change {
        Change::Add(AddRequest { changesets }) => (
            with_added(name, there, &changesets)?,
            Some(IterationReason::Added { changesets }),
        ),
        Change::Remove(request) => {
            let (left, changesets) = without(name, there, &request)?;
            (left, Some(IterationReason::Removed { changesets }))
        }
        Change::Rebuild(RebuildRequest { reuse }) => {
            (there, Some(IterationReason::Rebuilt { reuse }))
        }
        Change::Update => (there, None),
    };
    let changed = match reason {
        Some(reason) => {
            planner::change::change(server, &namespace, &changesets, reason).await?;
            true
        }
        None => planner::change::update(server, &namespace).await?,
    };
    let mut tx = server.db.read().await?;
    let stored = namespaces::by_key(&mut tx, namespace.key).await?;
    Ok((shown(server, &mut tx, &stored).await?, changed))
}
