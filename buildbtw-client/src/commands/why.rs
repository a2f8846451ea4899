//! `bbtw why`

use std::io::{self, Write};

use buildbtw_api::namespaces::WhyRequest;
use buildbtw_graph::{Link, PkgBase, Why, WhyNot, World};

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::planning;
use crate::style;
use crate::tree::Tree;
use crate::words::{harmless, wrap};

/// Says why a package base would be rebuilt, or why not.
pub async fn run(session: &Session, arguments: &cli::Why) -> Outcome {
    let plan = planning::request(&arguments.planning)?;
    let pkgbase = &arguments.pkgbase;
    let tree = Tree::read(&arguments.tree, &plan)?;
    let answers = match &tree {
        Some(tree) => tree.why(pkgbase)?,
        None => {
            let request = WhyRequest {
                changesets: plan.changesets,
                options: plan.options,
                pkgbase: pkgbase.clone(),
            };
            session.client.why(&request).await?
        }
    };
    if session.json {
        return session.print_json(&answers);
    }
    if let Some(failure) = unknown(pkgbase, answers.values()) {
        return Err(tree.map_or(failure, |tree| tree.unknown(pkgbase)));
    }
    session.print(|out| {
        for (architecture, why) in &answers {
            if answers.len() > 1 {
                let strong = style::STRONG;
                writeln!(out, "{strong}{architecture}{strong:#}")?;
            }
            write(out, pkgbase, why, session.width)?;
        }
        Ok(())
    })
}

/// Nobody knows the package base, on no architecture: most likely its name was misspelt.
fn unknown<'a>(pkgbase: &PkgBase, answers: impl Iterator<Item = &'a Why>) -> Option<Failure> {
    let mut makers = None;
    for answer in answers {
        match answer {
            Why::NotRebuilt(WhyNot::Unknown { made_by }) => makers = Some(made_by),
            _ => return None,
        }
    }
    let hint = match makers?.first() {
        Some(maker) => format!("{maker} makes a package of that name"),
        None => "`bbtw sources` lists all that are known".to_owned(),
    };
    Some(Failure::new(format!("there is no package base {pkgbase}")).hint(hint))
}

fn write(out: &mut dyn Write, pkgbase: &PkgBase, why: &Why, width: usize) -> io::Result<()> {
    let strong = style::STRONG;
    match why {
        Why::Rebuilt(links) if links.is_empty() => {
            writeln!(out, "{strong}{pkgbase}{strong:#} is rebuilt: it changed.")
        }
        Why::Rebuilt(links) => {
            writeln!(out, "{strong}{pkgbase}{strong:#} is rebuilt:")?;
            chain(out, links)
        }
        Why::NotRebuilt(reason) => {
            let text = format!("not rebuilt: {}", why_not(reason));
            for (number, line) in wrap(&harmless(&text), width.saturating_sub(2))
                .iter()
                .enumerate()
            {
                match number {
                    0 => writeln!(out, "{strong}{pkgbase}{strong:#} is {line}")?,
                    _ => writeln!(out, "  {line}")?,
                }
            }
            match reason {
                WhyNot::Scope { chain: links }
                | WhyNot::BuildTime { chain: links }
                | WhyNot::ScopeAndBuildTime { chain: links } => chain(out, links),
                _ => Ok(()),
            }
        }
    }
}

/// A chain, from the change on: each line a package, and what of the line before it needs.
fn chain(out: &mut dyn Write, links: &[Link]) -> io::Result<()> {
    let faint = style::FAINT;
    if let Some(first) = links.first() {
        writeln!(out, "  {} changed", first.of)?;
    }
    for link in links {
        let of_base = link.pkgname.as_str() == link.pkgbase.as_str();
        let owner = match of_base {
            true => String::new(),
            false => format!(" {faint}(its package {}){faint:#}", link.pkgname),
        };
        let world = match link.world {
            World::Sources => "",
            World::Released => ", as it is released",
        };
        writeln!(
            out,
            "  → {}{owner} needs `{}` of {}{world}",
            link.pkgbase,
            harmless(&link.relation),
            link.of
        )?;
    }
    Ok(())
}

/// What keeps a package base out of the plan, and what would bring it in.
fn why_not(reason: &WhyNot) -> String {
    match reason {
        WhyNot::Unknown { made_by } if made_by.is_empty() => {
            "there is no package base of that name.".to_owned()
        }
        WhyNot::Unknown { made_by } => {
            let names: Vec<&str> = made_by.iter().map(|maker| maker.as_str()).collect();
            format!(
                "there is no package base of that name; a package of that name is made by {}.",
                names.join(", ")
            )
        }
        WhyNot::OtherArchitecture => "it makes nothing for this architecture.".to_owned(),
        WhyNot::Scope { .. } => {
            "it is farther from the change than the scope reaches; with --scope transitive it \
             would be, by this chain:"
                .to_owned()
        }
        WhyNot::BuildTime { .. } => {
            "it only needs what is rebuilt to be built or checked; with --via \
             makedepends,checkdepends it would be, by this chain:"
                .to_owned()
        }
        WhyNot::ScopeAndBuildTime { .. } => {
            "it is farther from the change than the scope reaches, and only needs what is rebuilt \
             to be built or checked; with --scope transitive --via makedepends,checkdepends it \
             would be, by this chain:"
                .to_owned()
        }
        WhyNot::OtherProvider {
            relation,
            chosen,
            instead_of,
        } => format!(
            "its relation `{relation}` is satisfied by {chosen}, not by {instead_of}, which is \
             rebuilt."
        ),
        WhyNot::OtherVersion {
            relation,
            of,
            chosen: Some(chosen),
        } => format!(
            "its relation `{relation}` is satisfied by {chosen}; {of}, which is rebuilt, does not \
             satisfy it."
        ),
        WhyNot::OtherVersion {
            relation,
            of,
            chosen: None,
        } => format!(
            "its relation `{relation}` is satisfied by nothing; {of}, which is rebuilt, has \
             another version."
        ),
        WhyNot::Optional { relation, of } => format!(
            "it only has the optional dependency `{relation}` on {of}, and those make no \
             dependent."
        ),
        WhyNot::Unrelated => {
            "nothing that it needs, directly or through others, is rebuilt.".to_owned()
        }
    }
}
