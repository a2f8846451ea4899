//! A namespace: its iterations, and the builds of one of them.

use std::collections::HashSet;

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;
use buildbtw_api::builds::Build;
use buildbtw_api::events::{Event, EventKind};
use buildbtw_api::namespaces::{BuildSetSummary, Iteration, Namespace};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceName, NamespaceStatus, OutcomeClass};
use serde::Deserialize;

use super::actions::{Action, actions};
use super::archive::NamesakeRow;
use super::extract::{Path, Query};
use super::home::told;
use super::map::{self, Map};
use super::page::{Bar, PageResult, When, duration, iteration_number, name, render, words};
use crate::Server;
use crate::api::{extract, namespace_as_shown};
use crate::db::build_list::{self, Filter, Sort};
use crate::db::iterations::StoredIteration;
use crate::db::keys::BuildKey;
use crate::db::overview::{self, Cell};
use crate::db::{DbResult, chains, events, iterations, modes, namespaces};
use crate::dispatch::outlook::Outlook;

/// How many builds one page shows.
const BUILDS: u32 = 200;

/// How many events it shows.
const EVENTS: u32 = 30;

/// What builds can be sorted by: the word in the address, and what people read.
const SORTS: [(&str, &str); 5] = [
    ("", "wave"),
    ("name", "name"),
    ("status", "status"),
    ("changed", "last change"),
    ("unlocks", "what waits for it"),
];

/// Which builds to show: the query of the page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Chosen {
    status: String,
    text: String,
    wave: String,
    class: String,
    sort: String,
    page: u32,
    /// Only what changes: for a page that keeps itself true and has its map.
    fresh: bool,
}

/// The same, understood. What makes no sense is passed over: the address was typed by a person.
struct Picked {
    status: Option<BuildStatus>,
    text: String,
    wave: Option<u32>,
    class: Option<OutcomeClass>,
    sort: &'static str,
}

impl Chosen {
    fn picked(&self) -> Picked {
        let sort = SORTS.iter().find(|(word, _)| *word == self.sort);
        Picked {
            status: self.status.parse().ok(),
            text: self.text.trim().to_owned(),
            wave: self.wave.parse().ok(),
            class: self.class.parse().ok(),
            sort: sort.map_or("", |(word, _)| word),
        }
    }
}

impl Picked {
    fn filter(&self) -> Filter {
        Filter {
            status: self.status,
            text: (!self.text.is_empty()).then(|| self.text.clone()),
            wave: self.wave,
            class: self.class,
            sort: match self.sort {
                "name" => Sort::Name,
                "status" => Sort::Status,
                "changed" => Sort::Changed,
                "unlocks" => Sort::Unlocks,
                _ => Sort::Wave,
            },
        }
    }

    /// The address of a page of the same list.
    fn address(&self, page: u32) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        };
        add("status", self.status.map_or("", BuildStatus::as_str));
        add("text", &self.text);
        add(
            "wave",
            &self.wave.map(|wave| wave.to_string()).unwrap_or_default(),
        );
        add("class", self.class.map_or("", OutcomeClass::as_str));
        add("sort", self.sort);
        add("page", &page.to_string());
        format!("?{}#builds", query.finish())
    }
}

#[derive(Template)]
#[template(path = "namespace.html")]
struct NamespacePage {
    namespace: Namespace,
    created: When,
    /// When it was done, and how long that took.
    finished: Option<(When, String)>,
    /// What keeps it from going on.
    standstill: Option<Standstill>,
    /// The iteration that took the place of the one that is shown.
    current: Option<u32>,
    /// Other namespaces that have or had its name.
    namesakes: Vec<NamesakeRow>,
    priority: Option<String>,
    /// What is said when the server hands out no runs.
    mode: Option<String>,
    /// Which icon the tab gets.
    icon: &'static str,
    /// How far it is, for the title.
    progress: Option<String>,
    iterations: Vec<IterationRow>,
    /// The newest iteration is shown because no other was asked for.
    newest: bool,
    shown: Option<Iteration>,
    sets: Vec<Set>,
    /// How many relations nothing satisfies, and how many dependents the change breaks.
    unresolved: u32,
    broken: u32,
    /// Whoever asks has the maps already.
    held: bool,
    builds: Vec<Build>,
    next: Option<String>,
    statuses: &'static [BuildStatus],
    classes: &'static [OutcomeClass],
    sorts: [(&'static str, &'static str); 5],
    chosen: Picked,
    base_url: String,
    events: Vec<EventLine>,
    actions: Vec<Action>,
    last_event: i64,
}

/// How many builds keep a namespace from going on.
struct Standstill {
    failed: u32,
    unbuildable: u32,
    /// They wait for the others.
    held: u32,
}

impl Standstill {
    /// What stands still of a namespace, if it does.
    fn of(namespace: &Namespace) -> Option<Self> {
        let count = |wanted| namespace.count(|status| status == wanted);
        namespace.stands_still().then(|| Self {
            failed: count(BuildStatus::Failed),
            unbuildable: count(BuildStatus::Unbuildable),
            held: count(BuildStatus::DependencyFailed),
        })
    }
}

