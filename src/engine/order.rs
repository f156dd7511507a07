//! Dependency order, the same on every run.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Address;

/// Resources that wait for each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("these resources wait for each other: {}", .0.iter().map(Address::as_str).collect::<Vec<_>>().join(", "))]
pub struct Cycle(pub Vec<Address>);

/// Kahn's algorithm over sorted sets: ties break by address, so that a plan never reshuffles.
/// What an address waits for without being in `waits_for` itself is no hindrance.
pub(super) fn sort(waits_for: &BTreeMap<Address, BTreeSet<Address>>) -> Result<Vec<Address>, Cycle> {
    let mut missing: BTreeMap<&Address, usize> = BTreeMap::new();
    let mut followers: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
    for (address, parents) in waits_for {
        let known = parents.iter().filter(|parent| waits_for.contains_key(*parent));
        missing.insert(address, known.clone().count());
        for parent in known {
            followers.entry(parent).or_default().push(address);
        }
    }
    let mut ready: BTreeSet<&Address> =
        missing.iter().filter(|(_, count)| **count == 0).map(|(address, _)| *address).collect();
    let mut sorted = Vec::with_capacity(waits_for.len());
    while let Some(address) = ready.pop_first() {
        missing.remove(address);
        sorted.push(address.clone());
        for follower in followers.remove(address).unwrap_or_default() {
            if let Some(count) = missing.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(follower);
                }
            }
        }
    }
    if missing.is_empty() { Ok(sorted) } else { Err(Cycle(missing.into_keys().cloned().collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<Address, BTreeSet<Address>> {
        let address = |name: &&str| Address::new("toy", name);
        edges.iter().map(|(name, parents)| (address(name), parents.iter().map(address).collect())).collect()
    }

    #[test]
    fn parents_first_then_by_address() {
        let order = sort(&graph(&[("a", &["c"]), ("b", &[]), ("c", &["elsewhere"])])).unwrap();
        assert_eq!(order.iter().map(Address::path).collect::<Vec<_>>(), ["b", "c", "a"]);
    }

    #[test]
    fn a_circle_is_named() {
        let cycle = sort(&graph(&[("a", &["b"]), ("b", &["a"]), ("c", &[])])).unwrap_err();
        assert_eq!(cycle.to_string(), "these resources wait for each other: toy.a, toy.b");
    }
}
