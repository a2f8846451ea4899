//! The neighbourhood of a build as a drawing: in columns, what it waits for to the left, what waits
//! for it to the right.

use std::collections::BTreeMap;

use buildbtw_api::BuildStatus;
use sqlx::SqliteConnection;

use crate::db::DbResult;
use crate::db::keys::BuildKey;
use crate::db::overview::{self, NearBuild, NearNeed};

/// How far the drawing goes to each side, and how many builds a column has at most: 4 columns of 37
/// and the build itself are just below 150.
const LEVELS: i32 = 2;
const COLUMN: usize = 37;

/// Sizes, in pixels.
const NODE_WIDTH: usize = 180;
const NODE_HEIGHT: usize = 25;
const GAP_X: usize = 60;
const GAP_Y: usize = 8;
const MARGIN: usize = 4;

/// How much of a name fits into a node, in characters.
const LABEL: usize = 22;

/// The drawing.
pub struct Graph {
    pub width: usize,
    pub height: usize,
    pub node_width: usize,
    pub node_height: usize,
    pub nodes: Vec<Node>,
    pub lines: Vec<Line>,
    pub left_out: usize,
    pub label: String,
}

/// A build in the drawing.
pub struct Node {
    pub x: usize,
    pub y: usize,
    pub pkgbase: String,
    pub label: String,
    pub status: BuildStatus,
    pub own: bool,
    pub page: String,
}

/// A need in the drawing.
pub struct Line {
    pub path: String,
    pub relation: String,
    pub dropped: bool,
}

/// Draws what is around a build; `None` where nothing is. `page` makes the address of a build's page
/// of its name and pass.
pub async fn graph(
    db: &mut SqliteConnection,
    build: BuildKey,
    page: impl Fn(&str, u8) -> String,
) -> DbResult<Option<Graph>> {
    let (builds, needs, left_out) = overview::around(db, build, LEVELS, COLUMN).await?;
    if builds.len() < 2 {
        return Ok(None);
    }
    Ok(Some(draw(&builds, &needs, left_out, page)))
}

fn draw(
    builds: &[NearBuild],
    needs: &[NearNeed],
    left_out: usize,
    page: impl Fn(&str, u8) -> String,
) -> Graph {
    let mut columns: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (at, build) in builds.iter().enumerate() {
        columns.entry(build.level).or_default().push(at);
    }
    let tallest = columns.values().map(Vec::len).max().unwrap_or(1);
    let height = tallest * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN;
    let mut places = vec![(0, 0); builds.len()];
    let from_the_middle: Vec<i32> = {
        let mut levels: Vec<i32> = columns.keys().copied().collect();
        levels.sort_by_key(|level| level.abs());
        levels
    };
    let first = columns.keys().next().copied().unwrap_or(0);
    for level in from_the_middle {
        let Some(column) = columns.get_mut(&level) else {
            continue;
        };
        // Beside its neighbours that have their places already, lines cross less.
        let middle = |at: usize| {
            let linked = needs.iter().filter_map(|need| match at {
                at if need.before == at => Some(need.after),
                at if need.after == at => Some(need.before),
                _ => None,
            });
            let placed: Vec<usize> = linked
                .filter(|&other| builds[other].level.abs() < level.abs())
                .map(|other| places[other].1)
                .collect();
            placed.iter().sum::<usize>() / placed.len().max(1)
        };
        let middles: BTreeMap<usize, usize> = column.iter().map(|&at| (at, middle(at))).collect();
        column.sort_by_key(|at| (middles[at], builds[*at].pkgbase.clone()));
        let x = MARGIN + (level - first).unsigned_abs() as usize * (NODE_WIDTH + GAP_X);
        let used = column.len() * (NODE_HEIGHT + GAP_Y) - GAP_Y;
        let top = (height - used) / 2;
        for (row, &at) in column.iter().enumerate() {
            places[at] = (x, top + row * (NODE_HEIGHT + GAP_Y));
        }
    }
    let lines = needs.iter().map(|need| line(need, &places));
    Graph {
        width: 2 * MARGIN + columns.len() * (NODE_WIDTH + GAP_X) - GAP_X,
        height,
        node_width: NODE_WIDTH,
        node_height: NODE_HEIGHT,
        lines: lines.collect(),
        nodes: builds
            .iter()
            .zip(&places)
            .map(|(build, &place)| node(build, place, &page))
            .collect(),
        left_out,
        label: format!(
            "{} and {} builds around it",
            builds[0].pkgbase,
            builds.len() - 1
        ),
    }
}

fn node(build: &NearBuild, (x, y): (usize, usize), page: impl Fn(&str, u8) -> String) -> Node {
    let name = match build.pass {
        1 => build.pkgbase.clone(),
        pass => format!("{} (pass {pass})", build.pkgbase),
    };
    let label = match name.chars().count() > LABEL {
        true => name.chars().take(LABEL - 1).chain(['…']).collect(),
        false => name.clone(),
    };
    Node {
        x,
        y,
        label,
        own: build.level == 0,
        status: build.status,
        page: page(&build.pkgbase, build.pass),
        pkgbase: name,
    }
}

/// From the right edge of what comes first to the left edge of what waits for it.
fn line(need: &NearNeed, places: &[(usize, usize)]) -> Line {
    let ((x1, y1), (x2, y2)) = (places[need.before], places[need.after]);
    let (x1, y1, y2) = (x1 + NODE_WIDTH, y1 + NODE_HEIGHT / 2, y2 + NODE_HEIGHT / 2);
    let middle = x1.midpoint(x2);
    Line {
        path: format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"),
        relation: need.relation.clone(),
        dropped: need.dropped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(pkgbase: &str, level: i32) -> NearBuild {
        NearBuild {
            level,
            pkgbase: pkgbase.to_owned(),
            pass: 1,
            status: BuildStatus::Built,
        }
    }

    #[test]
    fn what_is_waited_for_lies_to_the_left() {
        let builds = [
            near("own", 0),
            near("before", -1),
            near("after", 1),
            near("z", 1),
        ];
        let need = |before, after| NearNeed {
            before,
            after,
            relation: "x".to_owned(),
            dropped: false,
        };
        let graph = draw(
            &builds,
            &[need(1, 0), need(0, 2), need(0, 3)],
            0,
            |name, pass| format!("{name}/{pass}"),
        );
        let x = |name: &str| {
            graph
                .nodes
                .iter()
                .find(|node| node.pkgbase == name)
                .unwrap()
                .x
        };
        assert!(x("before") < x("own") && x("own") < x("after"));
        assert_eq!(x("after"), x("z"));
        assert_eq!((graph.width, graph.height), (668, 66));
        let inside = |node: &Node| node.y + NODE_HEIGHT <= graph.height;
        assert!(graph.nodes.iter().all(inside));
        assert_eq!(graph.lines[0].path, "M184 32C214 32 214 32 244 32");
    }
}
