//! Namespaces: made, listed, shown, called off and taken up again.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use buildbtw_api::changing::NewerCommit;
use buildbtw_api::namespaces::{
    BaseOrigin, BaseRepository, CreateNamespace, IterationReason, NamesakeQuery, Namespace,
    NamespaceDetails, NamespaceQuery,
};
use buildbtw_api::page::Page;
use buildbtw_api::{
    BuildPlace, IterationStatus, NamespaceName, NamespaceStatus, Problem, ProblemType,
};
use sqlx::SqliteConnection;

use super::extract::{self, Json, Path, Query};
use crate::Server;
use crate::db::namespaces::StoredNamespace;
use crate::db::{DbResult, iterations, namespaces};
use crate::dispatch::{steps, superseded};
use crate::planner;
use crate::problems::{Hint, HttpProblem, HttpResult};

/// How many namespaces a page has unless the query says otherwise.
const PAGE: u32 = 100;

/// How many numbers are tried behind a taken default name.
const NUMBERS: u32 = 1000;

/// A namespace as the API shows it.
pub async fn shown(
    server: &Server,
    db: &mut SqliteConnection,
    namespace: &StoredNamespace,
) -> DbResult<Namespace> {
    let newest = iterations::newest(&mut *db, namespace.key).await?;
    let iteration = match newest {
        Some(newest) => {
            Some(iterations::summary(&mut *db, namespace.name.as_str(), &newest).await?)
        }
        None => None,
    };
    Ok(Namespace {
        name: namespace.name.clone(),
        status: namespace.status,
        created_at: namespace.created_at,
        owner: namespace.owner.clone(),
        changesets: namespaces::changesets(db, namespace.key).await?,
        options: namespace.options.clone(),
        iteration,
        page: format!("{}/namespaces/{}", server.base_url, namespace.name),
        remark: None,
        priority: namespace.priority.clone(),
        origins_problem: namespace.origins_problem.clone(),
    })
}

/// Makes a namespace and plans its first iteration.
#[utoipa::path(post, path = "/api/v1/namespaces", tag = "namespaces", request_body = CreateNamespace,
    responses((status = 201, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn create(
    State(server): State<Server>,
    Json(request): Json<CreateNamespace>,
) -> HttpResult<Response> {
    let namespace = make_namespace(&server, request).await?;
    let location = format!("/api/v1/namespaces/{}", namespace.name);
    Ok((
        StatusCode::CREATED,
        [("location", location)],
        Json(namespace),
    )
        .into_response())
}

/// Makes a namespace and plans its first iteration; one that cannot be planned is not made.
pub async fn make_namespace(server: &Server, request: CreateNamespace) -> HttpResult<Namespace> {
    if !(1..=2).contains(&request.options.passes) {
        return Err(HttpProblem::new(
            ProblemType::BadRequest,
            "passes is 1 or 2",
        ));
    }
    if request.options.on == Some(BuildPlace::GitLab) && server.fleet.is_none() {
        let detail = "this server hands no builds to GitLab";
        return Err(HttpProblem::new(ProblemType::BadRequest, detail)
            .hint("GITLAB_PACKAGES_GROUP names the group whose projects would build them"));
    }
    planner::check_bases(server, &request.options)?;
    let resolved = planner::resolve(server, &request.changesets).await?;
    // A plan that is refused makes no namespace: nobody wants one without builds.
    planner::calculate(
        server,
        &resolved,
        &request.options,
        &planner::Pins::default(),
    )
    .await?;
    let default: NamespaceName = (&resolved[0].changeset.pkgbase).into();
    let wanted = request.name.clone().unwrap_or(default);
    // Not cut short when the client goes away: what was begun is finished.
    let task = server.tasks.spawn({
        let server = server.clone();
        async move { make(&server, &request, wanted, &resolved).await }
    });
    task.await.map_err(|error| HttpProblem::internal(&error))?
}

async fn make(
    server: &Server,
    request: &CreateNamespace,
    wanted: NamespaceName,
    resolved: &[crate::sources::ResolvedChangeset],
) -> HttpResult<Namespace> {
    let (key, name, iteration) = {
        let _turn = server.namespaces.lock().await;
        let mut tx = server.db.write().await?;
        let bases = planner::base_repositories(server, &request.options);
        let name = free_name(&mut tx, &wanted, request.name.is_some(), bases).await?;
        let key = namespaces::insert(&mut tx, &name, &request.options, &request.changesets).await?;
        let iteration =
            planner::new_iteration(&mut tx, key, &IterationReason::Created, resolved).await?;
        tx.commit().await?;
        (key, name, iteration)
    };
    server.feed.wake();
    planner::plan_now_or_later(server, &iteration).await?;
    let mut tx = server.db.read().await?;
    let stored = namespaces::by_key(&mut tx, key).await?;
    let mut namespace = shown(server, &mut tx, &stored).await?;
    if name != wanted {
        namespace.remark = Some(format!(
            "the name {wanted} is taken, so this one is called {name}"
        ));
    }
    Ok(namespace)
}

/// The wanted name if it is free; a default one gets a number behind it.
async fn free_name(
    db: &mut SqliteConnection,
    wanted: &NamespaceName,
    explicit: bool,
    bases: &[BaseRepository],
) -> HttpResult<NamespaceName> {
    // pacman knows a repository by its name alone, and the base repositories stand beside ours.
    let is_base = |name: &NamespaceName| bases.iter().any(|base| base.name() == name);
    if explicit && is_base(wanted) {
        return Err(HttpProblem::new(
            ProblemType::NameTaken,
            format!("{wanted} is the name of one of its base repositories"),
        )
        .hint(
            Hint::from(
                "choose another name with --name: pacman tells repositories apart by their names",
            )
            .on_page("choose another name: pacman tells repositories apart by their names"),
        ));
    }
    let taken = |namespace: Option<StoredNamespace>| {
        namespace.is_some_and(|namespace| namespace.status != NamespaceStatus::Archived)
    };
    let numbers = if explicit { 2..2 } else { 2..NUMBERS };
    let names =
        std::iter::once(wanted.clone()).chain(numbers.map(|number| wanted.numbered(number)));
    for name in names.filter(|name| !is_base(name)) {
        if !taken(namespaces::by_name(&mut *db, &name).await?) {
            return Ok(name);
        }
    }
    Err(HttpProblem::new(
        ProblemType::NameTaken,
        format!("there is a namespace {wanted} already"),
    )
    .hint(
        Hint::from(format!(
            "choose another name with --name, or put the old one away with `bbtw archive {wanted}`"
        ))
        .on_page("choose another name, or archive the old one on its page"),
    ))
}

/// Namespaces, newest first.
#[utoipa::path(get, path = "/api/v1/namespaces", tag = "namespaces", params(NamespaceQuery),
    responses((status = 200, body = Page<Namespace>)))]