struct IterationRow {
    number: u32,
    status: IterationStatus,
    why: String,
    created: When,
    shown: bool,
    /// There is one before it.
    older: bool,
}

struct Set {
    architecture: String,
    summary: BuildSetSummary,
    bar: Bar,
    map: Option<Map>,
    ahead: String,
}

struct EventLine {
    at: When,
    text: String,
}

/// The newest iteration of a namespace.
pub async fn show(
    State(server): State<Server>,
    Path(namespace): Path<String>,
    Query(query): Query<Chosen>,
) -> PageResult {
    page(&server, &name(&namespace)?, None, &query).await
}

/// One iteration of a namespace.
pub async fn show_iteration(
    State(server): State<Server>,
    Path((namespace, number)): Path<(String, String)>,
    Query(query): Query<Chosen>,
) -> PageResult {
    page(
        &server,
        &name(&namespace)?,
        Some(iteration_number(&number)?),
        &query,
    )
    .await
}

async fn page(
    server: &Server,
    name: &NamespaceName,
    number: Option<u32>,
    query: &Chosen,
) -> PageResult {
    let stored = match number {
        Some(number) => extract::iteration(server, name, number).await?.0,
        None => extract::namespace(server, name).await?,
    };
    let mut tx = server.db.read().await?;
    let namespace = namespace_as_shown(server, &mut tx, &stored).await?;
    let rows = iterations::of_namespace(&mut tx, stored.key).await?;
    let row = match number {
        Some(number) => rows.iter().find(|row| row.number == number),
        None => rows.first(),
    };
    let namesakes = namespaces::namesakes(&mut tx, stored.key).await?;
    let shown = match row {
        Some(row) => Some(iterations::summary(&mut tx, name.as_str(), row).await?),
        None => None,
    };
    let chosen = query.picked();
    let (builds, more) = match row {
        Some(row) => {
            let skipped = query.page.saturating_mul(BUILDS);
            build_list::filtered(&mut tx, row.key, &chosen.filter(), skipped, BUILDS).await?
        }
        None => (Vec::new(), false),
    };
    // Who turns over to more of the table has seen the map, and a page that keeps itself true has it.
    let cells = match row {
        Some(row) if query.page == 0 && !query.fresh => overview::cells(&mut tx, row.key).await?,
        _ => Vec::new(),
    };
    // The longest chain is drawn on the map.
    let longest = match row {
        Some(row) if !cells.is_empty() => chains::longest(&mut tx, row.key).await?,
        _ => HashSet::new(),
    };
    let outlook = Outlook::gather(server, &mut tx).await?;
    let to_go = outlook.to_go(&mut tx, stored.key, stored.status).await?;
    let is_newest = row.map(|row| row.number) == rows.first().map(|newest| newest.number);
    let sets = shown.as_ref().map_or_else(Vec::new, |shown| {
        let expected = match is_newest {
            true => told(to_go, " to go"),
            false => String::new(),
        };
        sets(shown, &cells, &longest, &expected)
    });
    let history = events::newest(&mut tx, stored.key, EVENTS).await?;
    let mode = modes::server(&mut tx).await?.remark();
    let last_event = events::last(&mut tx).await?;
    drop(tx);
    render(&NamespacePage {
        created: When::new(&namespace.created_at),
        namesakes: namesakes.into_iter().map(NamesakeRow::from).collect(),
        priority: namespace.priority.as_ref().map(|priority| {
            let why = priority
                .reason
                .as_deref()
                .map(|reason| format!(": {reason}"));
            format!(
                "It gets {} times the share of others{}",
                priority.weight,
                why.unwrap_or_default()
            )
        }),
        mode: mode.filter(|_| namespace.status == NamespaceStatus::Active),
        icon: icon(shown.as_ref(), namespace.status),
        progress: progress(shown.as_ref(), namespace.status),
        finished: (namespace.status == NamespaceStatus::Finished).then(|| {
            let took = duration(&stored.created_at, &stored.changed_at);
            (When::new(&stored.changed_at), took)
        }),
        standstill: Standstill::of(&namespace).filter(|_| is_newest),
        current: superseded_by(&rows, row)?,
        // What is done is done to what is worked on now, not to what another iteration took the place of.
        actions: match is_newest {
            true => actions(&namespace),
            false => Vec::new(),
        },
        namespace,
        newest: number.is_none(),
        iterations: iteration_rows(&rows, row)?,
        shown,
        held: query.page == 0 && query.fresh,
        unresolved: sets.iter().map(|set| set.summary.unresolved).sum(),
        broken: sets.iter().map(|set| set.summary.broken).sum(),
        sets,
        builds,
        next: more.then(|| chosen.address(query.page + 1)),
        statuses: BuildStatus::ALL,
        classes: OutcomeClass::ALL,
        sorts: SORTS,
        chosen,
        base_url: server.base_url.clone(),
        events: history.iter().filter_map(line).collect(),
        last_event,
    })
}

