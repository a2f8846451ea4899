//! A plan as a graph in the language of Graphviz.

use std::io::{self, Write};

use buildbtw_graph::{Because, BuildKey, BuildSet, Edge, Plan, PlannedBuild};

/// Writes a plan: builds as nodes, from what comes first to what waits for it. What changed has a
/// thick border, what cannot be built a red one; needs that were given up are dashed and red.
pub fn write(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    writeln!(out, "digraph plan {{")?;
    writeln!(out, "  rankdir=LR;")?;
    writeln!(out, "  node [shape=box, fontname=\"sans-serif\"];")?;
    for (number, (architecture, set)) in plan.architectures.iter().enumerate() {
        writeln!(out, "  subgraph cluster_{number} {{")?;
        writeln!(out, "    label={};", quoted(architecture.as_str()))?;
        for build in &set.builds {
            node(out, number, build)?;
        }
        edges(out, number, set)?;
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}

fn node(out: &mut dyn Write, set: usize, build: &PlannedBuild) -> io::Result<()> {
    let mut label = format!("{}\n{}", build.pkgbase, build.version);
    if build.pass > 1 {
        label.push_str(&format!("\npass {}", build.pass));
    }
    if build.nocheck {
        label.push_str("\nwithout check");
    }
    let mut style = String::new();
    if matches!(build.because, Because::Changed(_)) {
        style.push_str(", penwidth=3");
    }
    if let Some(why) = &build.unbuildable {
        style.push_str(&format!(", color=red, tooltip={}", quoted(&why.hint)));
    }
    let (name, label) = (name(set, &build.key()), quoted(&label));
    writeln!(out, "    {name} [label={label}{style}];")
}

fn edges(out: &mut dyn Write, set_number: usize, set: &BuildSet) -> io::Result<()> {
    for edge in &set.edges {
        let Edge { before, after, .. } = edge;
        let tooltip = quoted(&format!("{} {}", edge.kind.as_str(), edge.relation));
        let style = match edge.dropped {
            true => ", style=dashed, color=red, constraint=false",
            false => "",
        };
        let (before, after) = (name(set_number, before), name(set_number, after));
        writeln!(out, "    {before} -> {after} [tooltip={tooltip}{style}];")?;
    }
    Ok(())
}

fn name(set: usize, build: &BuildKey) -> String {
    quoted(&format!("{set}/{}/{}", build.pkgbase, build.pass))
}

/// A string of the language: in it only quotes and backslashes mean something.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