pub async fn list(
    State(server): State<Server>,
    Query(query): Query<NamespaceQuery>,
) -> HttpResult<Json<Page<Namespace>>> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, 500);
    let before = match query.after.as_deref() {
        Some(text) => Some(text.parse::<i64>().map_err(|_| {
            HttpProblem::new(
                ProblemType::BadRequest,
                "`after` is not the `next` of a page",
            )
        })?),
        None => None,
    };
    let mut tx = server.db.read().await?;
    let mut stored = namespaces::page(&mut tx, query.archived, before, limit + 1).await?;
    let more = stored.len() > limit as usize;
    stored.truncate(limit as usize);
    let next = stored
        .last()
        .filter(|_| more)
        .map(|last| last.key.0.to_string());
    let mut items = Vec::with_capacity(stored.len());
    for namespace in &stored {
        items.push(shown(&server, &mut tx, namespace).await?);
    }
    Ok(Json(Page { items, next }))
}

/// A namespace with all its iterations.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}", tag = "namespaces",
    params(("name" = String, Path), NamesakeQuery),
    responses((status = 200, body = NamespaceDetails), (status = 404, body = Problem)))]
pub async fn get(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Query(query): Query<NamesakeQuery>,
) -> HttpResult<Json<NamespaceDetails>> {
    let stored = match query.iteration {
        Some(number) => extract::iteration(&server, &name, number).await?.0,
        None => extract::namespace(&server, &name).await?,
    };
    let mut tx = server.db.read().await?;
    let namespace = shown(&server, &mut tx, &stored).await?;
    let mut summaries = Vec::new();
    for iteration in iterations::of_namespace(&mut tx, stored.key).await? {
        summaries.push(iterations::summary(&mut tx, name.as_str(), &iteration).await?);
    }
    drop(tx);
    Ok(Json(NamespaceDetails {
        namespace,
        iterations: summaries,
        newer_commits: newer_commits(&server, &stored).await?,
    }))
}

/// What `update` would take, where it is of use to know.
async fn newer_commits(server: &Server, namespace: &StoredNamespace) -> DbResult<Vec<NewerCommit>> {
    if planner::change::check_worked_on(namespace).is_err() {
        return Ok(Vec::new());
    }
    let pins = planner::Pins::before(server, namespace.key, u32::MAX).await?;
    Ok(planner::change::newer_commits(server, &pins))
}

/// Moves a namespace to another status, or says why that is not possible.
async fn step(
    db: &mut SqliteConnection,
    namespace: &StoredNamespace,
    status: NamespaceStatus,
    verb: &str,
) -> HttpResult<()> {
    if namespace.status == status {
        return Ok(());
    }
    if !namespace.status.may_become(status) {
        let detail = format!(
            "namespace {} is {} and cannot be {verb}",
            namespace.name, namespace.status
        );
        let hint = match namespace.status {
            NamespaceStatus::Archived => Hint::from(
                "it was put away for good; `bbtw new` with the same changesets makes another one",
            )
            .on_page("it was put away for good; a plan of the same changesets makes another one"),
            NamespaceStatus::Finished => {
                "all its builds are done; it is active again when a commit makes a new iteration"
                    .into()
            }
            NamespaceStatus::Cancelled => Hint::from("`bbtw resume` makes it active first")
                .on_page("“Resume” on its page makes it active first"),
            NamespaceStatus::Active | NamespaceStatus::Paused => "it goes on by itself".into(),
        };
        return Err(HttpProblem::new(ProblemType::Conflict, detail).hint(hint));
    }
    namespaces::set_status(db, namespace.key, status, None).await?;
    Ok(())
}

