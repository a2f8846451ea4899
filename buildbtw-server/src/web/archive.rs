//! Namespaces that were put away. Their names may be taken again, but iterations under one name go on
//! counting: the address of an iteration always leads to what it led to.

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::extract::Query;
use super::page::{PageResult, When, iteration_page, render};
use crate::Server;
use crate::db::namespaces::{self, Namesake};

/// How many one page shows.
const NAMESPACES: u32 = 200;

#[derive(Template)]
#[template(path = "archive.html")]
struct ArchivePage {
    rows: Vec<NamesakeRow>,
    next: Option<u32>,
}

/// A namespace under a name that may be another one's as well.
pub struct NamesakeRow {
    pub name: String,
    pub status: String,
    /// Its last iteration.
    pub page: String,
    /// Its iterations, in words.
    pub iterations: String,
    pub created: When,
    /// When it came to its status.
    pub changed: When,
}

impl From<Namesake> for NamesakeRow {
    fn from(namesake: Namesake) -> Self {
        Self {
            page: iteration_page(&namesake.name, namesake.last),
            iterations: match namesake.first == namesake.last {
                true => format!("iteration {}", namesake.last),
                false => format!("iterations {} to {}", namesake.first, namesake.last),
            },
            created: When::at_microsecond(namesake.created_at),
            changed: When::at_microsecond(namesake.changed_at),
            name: namesake.name,
            status: namesake.status,
        }
    }
}

/// Which part of the list to show.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Part {
    page: u32,
}

/// The archived namespaces, those put away last first.
pub async fn show(State(server): State<Server>, Query(part): Query<Part>) -> PageResult {
    let mut tx = server.db.read().await?;
    let skipped = part.page.saturating_mul(NAMESPACES);
    let mut found = namespaces::archived(&mut tx, skipped, NAMESPACES + 1).await?;
    drop(tx);
    let more = found.len() > NAMESPACES as usize;
    found.truncate(NAMESPACES as usize);
    render(&ArchivePage {
        rows: found.into_iter().map(NamesakeRow::from).collect(),
        next: more.then_some(part.page + 1),
    })
}
