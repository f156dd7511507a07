//! Why somebody may do something somewhere, or why not.

use std::collections::BTreeMap;

use super::{
    super::{
        escape,
        paint::{Manner, Page},
    },
    title,
};
use crate::model::access_matrix::{AccessMatrix, By, Entry, Level, Place, Right, Rights, Who, WhoKind};

/// `who` and `places` are what was asked for; `no_group` tells why the groups do not let a person in, and the mend.
pub fn why(
    matrix: &AccessMatrix,
    who: &[Who],
    places: &[Place],
    no_group: &[String],
    colour: bool,
) -> String {
    let mut page = Page::new(if colour { Manner::Colour } else { Manner::Plain });
    let mut first = true;
    for who in who {
        for place in places {
            if !std::mem::take(&mut first) {
                page.bare("");
            }
            one(&mut page, matrix.entry(who, place), who, place, no_group);
        }
    }
    page.finish()
}

fn one(page: &mut Page, entry: Option<&Entry>, who: &Who, place: &Place, no_group: &[String]) {
    let declared = entry.map(|entry| &entry.declared);
    let level = declared.map(|rights| rights.level).unwrap_or_default();
    let word = if level == Level::None { "may nothing" } else { level.word() };
    let head = escape::line(&format!("{}: {word} in {}", title(who), place.label()));
    let head = page.bold(&head);
    page.bare(&head);
    if let Some(rights) = declared {
        chains(page, rights);
    }
    if level == Level::None {
        let own = ["a service's logins are members of its own roles only".to_owned()];
        for reason in if who.kind == WhoKind::Person { no_group } else { &own } {
            page.bare(&escape::line(&format!("  {reason}")));
        }
    }
    let Some(entry) = entry.filter(|entry| entry.differs()) else { return };
    page.bare("  On the server it is otherwise:");
    for (sign, rights) in [("+", &entry.extra), ("-", &entry.missing)] {
        for right in rights {
            let sign = if sign == "+" { page.green(sign) } else { page.red(sign) };
            page.bare(&format!(
                "    {sign} {}",
                escape::line(&format!("{} -> {}", chain(right), right.text()))
            ));
        }
    }
}

/// A line for each chain, with all that it leads to.
fn chains(page: &mut Page, rights: &Rights) {
    let mut by_chain: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for right in &rights.rights {
        by_chain.entry((right.through.len(), chain(right))).or_default().push(right.text());
    }
    for ((_, chain), rights) in by_chain {
        page.bare(&escape::line(&format!("  {chain}")));
        for right in rights {
            page.bare(&escape::line(&format!("    -> {right}")));
        }
    }
}

/// The chain, with how each link works where it is not simply inherited.
fn chain(right: &Right) -> String {
    let link = |(place, link): (usize, &crate::model::access_matrix::Membership)| {
        let how = match link.by {
            By::Itself | By::Inherits => "",
            By::Becomes => " (by SET ROLE)",
            By::Grants => " (by granting it to himself)",
            By::Public => " (everybody)",
        };
        format!("{}{}{how}", if place == 0 { "" } else { " -> " }, link.role)
    };
    right.through.iter().enumerate().map(link).collect()
}
