//! A server that answers from fixtures over HTTP, in the words of the API. It keeps what it was
//! asked, and its connections break where a test wants them to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Json, Path, Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, extract::Request};
use buildbtw_api::builds::{Build, BuildDetails, BuildQuery};
use buildbtw_api::events::{Event, EventKind, EventQuery};
use buildbtw_api::namespaces::{
    CreateNamespace, Namespace, NamespaceDetails, NamespaceQuery, Page, PlanRequest, Retried,
    RetryRequest,
};
use buildbtw_api::runs::RunDetails;
use buildbtw_api::sources::{SourceQuery, SourceRepository};
use buildbtw_api::workers::Worker;
use buildbtw_api::{
    BuildStatus, IterationStatus, NamespaceStatus, Problem, ProblemType, RunId, RunStatus,
};
use buildbtw_graph::Plan;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use tokio::sync::watch;

use crate::fixtures::{event, name};

/// Everything that the server knows.
#[derive(Default)]
pub struct World {
    pub plan: Option<Plan>,
    pub namespaces: BTreeMap<String, NamespaceDetails>,
    /// By namespace and iteration.
    pub builds: BTreeMap<(String, u32), Vec<BuildDetails>>,
    pub runs: BTreeMap<RunId, RunDetails>,
    pub logs: BTreeMap<RunId, Vec<u8>>,
    /// By path.
    pub files: BTreeMap<String, Vec<u8>>,
    pub sources: Vec<SourceRepository>,
    pub workers: Vec<Worker>,
    pub events: Vec<Event>,
    /// What was asked: method, path and query.
    pub asked: Vec<String>,
    /// The last body that asked for a plan or namespace.
    pub body: Option<String>,
    /// The next answers of these kinds break after so many bytes.
    pub cut_logs: Vec<usize>,
    pub cut_files: Vec<usize>,
    /// So many of the next logs end in order, although their run goes on.
    pub short_logs: usize,
    /// The next streams of events break after so many events.
    pub cut_events: Vec<usize>,
    /// Files come half, and then nothing more happens.
    pub stall_files: bool,
    /// Every page of builds names the same next one.
    pub stuck: bool,
    /// How many builds a page has.
    pub page: usize,
    /// Streams end, as at a shutdown.
    pub stopping: bool,
}

impl World {
    fn namespace(&self, name: &str) -> Answer<&NamespaceDetails> {
        self.namespaces.get(name).ok_or_else(|| {
            let problem = Problem::new(
                ProblemType::UnknownNamespace,
                format!("there is no namespace {name}"),
            );
            problem
                .with_hint("`bbtw list` shows those that there are")
                .into()
        })
    }

    /// Records an event.
    pub fn record(&mut self, mut event: Event) {
        event.seq = 1000 + self.events.len() as i64;
        self.events.push(event);
    }

    /// Moves a build to another status, as the server does: the build, the counts and the event.
    pub fn set(
        &mut self,
        namespace: &str,
        iteration: u32,
        pkgbase: &str,
        to: BuildStatus,
        why: Option<&str>,
    ) {
        let builds = self
            .builds
            .get_mut(&(namespace.to_owned(), iteration))
            .expect("it has builds");
        let mut changed = Vec::new();
        for details in builds.iter_mut() {
            let build = &mut details.build;
            if build.pkgbase.as_str() != pkgbase || build.status == to {
                continue;
            }
            let mut event = event(EventKind::BuildStatus, namespace);
            event.iteration = Some(iteration);
            event.architecture = Some(build.architecture.clone());
            event.pkgbase = Some(build.pkgbase.clone());
            event.pass = Some(build.pass);
            event.from = Some(build.status);
            event.to = Some(to.to_string());
            event.message = why.map(str::to_owned);
            changed.push(event);
            build.status = to;
            build.reason = why.map(str::to_owned);
        }
        changed.into_iter().for_each(|event| self.record(event));
        self.count(namespace, iteration);
    }