/// Which iteration is worked on instead of the one that is shown.
fn superseded_by(
    rows: &[StoredIteration],
    shown: Option<&StoredIteration>,
) -> DbResult<Option<u32>> {
    let Some(shown) = shown else { return Ok(None) };
    if shown.status()? != IterationStatus::Superseded {
        return Ok(None);
    }
    for row in rows {
        if row.status()? == IterationStatus::Current {
            return Ok(Some(row.number));
        }
    }
    let newest = rows.first().map(|newest| newest.number);
    Ok(newest.filter(|number| *number != shown.number))
}

fn iteration_rows(
    rows: &[StoredIteration],
    shown: Option<&StoredIteration>,
) -> DbResult<Vec<IterationRow>> {
    let iterations = rows.iter().enumerate().map(|(at, row)| {
        Ok(IterationRow {
            number: row.number,
            status: row.status()?,
            why: row.reason()?.to_string(),
            created: When::new(&row.created_at()?),
            shown: shown.is_some_and(|shown| shown.number == row.number),
            older: at + 1 < rows.len(),
        })
    });
    iterations.collect()
}

fn sets(
    shown: &Iteration,
    cells: &[Cell],
    longest: &HashSet<BuildKey>,
    expected: &str,
) -> Vec<Set> {
    let mut maps = map::maps(cells, longest);
    let sets = shown.build_sets.iter();
    sets.map(|(architecture, summary)| {
        let at = maps
            .iter()
            .position(|map| map.architecture == architecture.as_str());
        Set {
            architecture: architecture.to_string(),
            bar: Bar::new(&summary.counts),
            map: at.map(|at| maps.swap_remove(at)),
            ahead: expected.to_owned(),
            summary: summary.clone(),
        }
    })
    .collect()
}

/// How far an iteration is, while it is worked on.
fn progress(shown: Option<&Iteration>, status: NamespaceStatus) -> Option<String> {
    let sets = || {
        shown
            .into_iter()
            .flat_map(|shown| shown.build_sets.values())
    };
    let total: u32 = sets().map(BuildSetSummary::total).sum();
    let done: u32 = sets().map(BuildSetSummary::done).sum();
    (total > 0 && status == NamespaceStatus::Active)
        .then(|| format!("{}%", u64::from(done) * 100 / u64::from(total)))
}

/// The end of the name of the icon that says how an iteration is.
fn icon(shown: Option<&Iteration>, status: NamespaceStatus) -> &'static str {
    let mut sets = shown
        .into_iter()
        .flat_map(|shown| shown.build_sets.values());
    match status {
        _ if sets.any(|set| set.count(BuildStatus::is_failure) > 0) => "-bad",
        NamespaceStatus::Finished => "-good",
        NamespaceStatus::Active => "-busy",
        _ => "",
    }
}

/// An event in words; what is of no interest to people is left out.
fn line(event: &Event) -> Option<EventLine> {
    let iteration = event.iteration.map(|number| format!("iteration {number}"));
    let iteration = iteration.unwrap_or_default();
    let pkgbase = event
        .pkgbase
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let to = words(event.to.as_deref().unwrap_or_default());
    let mut text = match event.kind {
        EventKind::NamespaceCreated => "the namespace was made".to_owned(),
        EventKind::NamespaceStatus => format!("the namespace is {to}"),
        EventKind::IterationCreated => format!("{iteration} was made"),
        EventKind::IterationStatus => format!("{iteration} is {to}"),
        EventKind::BuildStatus => format!("{pkgbase} is {to}"),
        EventKind::RunEnded => format!("a run of {pkgbase} ended: {to}"),
        EventKind::GenerationPublished => format!("generation {to} of the repository is published"),
        EventKind::OriginsProblem => "its changesets cannot be planned".to_owned(),
        EventKind::RunReclassed => format!("a failure of {pkgbase} was its worker's fault"),
        EventKind::NamespacePriority => format!("its share of the workers is {to}"),
        EventKind::RunClaimed
        | EventKind::RunStarted
        | EventKind::WorkerMode
        | EventKind::ServerMode
        | EventKind::Unknown => return None,
    };
    if let Some(message) = event.message.as_deref().filter(|it| !it.is_empty()) {
        text.push_str(": ");
        text.push_str(message);
    }
    if let Some(actor) = &event.actor {
        text.push_str(&format!(" (by {actor})"));
    }
    Some(EventLine {
        at: When::new(&event.at),
        text,
    })
}

/// What a script needs to name the cells of an iteration's maps.
pub async fn map_names(
    State(server): State<Server>,
    Path((namespace, number)): Path<(String, String)>,
) -> PageResult {
    let (namespace, number): (NamespaceName, u32) = (name(&namespace)?, iteration_number(&number)?);
    let (_, iteration) = extract::iteration(&server, &namespace, number).await?;
    let mut tx = server.db.read().await?;
    let cells = overview::cells(&mut tx, iteration.key).await?;
    Ok(axum::Json(map::names(&cells)).into_response())
}