/// Calls off what a namespace has not finished, on the way to a status.
async fn stop(
    server: &Server,
    name: &NamespaceName,
    status: NamespaceStatus,
    verb: &str,
) -> HttpResult<Json<Namespace>> {
    let _turn = server.namespaces.lock().await;
    let mut tx = server.db.write().await?;
    let namespace = namespaces::by_name(&mut tx, name)
        .await?
        .ok_or_else(|| extract::unknown_namespace(name))?;
    if status == NamespaceStatus::Archived {
        refuse_base(server, name)?;
    }
    step(&mut tx, &namespace, status, verb).await?;
    let reason = format!("the namespace was {verb}");
    let mut stopped = Vec::new();
    for iteration in iterations::of_namespace(&mut tx, namespace.key).await? {
        if iteration.status()? == IterationStatus::Current {
            let all = HashSet::new();
            stopped.extend(steps::cancel_iteration(&mut tx, iteration.key, &all, &reason).await?);
        }
    }
    stopped.extend(superseded::stop_all(&mut tx, namespace.key, &reason).await?);
    tx.commit().await?;
    for run in stopped {
        server.dispatch.stop(run, &reason).await;
        server.close_log(run, &reason).await;
    }
    changed(server, &namespace).await
}

/// Refuses to put a namespace away on which this server's plans stand.
fn refuse_base(server: &Server, name: &NamespaceName) -> HttpResult<()> {
    let bases = &server.config.base_repositories;
    if bases
        .iter()
        .any(|base| base.origin == BaseOrigin::Namespace(name.clone()))
    {
        let detail = format!("namespace {name} is a base repository of this server");
        return Err(HttpProblem::new(ProblemType::Conflict, detail)
            .hint("an operator can take it out of BASE_REPOSITORIES"));
    }
    Ok(())
}

/// Wakes who waits for changes, and answers with the namespace as it is now.
async fn changed(server: &Server, namespace: &StoredNamespace) -> HttpResult<Json<Namespace>> {
    server.feed.wake();
    server.dispatch.wake();
    let mut tx = server.db.read().await?;
    let stored = namespaces::by_key(&mut tx, namespace.key).await?;
    Ok(Json(shown(server, &mut tx, &stored).await?))
}

/// Calls a namespace off. What is built stays.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/cancel", tag = "namespaces", params(("name" = String, Path)),
    responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn cancel(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
) -> HttpResult<Json<Namespace>> {
    stop(&server, &name, NamespaceStatus::Cancelled, "cancelled").await
}

/// Puts a namespace away. Its name is free again; its repositories stay readable.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/archive", tag = "namespaces", params(("name" = String, Path)),
    responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn archive(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
) -> HttpResult<Json<Namespace>> {
    stop(&server, &name, NamespaceStatus::Archived, "archived").await
}

/// Hands out no more builds of a namespace until it is resumed. What runs goes on.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/pause", tag = "namespaces", params(("name" = String, Path)),
    responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn pause(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
) -> HttpResult<Json<Namespace>> {
    let namespace = extract::namespace(&server, &name).await?;
    let mut tx = server.db.write().await?;
    step(&mut tx, &namespace, NamespaceStatus::Paused, "paused").await?;
    tx.commit().await?;
    changed(&server, &namespace).await
}

/// Goes on with a namespace that was cancelled or paused; with a new iteration if its origins moved.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/resume", tag = "namespaces", params(("name" = String, Path)),
    responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn resume(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
) -> HttpResult<Json<Namespace>> {
    let namespace = {
        let _turn = server.namespaces.lock().await;
        let mut tx = server.db.write().await?;
        let namespace = namespaces::by_name(&mut tx, &name)
            .await?
            .ok_or_else(|| extract::unknown_namespace(&name))?;
        step(&mut tx, &namespace, NamespaceStatus::Active, "resumed").await?;
        if namespace.status == NamespaceStatus::Cancelled {
            for iteration in iterations::of_namespace(&mut tx, namespace.key).await? {
                if iteration.status()? == IterationStatus::Current {
                    steps::resume_iteration(&mut tx, iteration.key).await?;
                }
            }
        }
        namespaces::settle(&mut tx, namespace.key).await?;
        tx.commit().await?;
        namespace
    };
    // An origin that cannot be read any more does not keep the current iteration from going on.
    let resumed = |moves| IterationReason::Resumed { moves };
    if let Err(error) = planner::follow::check_origins(&server, namespace.key, resumed).await {
        tracing::warn!(namespace = %name, %error, "the origins of a resumed namespace cannot be followed");
    }
    changed(&server, &namespace).await
}
