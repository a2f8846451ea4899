//! The wave map: a whole build set at a glance, one cell a build, ordered by wave.
//!
//! All cells of one status are one path, so that a browser draws thousands of them at once and the
//! page stays small; where a cell lies follows from its place in the order alone.

use std::collections::{BTreeMap, HashSet};

use buildbtw_api::BuildStatus;

use crate::db::keys::BuildKey;
use crate::db::overview::Cell;

/// How wide a drawing is, in pixels, unless there is little to draw. A script draws anew for the
/// width that there is.
const WIDTH: u32 = 1200;

/// The distance from one cell to the next and the gap between them, in pixels: few cells are drawn
/// large, and thousands still legibly.
fn sizes(cells: usize) -> (u32, u32) {
    match cells {
        0..100 => (24, 4),
        100..1000 => (16, 3),
        _ => (10, 2),
    }
}

/// One architecture's builds, drawn.
pub struct Map {
    /// The architecture.
    pub architecture: String,
    /// How wide and high the drawing is.
    pub width: u32,
    /// Likewise.
    pub height: u32,
    /// How many cells it has side by side.
    pub columns: u32,
    /// The distance from one cell to the next, and the gap between them.
    pub pitch: u32,
    /// Likewise.
    pub gap: u32,
    /// One path a status.
    pub paths: Vec<MapPath>,
    /// The outline of the cells on the longest path that is left.
    pub longest: String,
    /// How many builds lie on that.
    pub longest_length: usize,
    /// What it says to those who do not see it.
    pub label: String,
}

/// All cells of one status.
pub struct MapPath {
    /// The status.
    pub status: BuildStatus,
    /// The path's `d`.
    pub path: String,
}

/// The maps of an iteration's builds, which come by architecture and wave, and of which some lie on the longest
/// path.
pub fn maps(cells: &[Cell], longest: &HashSet<BuildKey>) -> Vec<Map> {
    cells
        .chunk_by(|one, other| one.architecture == other.architecture)
        .map(|cells| map(cells, longest))
        .collect()
}

fn map(cells: &[Cell], longest: &HashSet<BuildKey>) -> Map {
    let places = places(cells);
    let (pitch, gap) = sizes(cells.len());
    let columns = WIDTH / pitch;
    let square = |place: u32| {
        let (x, y) = (
            place % columns * pitch + gap / 2,
            place / columns * pitch + gap / 2,
        );
        let edge = pitch - gap;
        format!("M{x} {y}h{edge}v{edge}h-{edge}z")
    };
    let mut paths: BTreeMap<BuildStatus, String> = BTreeMap::new();
    for (cell, &place) in cells.iter().zip(&places) {
        paths
            .entry(cell.status)
            .or_default()
            .push_str(&square(place));
    }
    let longest: Vec<u32> = cells
        .iter()
        .zip(&places)
        .filter_map(|(cell, &place)| longest.contains(&cell.key).then_some(place))
        .collect();
    let outline = longest.iter().map(|&place| square(place));
    let rows = places.last().map_or(1, |last| last / columns + 1);
    let last_wave = cells.last().map_or(0, |cell| cell.wave);
    Map {
        architecture: cells[0].architecture.clone(),
        width: pitch * columns.min(places.last().map_or(1, |last| last + 1)),
        height: pitch * rows,
        columns,
        pitch,
        gap,
        longest: outline.collect(),
        longest_length: longest.len(),
        label: format!("{} builds in {last_wave} waves, one cell each", cells.len()),
        paths: paths
            .into_iter()
            .map(|(status, path)| MapPath { status, path })
            .collect(),
    }
}

/// Where each build lies in the order; between two waves one place stays free.
fn places(cells: &[Cell]) -> Vec<u32> {
    let mut gaps = 0;
    let mut before = cells.first().map_or(0, |cell| cell.wave);
    let mut places = Vec::with_capacity(cells.len());
    for (number, cell) in (0_u32..).zip(cells) {
        if cell.wave != before {
            gaps += 1;
            before = cell.wave;
        }
        places.push(number + gaps);
    }
    places
}

/// What a script needs to name the cells: per architecture the number of builds in each wave, and
/// names, with `:2` behind those of a second pass.
pub fn names(cells: &[Cell]) -> serde_json::Value {
    let sets = cells.chunk_by(|one, other| one.architecture == other.architecture);
    let sets = sets.map(|set| {
        let waves = set.chunk_by(|one, other| one.wave == other.wave);
        let waves: Vec<(u32, usize)> = waves.map(|wave| (wave[0].wave, wave.len())).collect();
        let name = |cell: &Cell| match cell.pass {
            1 => cell.pkgbase.clone(),
            pass => format!("{}:{pass}", cell.pkgbase),
        };
        let names: Vec<String> = set.iter().map(name).collect();
        let statuses: Vec<&str> = set.iter().map(|cell| cell.status.as_str()).collect();
        serde_json::json!({
            "architecture": set[0].architecture, "waves": waves, "names": names, "statuses": statuses,
        })
    });
    sets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(key: i64, pkgbase: &str, wave: u32) -> Cell {
        Cell {
            key: BuildKey(key),
            architecture: "x86_64".to_owned(),
            pkgbase: pkgbase.to_owned(),
            pass: 1,
            wave,
            status: BuildStatus::Pending,
        }
    }

    #[test]
    fn a_wave_begins_behind_a_gap_and_the_longest_path_has_an_outline() {
        let cells = [
            cell(1, "a", 1),
            cell(2, "b", 1),
            cell(3, "c", 2),
            cell(4, "d", 2),
            cell(5, "e", 3),
        ];
        assert_eq!(places(&cells), [0, 1, 3, 4, 6]);
        let longest = HashSet::from([1, 4, 5].map(BuildKey));
        let maps = maps(&cells, &longest);
        assert_eq!(maps[0].longest_length, 3);
        assert_eq!(maps[0].longest.matches('M').count(), 3);
        assert_eq!(maps.len(), 1);
        assert_eq!((maps[0].width, maps[0].height), (168, 24));
        assert_eq!(maps[0].paths[0].path.matches('M').count(), 5);
        assert_eq!(
            names(&cells)[0]["waves"],
            serde_json::json!([[1, 2], [2, 2], [3, 1]])
        );
    }
}
