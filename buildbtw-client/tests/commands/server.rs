//! A server that answers from fixtures over HTTP, in the words of the API. It keeps what it was
//! asked, and its connections break where a test wants them to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Json, Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Router, extract::Request};
use buildbtw_api::builds::{Build, BuildDetails, BuildQuery};
use buildbtw_api::changing::{AddRequest, Updated};
use buildbtw_api::ingredients::Explained;
use buildbtw_api::namespaces::{
    CreateNamespace, IterationDifference, Namespace, NamespaceDetails, NamespaceQuery, PlanRequest,
    Retried, RetryRequest, UnwaiveRequest, Unwaived,
};
use buildbtw_api::page::Page;
use buildbtw_api::runs::RunDetails;
use buildbtw_api::sources::{SourceQuery, SourceRepository};
use buildbtw_api::{NamespaceStatus, Problem, ProblemType, RunId};
use buildbtw_graph::Plan;
use tokio::sync::watch;

use crate::fixtures::name;
use crate::modes;
use crate::streams;
use crate::world::World;

/// An answer that is a problem document.
pub struct Refusal(pub Problem);

pub type Answer<T> = Result<T, Refusal>;

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).expect("a status");
        (status, Json(self.0)).into_response()
    }
}

/// A namespace that is there.
pub fn known<'a>(world: &'a World, name: &str) -> Answer<&'a NamespaceDetails> {
    world.namespaces.get(name).ok_or_else(|| {
        let problem = Problem::new(
            ProblemType::UnknownNamespace,
            format!("there is no namespace {name}"),
        );
        problem
            .with_hint("`bbtw list` shows those that there are")
            .into()
    })
}

/// The server as its handlers see it.
#[derive(Clone)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    pub changed: watch::Sender<u64>,
}

impl Shared {
    pub fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.world.lock().expect("no test panics in here"))
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world.lock().expect("no test panics in here"));
        self.changed.send_modify(|count| *count += 1);
        result
    }
}

/// The server, on a port of its own.
pub struct Server {
    shared: Shared,
    address: SocketAddr,
}

impl Server {
    /// A server that knows a world.
    pub async fn start(mut world: World) -> Self {
        if world.page == 0 {
            world.page = 1000;
        }
        let shared = Shared {
            world: Arc::new(Mutex::new(world)),
            changed: watch::Sender::new(0),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let router = router(shared.clone());
        // It ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { shared, address }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what it knows.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.shared.change(change)
    }

    /// What it knows.
    pub fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.shared.read(read)
    }

    /// Waits until what it knows is as a test wants it.
    pub async fn until(&self, is_so: impl Fn(&World) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let wait = async {
            while !self.read(&is_so) {
                changed.changed().await.expect("the server is there");
            }
        };
        tokio::time::timeout(crate::program::PATIENCE, wait)
            .await
            .expect("it never came to that");
    }

    /// Stops: streams end in order, and from then on the proxy before it says that nobody is
    /// there. Comes back when the program has seen that.
    pub async fn stop(&self) {
        self.change(|world| world.stopping = true);
        self.until(|world| world.asked.iter().any(|asked| asked.starts_with("refused")))
            .await;
    }

    /// Is there again.
    pub fn resume(&self) {
        self.change(|world| world.stopping = false);
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/api/v1/plans", post(plan))
        .route("/api/v1/namespaces", get(namespaces).post(create))
        .route("/api/v1/namespaces/{name}", get(namespace))
        .route("/api/v1/namespaces/{name}/retry", post(retry))
        .route("/api/v1/namespaces/{name}/unwaive", post(unwaive))
        .route("/api/v1/namespaces/{name}/add", post(add))
        .route("/api/v1/namespaces/{name}/remove", post(change))
        .route("/api/v1/namespaces/{name}/rebuild", post(change))
        .route("/api/v1/namespaces/{name}/update", post(update))
        .route("/api/v1/namespaces/{name}/{verb}", post(lifecycle))
        .route(
            "/api/v1/namespaces/{name}/iterations/{number}/builds",
            get(builds),
        )
        .route(
            "/api/v1/namespaces/{name}/iterations/{number}/difference",
            get(difference),
        )
        .route(
            "/api/v1/namespaces/{name}/iterations/{number}/plan",
            get(stored_plan),
        )
        .route(
            "/api/v1/namespaces/{name}/iterations/{number}/builds/{arch}/{pkgbase}/{pass}",
            get(build),
        )
        .route(
            "/api/v1/namespaces/{name}/iterations/{number}/builds/{arch}/{pkgbase}/{pass}/explanation",
            get(explanation),
        )
        .route("/api/v1/runs/{id}", get(run))
        .route("/api/v1/runs/{id}/log", get(streams::log))
        .route("/api/v1/sources", get(sources))
        .route("/api/v1/namespaces/{name}/priority", put(modes::set_priority))
        .route("/api/v1/mode", get(modes::mode).put(modes::set_mode))
        .route("/api/v1/workers", get(modes::workers))
        .route("/api/v1/workers/{id}/mode", put(modes::worker_mode))
        .route("/api/v1/events", get(streams::events))
        .fallback(streams::file)
        .layer(middleware::from_fn_with_state(shared.clone(), keep))
        .with_state(shared)
}

async fn keep(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri());
    let stopping = shared.change(|world| {
        let refused = if world.stopping { "refused " } else { "" };
        world.asked.push(format!("{refused}{asked}"));
        world.stopping
    });
    if stopping {
        return (StatusCode::SERVICE_UNAVAILABLE, "<h1>Bad gateway</h1>").into_response();
    }
    next.run(request).await
}