    /// Brings the counts of an iteration up to date.
    pub fn count(&mut self, namespace: &str, iteration: u32) {
        let builds = &self.builds[&(namespace.to_owned(), iteration)];
        let details = self.namespaces.get_mut(namespace).expect("it is there");
        let newest = details
            .iterations
            .iter_mut()
            .find(|one| one.number == iteration);
        for (architecture, set) in &mut newest.expect("it is there").build_sets {
            set.counts.clear();
            for build in builds
                .iter()
                .filter(|one| one.build.architecture == *architecture)
            {
                *set.counts.entry(build.build.status).or_default() += 1;
            }
        }
        details.namespace.iteration = details.iterations.first().cloned();
    }

    /// Moves a namespace to another status.
    pub fn set_namespace(&mut self, namespace: &str, to: NamespaceStatus) {
        self.namespaces
            .get_mut(namespace)
            .expect("it is there")
            .namespace
            .status = to;
        let mut event = event(EventKind::NamespaceStatus, namespace);
        event.to = Some(to.to_string());
        self.record(event);
    }

    /// Moves an iteration to another status.
    pub fn set_iteration(&mut self, namespace: &str, number: u32, to: IterationStatus) {
        let details = self.namespaces.get_mut(namespace).expect("it is there");
        let iteration = details
            .iterations
            .iter_mut()
            .find(|one| one.number == number);
        iteration.expect("it is there").status = to;
        let mut event = event(EventKind::IterationStatus, namespace);
        event.iteration = Some(number);
        event.to = Some(to.to_string());
        self.record(event);
    }
}

/// An answer that is a problem document.
struct Refusal(Problem);

type Answer<T> = Result<T, Refusal>;

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

#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    changed: watch::Sender<u64>,
}

impl Shared {
    fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.world.lock().expect("no test panics in here"))
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
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
        .route("/api/v1/namespaces/{name}/{verb}", post(lifecycle))
        .route(
            "/api/v1/namespaces/{name}/iterations/{number}/builds",
            get(builds),
        )
        .route(
            "/api/v1/namespaces/{name}/iterations/{number}/builds/{arch}/{pkgbase}/{pass}",
            get(build),
        )
        .route("/api/v1/runs/{id}", get(run))
        .route("/api/v1/runs/{id}/log", get(log))
        .route("/api/v1/sources", get(sources))
        .route("/api/v1/workers", get(workers))
        .route("/api/v1/events", get(events))
        .fallback(file)
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
    shared.read(|world| Ok(Json(world.namespace(&name)?.clone())))
}

