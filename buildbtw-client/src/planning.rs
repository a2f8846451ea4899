//! A plan in words: what would be built, in which order, and what somebody should know before.

use std::io::{self, Write};

use buildbtw_api::namespaces::{NamespaceOptions, PlanRequest};
use buildbtw_graph::{
    Because, BuildSet, Estimate, FindingKind, Findings, PkgrelMode, Plan, PlannedBuild, Scope, Via,
    World,
};

use crate::cli;
use crate::failure::Failure;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::{count, duration, harmless, some_of, wrap};

/// How many names or findings of a kind the short form shows.
const SOME: usize = 8;

/// What the command line asks for, as the server is asked.
///
/// # Errors
///
/// When `--base none` stands beside a base repository.
pub fn request(planning: &cli::Planning) -> Result<PlanRequest, Failure> {
    let mut repositories = Vec::new();
    let mut none = false;
    for base in &planning.base {
        match base {
            cli::Base::None => none = true,
            cli::Base::Repository(repository) => repositories.push(repository.clone()),
        }
    }
    if none && !repositories.is_empty() {
        return Err(
            Failure::new("`--base none` and a base repository exclude each other")
                .hint("leave one of them out")
                .usage(),
        );
    }
    let options = NamespaceOptions {
        scope: match planning.scope {
            cli::Scope::Transitive => Scope::Transitive,
            cli::Scope::Direct => Scope::Direct,
            cli::Scope::None => Scope::None,
        },
        via: Via {
            makedepends: planning.via.contains(&cli::Via::Makedepends),
            checkdepends: planning.via.contains(&cli::Via::Checkdepends),
        },
        pkgrel: match planning.pkgrel {
            cli::Pkgrel::Bump => PkgrelMode::Bump,
            cli::Pkgrel::Keep => PkgrelMode::Keep,
        },
        passes: planning.passes,
        bootstrap: planning.bootstrap,
        reuse: !planning.no_reuse,
        base: (none || !repositories.is_empty()).then_some(repositories),
        on: None,
    };
    Ok(PlanRequest {
        changesets: planning.changesets.clone(),
        options,
        namespace: None,
    })
}

/// The number of builds that a plan would carry out.
pub fn builds(plan: &Plan) -> usize {
    plan.architectures.values().map(own_builds).sum()
}

/// Builds of a build set that are not taken over from another architecture.
fn own_builds(set: &BuildSet) -> usize {
    let own = |build: &&PlannedBuild| build.refers_to.is_none();
    set.builds.iter().filter(own).count()
}

/// Writes a plan: in a few lines, or with everything that there is to say.
pub fn write(out: &mut dyn Write, plan: &Plan, full: bool, width: usize) -> io::Result<()> {
    for (position, (architecture, set)) in plan.architectures.iter().enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        let strong = style::STRONG;
        let builds = count(own_builds(set), "build");
        let waves = count(set.waves as usize, "wave");
        writeln!(out, "{strong}{architecture}: {builds} in {waves}{strong:#}")?;
        outline(out, set, width)?;
        findings(out, set, full, width)?;
        if full {
            by_wave(out, set, width)?;
        }
    }
    for warning in &plan.warnings {
        let odd = style::ODD;
        let about = warning
            .pkgbase
            .as_ref()
            .map(|pkgbase| format!("{pkgbase}: "));
        // Messages of a parser may draw a picture of the line; here they are prose.
        let message: Vec<&str> = warning.message.split_whitespace().collect();
        let text = format!("{}{}", about.unwrap_or_default(), message.join(" "));
        writeln!(out, "{odd}warning:{odd:#} {}", harmless(&text))?;
    }
    Ok(())
}

/// What changed, what is rebuilt, and the longest chain.
fn outline(out: &mut dyn Write, set: &BuildSet, width: usize) -> io::Result<()> {
    let mut table = Table::bare().indented(2);
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            table.row([Cell::new(name, style::FAINT), text.into()]);
        }
    };
    let named = |pick: &dyn Fn(&PlannedBuild) -> bool, text: &dyn Fn(&PlannedBuild) -> String| {
        let mut names: Vec<String> = set
            .builds
            .iter()
            .filter(|build| build.pass == 1 && pick(build))
            .map(text)
            .collect();
        names.dedup();
        some_of(&names, SOME)
    };
    let changed = |build: &PlannedBuild| matches!(build.because, Because::Changed(_));
    let with_version = |build: &PlannedBuild| format!("{} {}", build.pkgbase, build.version);
    let name_only = |build: &PlannedBuild| build.pkgbase.to_string();
    line("changed", named(&changed, &with_version));
    line("rebuilt", named(&|build| !changed(build), &name_only));
    line("twice", {
        let twice: Vec<String> = set
            .builds
            .iter()
            .filter(|build| build.pass == 2)
            .map(name_only)
            .collect();
        some_of(&twice, SOME)
    });
    if set.critical_path.len() > 1 {
        let chain: Vec<&str> = set
            .critical_path
            .iter()
            .map(|key| key.pkgbase.as_str())
            .collect();
        let shown = if chain.len() <= SOME {
            chain.join(" → ")
        } else {
            let (first, last) = (&chain[..SOME / 2], &chain[chain.len() - SOME / 2..]);
            format!(
                "{} → … → {} ({} builds)",
                first.join(" → "),
                last.join(" → "),
                chain.len()
            )
        };
        line("longest chain", shown);
    }
    line(
        "estimate",
        set.estimate.as_ref().map(estimate).unwrap_or_default(),
    );
    table.write(out, width)
}