async fn explanation(State(shared): State<Shared>) -> Json<Explained> {
    Json(shared.read(|world| world.explanation.clone().expect("the test has one")))
}

async fn difference(State(shared): State<Shared>) -> Json<IterationDifference> {
    Json(shared.read(|world| world.difference.clone().expect("the test has a difference")))
}

async fn stored_plan(State(shared): State<Shared>) -> Json<Plan> {
    Json(shared.read(|world| world.plan.clone().expect("the test has a plan")))
}

async fn plan(State(shared): State<Shared>, body: Bytes) -> Answer<Json<Plan>> {
    let request: PlanRequest = serde_json::from_slice(&body).expect("the client speaks the API");
    shared.change(|world| world.body = Some(String::from_utf8_lossy(&body).into_owned()));
    let unknown = request
        .changesets
        .iter()
        .find(|changeset| changeset.pkgbase.as_str() == "nonesuch");
    if let Some(unknown) = unknown {
        let detail = format!("no source repository {} is known", unknown.pkgbase);
        return Err(Problem::new(ProblemType::UnknownPackage, detail)
            .with_hint("`bbtw sources` lists those that are")
            .into());
    }
    Ok(Json(shared.read(|world| {
        world.plan.clone().expect("the test has a plan")
    })))
}

async fn create(
    State(shared): State<Shared>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Namespace>)> {
    let request: CreateNamespace =
        serde_json::from_slice(&body).expect("the client speaks the API");
    shared.change(|world| world.body = Some(String::from_utf8_lossy(&body).into_owned()));
    if request.name == Some(name("taken")) {
        return Err(Problem::new(ProblemType::NameTaken, "there is a namespace taken already")
            .with_hint("choose another name with --name, or put the old one away with `bbtw archive taken`")
            .into());
    }
    let found = shared.read(|world| world.namespaces.values().next().cloned());
    Ok((
        StatusCode::CREATED,
        Json(found.expect("the test has a namespace").namespace),
    ))
}

async fn namespaces(
    State(shared): State<Shared>,
    Query(query): Query<NamespaceQuery>,
) -> Json<Page<Namespace>> {
    Json(shared.read(|world| {
        let all = world
            .namespaces
            .values()
            .map(|details| details.namespace.clone());
        let mut items: Vec<Namespace> = all
            .filter(|one| query.archived || one.status != NamespaceStatus::Archived)
            .filter(|one| {
                query
                    .after
                    .as_ref()
                    .is_none_or(|after| one.name.as_str() > after.as_str())
            })
            .collect();
        let limit = (query.limit.unwrap_or(100) as usize).min(world.page);
        let next = (items.len() > limit).then(|| items[limit - 1].name.to_string());
        items.truncate(limit);
        Page { items, next }
    }))
}