async fn retry(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(request): Json<RetryRequest>,
) -> Answer<Json<Retried>> {
    shared.read(|world| {
        world.namespace(&name)?;
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
        let before = world.namespace(&name)?.namespace.status;
        if before != status && !before.may_become(status) {
            let detail = format!("namespace {name} is {before} and cannot be {verb}d");
            return Err(Problem::new(ProblemType::Conflict, detail).into());
        }
        world.set_namespace(&name, status);
        Ok(Json(world.namespace(&name)?.namespace.clone()))
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

#[derive(Deserialize)]
struct LogQuery {
    offset: usize,
    follow: bool,
}

/// A body that breaks off where it should.
fn body(
    stream: impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
) -> Body {
    Body::from_stream(stream)
}

/// What breaks a connection. What was sent before goes out first: only while a body has nothing
/// to send does the server empty its buffer.
async fn broken() -> io::Error {
    tokio::task::yield_now().await;
    io::Error::other("cut by the test")
}

async fn log(
    State(shared): State<Shared>,
    Path(id): Path<RunId>,
    Query(query): Query<LogQuery>,
) -> Response {
    let cut = shared.change(|world| (!world.cut_logs.is_empty()).then(|| world.cut_logs.remove(0)));
    let short = shared.change(|world| {
        let short = world.short_logs > 0;
        world.short_logs = world.short_logs.saturating_sub(1);
        short
    });
    let changed = shared.changed.subscribe();
    let state = (shared, query.offset, cut, changed);
    let parts = stream::try_unfold(
        state,
        move |(shared, offset, mut cut, mut changed)| async move {
            loop {
                changed.mark_unchanged();
                let (mut part, over) = shared.read(|world| {
                    let log = world.logs.get(&id).map_or(&[][..], Vec::as_slice);
                    let part = log.get(offset..).unwrap_or_default().to_vec();
                    let over = world
                        .runs
                        .get(&id)
                        .is_none_or(|run| run.run.status == RunStatus::Ended);
                    (part, over || short || !query.follow || world.stopping)
                });
                if let Some(left) = &mut cut {
                    if *left == 0 {
                        return Err(broken().await);
                    }
                    part.truncate(*left);
                    *left -= part.len();
                }
                if !part.is_empty() {
                    let offset = offset + part.len();
                    return Ok(Some((Bytes::from(part), (shared, offset, cut, changed))));
                }
                if over {
                    return Ok(None);
                }
                changed.changed().await.map_err(io::Error::other)?;
            }
        },
    );
    body(parts).into_response()
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

async fn workers(State(shared): State<Shared>) -> Json<Vec<Worker>> {
    Json(shared.read(|world| world.workers.clone()))
}

async fn events(State(shared): State<Shared>, Query(query): Query<EventQuery>) -> Answer<Response> {
    let wanted = query.namespace.clone();
    if let Some(name) = &wanted {
        shared.read(|world| world.namespace(name.as_str()).map(drop))?;
    }
    let (cut, after) = shared.change(|world| {
        let cut = (!world.cut_events.is_empty()).then(|| world.cut_events.remove(0));
        let newest = world.events.last().map_or(0, |event| event.seq);
        (cut, query.after.unwrap_or(newest))
    });
    let changed = shared.changed.subscribe();
    let parts = stream::try_unfold(
        (shared, after, cut, changed),
        move |(shared, after, mut cut, mut changed)| {
            let wanted = wanted.clone();
            async move {
                loop {
                    changed.mark_unchanged();
                    if let Some(0) = cut {
                        return Err(broken().await);
                    }
                    let (next, stopping) = shared.read(|world| {
                        let mut behind = world.events.iter().filter(|event| event.seq > after);
                        let next = behind
                            .find(|event| wanted.is_none() || event.namespace == wanted)
                            .cloned();
                        (next, world.stopping)
                    });
                    if let Some(event) = next {
                        if let Some(left) = &mut cut {
                            *left -= 1;
                        }
                        let data = serde_json::to_string(&event).expect("an event is JSON");
                        let text = format!("id: {}\ndata: {data}\n\n", event.seq);
                        return Ok(Some((Bytes::from(text), (shared, event.seq, cut, changed))));
                    }
                    if stopping {
                        return Ok(None);
                    }
                    changed.changed().await.map_err(io::Error::other)?;
                }
            }
        },
    );
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body(parts)).into_response())
}

async fn file(State(shared): State<Shared>, method: Method, uri: Uri) -> Response {
    let found = shared.change(|world| {
        let content = world.files.get(uri.path()).cloned()?;
        let cut = (!world.cut_files.is_empty()).then(|| world.cut_files.remove(0));
        Some((content, cut, world.stall_files))
    });
    let Some((content, cut, stall)) = found else {
        return Refusal(Problem::new(
            ProblemType::NotFound,
            format!("{method} {uri}: there is nothing"),
        ))
        .into_response();
    };
    let headers = [(header::CONTENT_LENGTH, content.len())];
    if stall {
        let half = Bytes::from(content[..content.len() / 2].to_vec());
        let parts = stream::once(async move { Ok(half) }).chain(stream::pending());
        return (headers, body(parts)).into_response();
    }
    match cut {
        None => (headers, content).into_response(),
        Some(length) => {
            let sent = Bytes::from(content[..length].to_vec());
            let parts = stream::once(async move { Ok(sent) })
                .chain(stream::once(async { Err(broken().await) }));
            (headers, body(parts)).into_response()
        }
    }
}