/// How long it will take, as far as that is known.
fn estimate(estimate: &Estimate) -> String {
    let shown = |ms: u64| duration(ms.try_into().unwrap_or(i64::MAX));
    let (work, chain) = (shown(estimate.work_ms), shown(estimate.longest_path_ms));
    let mut text = match estimate.at_least_ms() {
        Some(least) => format!(
            "at least {} on {} ({work} of work, longest chain {chain}",
            shown(least),
            count(estimate.slots as usize, "slot")
        ),
        None => format!("{work} of work, longest chain {chain} (no worker is there"),
    };
    if estimate.unknown > 0 {
        let never = count(estimate.unknown as usize, "build");
        let as_what = if estimate.unknown == 1 {
            "counts"
        } else {
            "count"
        };
        text.push_str(&format!("; {never} never ran and {as_what} as the median"));
    }
    text + ")"
}

/// What somebody should know: what cannot work first, then what might not. Remarks are only counted
/// where not everything is asked for.
fn findings(out: &mut dyn Write, set: &BuildSet, full: bool, width: usize) -> io::Result<()> {
    let names = if full { usize::MAX } else { SOME };
    let all = buildbtw_graph::findings(set, names);
    let (remarks, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|one| one.kind.is_remark() && !full);
    for one in others {
        list(out, &one, full, width)?;
    }
    let more = remarks.iter().map(|one| match one.kind {
        FindingKind::Ambiguous => format!(
            "{} satisfied by several packages",
            count(one.lines.len(), "need")
        ),
        _ => count(one.lines.len(), "risk"),
    });
    let more: Vec<String> = more.collect();
    if !more.is_empty() {
        let faint = style::FAINT;
        let text = format!(
            "besides: {}; `bbtw plan` with --full lists them",
            more.join(", ")
        );
        for line in wrap(&text, width.saturating_sub(2)) {
            writeln!(out, "  {faint}{line}{faint:#}")?;
        }
    }
    Ok(())
}

fn list(out: &mut dyn Write, found: &Findings, full: bool, width: usize) -> io::Result<()> {
    let style = match found.kind {
        FindingKind::Broken | FindingKind::Unbuildable => style::BAD,
        kind if kind.is_remark() => style::PLAIN,
        _ => style::ODD,
    };
    let (title, findings) = (found.kind.title(), &found.lines);
    writeln!(out, "  {style}{title} ({}){style:#}", findings.len())?;
    let shown = if full { findings.len() } else { SOME };
    for finding in findings.iter().take(shown) {
        let lines = wrap(&harmless(finding), width.saturating_sub(6));
        for (number, line) in lines.iter().enumerate() {
            writeln!(out, "    {}{line}", if number == 0 { "" } else { "  " })?;
        }
    }
    match findings.len().saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(
            out,
            "    and {more} more; `bbtw plan` with --full lists them"
        ),
    }
}

/// Every build, wave by wave.
fn by_wave(out: &mut dyn Write, set: &BuildSet, width: usize) -> io::Result<()> {
    let mut builds: Vec<&PlannedBuild> = set.builds.iter().collect();
    builds.sort_by_key(|build| build.wave);
    for wave in builds.chunk_by(|one, other| one.wave == other.wave) {
        let strong = style::STRONG;
        let number = wave.first().map_or(0, |build| build.wave);
        writeln!(out, "\n{strong}wave {number}{strong:#}")?;
        let mut table = Table::bare().indented(2);
        for build in wave {
            let name = match build.pass {
                1 => build.pkgbase.to_string(),
                pass => format!("{} (pass {pass})", build.pkgbase),
            };
            table.row([
                name.into(),
                build.version.to_string().into(),
                because(build).into(),
            ]);
        }
        table.write(out, width)?;
    }
    Ok(())
}

/// Why a build is in the plan.
fn because(build: &PlannedBuild) -> String {
    if let Some(architecture) = &build.refers_to {
        return format!("taken from {architecture}");
    }
    match &build.because {
        Because::Changed(_) => "changed".to_owned(),
        Because::Dependent(dependent) => {
            let world = match dependent.world {
                World::Sources => "",
                World::Released => ", as released",
            };
            let owner = if dependent.pkgname.as_str() == build.pkgbase.as_str() {
                "needs".to_owned()
            } else {
                format!("{} needs", dependent.pkgname)
            };
            format!("{owner} {} of {}{world}", dependent.relation, dependent.of)
        }
    }
}