async fn namespace(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Answer<Json<NamespaceDetails>> {
    shared.read(|world| Ok(Json(known(world, &name)?.clone())))
}

async fn retry(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(request): Json<RetryRequest>,
) -> Answer<Json<Retried>> {
    shared.read(|world| {
        known(world, &name)?;
        let builds = if request.pkgbases.is_empty() {
            1
        } else {
            request.pkgbases.len() as u32
        };
        Ok(Json(if request.force {
            Retried {
                builds,
                dependents: 2,
            }
        } else {
            Retried::default()
        }))
    })
}

/// As if something had been built with the released `libshout` already.
async fn unwaive(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(request): Json<UnwaiveRequest>,
) -> Answer<Json<Unwaived>> {
    shared.read(|world| {
        known(world, &name)?;
        let names = request.pkgbases.iter().map(ToString::to_string);
        let (later, now): (Vec<String>, Vec<String>) = names.partition(|name| name == "libshout");
        Ok(Json(Unwaived {
            builds: now.len() as u32,
            next_iteration: later,
        }))
    })
}

async fn add(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(request): Json<AddRequest>,
) -> Answer<Json<Namespace>> {
    let namespace =
        shared.read(|world| Ok::<_, Refusal>(known(world, &name)?.namespace.clone()))?;
    for new in &request.changesets {
        if namespace.changesets.contains(new) {
            let detail = format!("{new} is among the changesets of {name} already");
            return Err(Problem::new(ProblemType::Conflict, detail)
                .with_hint(format!("`bbtw remove {name} {}` takes it out", new.pkgbase))
                .into());
        }
    }
    Ok(Json(namespace))
}

async fn change(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Answer<Json<Namespace>> {
    shared.change(|world| {
        world.body = Some(body);
        Ok(Json(known(world, &name)?.namespace.clone()))
    })
}

async fn update(State(shared): State<Shared>, Path(name): Path<String>) -> Answer<Json<Updated>> {
    shared.read(|world| {
        let details = known(world, &name)?;
        Ok(Json(Updated {
            namespace: details.namespace.clone(),
            updated: !details.newer_commits.is_empty(),
        }))
    })
}

async fn lifecycle(
    State(shared): State<Shared>,
    Path((name, verb)): Path<(String, String)>,
) -> Answer<Json<Namespace>> {
    shared.change(|world| {
        let status = match verb.as_str() {
            "cancel" => NamespaceStatus::Cancelled,
            "pause" => NamespaceStatus::Paused,
            "resume" => NamespaceStatus::Active,
            "archive" => NamespaceStatus::Archived,
            _ => return Err(Problem::new(ProblemType::NotFound, "there is nothing here").into()),
        };
        let before = known(world, &name)?.namespace.status;
        if before != status && !before.may_become(status) {
            let detail = format!("namespace {name} is {before} and cannot be {verb}d");
            return Err(Problem::new(ProblemType::Conflict, detail).into());
        }
        world.set_namespace(&name, status);
        Ok(Json(known(world, &name)?.namespace.clone()))
    })
}

async fn builds(
    State(shared): State<Shared>,
    Path((name, number)): Path<(String, u32)>,
    Query(query): Query<BuildQuery>,
) -> Answer<Json<Page<Build>>> {
    shared.read(|world| {
        let all = world
            .builds
            .get(&(name.clone(), number))
            .map_or(&[][..], Vec::as_slice);
        let picked: Vec<Build> = all
            .iter()
            .map(|details| details.build.clone())
            .filter(|build| query.status.is_none_or(|status| build.status == status))
            .collect();
        let start: usize = query
            .after
            .as_deref()
            .map_or(0, |after| after.parse().expect("our own"));
        let end = picked
            .len()
            .min(start + world.page.min(query.limit.unwrap_or(200) as usize));
        let next = (end < picked.len()).then(|| end.to_string());
        let next = if world.stuck {
            Some("1".to_owned())
        } else {
            next
        };
        Ok(Json(Page {
            items: picked[start..end].to_vec(),
            next,
        }))
    })
}

async fn build(
    State(shared): State<Shared>,
    Path((name, number, arch, pkgbase, pass)): Path<(String, u32, String, String, u8)>,
) -> Answer<Json<BuildDetails>> {
    shared.read(|world| {
        let builds = world
            .builds
            .get(&(name.clone(), number))
            .map_or(&[][..], Vec::as_slice);
        let found = builds.iter().find(|details| {
            let build = &details.build;
            build.pkgbase.as_str() == pkgbase
                && build.architecture.as_str() == arch
                && build.pass == pass
        });
        match found {
            Some(found) => Ok(Json(found.clone())),
            None => Err(Problem::new(
                ProblemType::NotFound,
                format!("{name} does not build {pkgbase}"),
            )
            .into()),
        }
    })
}

async fn run(State(shared): State<Shared>, Path(id): Path<RunId>) -> Answer<Json<RunDetails>> {
    shared.read(|world| {
        let found = world.runs.get(&id).cloned();
        let mut run = found.ok_or_else(|| {
            Refusal(Problem::new(
                ProblemType::NotFound,
                format!("there is no run {id}"),
            ))
        })?;
        run.log_length = world.logs.get(&id).map_or(0, |log| log.len() as u64);
        Ok(Json(run))
    })
}

async fn sources(
    State(shared): State<Shared>,
    Query(query): Query<SourceQuery>,
) -> Json<Page<SourceRepository>> {
    Json(shared.read(|world| {
        let odd = |one: &&SourceRepository| one.problem.is_some() || !one.warnings.is_empty();
        let items = world
            .sources
            .iter()
            .filter(|one| !query.problems || odd(one))
            .cloned()
            .collect();
        Page { items, next: None }
    }))
}
