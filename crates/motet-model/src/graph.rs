//! Circles in a graph of names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Who leads to whom.
pub(crate) type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// More circles than a person repairs in one go.
const CYCLES_MAX: usize = 20;
/// How many searches are made; a definition that a person wrote needs a handful.
const SEARCHES_MAX: usize = 1000;

/// Circles, each as the names in their order, beginning with the first of them in the alphabet. Every name is in one of them at most.
pub(crate) fn cycles<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    let mut done = BTreeSet::new();
    for start in in_circles(graph).into_iter().take(SEARCHES_MAX) {
        if found.len() == CYCLES_MAX {
            break;
        }
        if done.contains(start) {
            continue;
        }
        if let Some(cycle) = shortest_way_back(graph, start) {
            if cycle.iter().all(|name| !done.contains(name)) {
                done.extend(cycle.iter().copied());
                found.push(cycle);
            } else {
                done.insert(start);
            }
        }
    }
    found
}

/// A circle as it is told: its names, the middle left out where it is long.
pub(crate) fn show(cycle: &[&str]) -> String {
    let names: Vec<_> = cycle.iter().chain(cycle.first()).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0..=SHOWN_MAX => names.join(" → "),
        many => format!("{} → … → {}", names[..SHOWN_MAX - 2].join(" → "), names[many - 2..].join(" → ")),
    }
}

/// How much of a circle is shown.
pub(crate) const SHOWN_MAX: usize = 12;

/// The names that are left when those that lead nowhere are taken away, again and again: they are in a circle or lead to one.
fn in_circles<'a>(graph: &Graph<'a>) -> Vec<&'a str> {
    let mut out: BTreeMap<&str, usize> = graph.iter().map(|(name, to)| (*name, to.len())).collect();
    let mut into: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in graph {
        to.iter().for_each(|to| into.entry(to).or_default().push(from));
    }
    let ends = graph.values().flatten().filter(|to| !graph.contains_key(*to)).copied();
    let mut gone: Vec<&str> = out.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).chain(ends).collect();
    let mut removed = BTreeSet::new();
    while let Some(name) = gone.pop() {
        if !removed.insert(name) {
            continue;
        }
        for from in into.get(name).into_iter().flatten() {
            if let Some(count) = out.get_mut(from) {
                *count -= 1;
                if *count == 0 {
                    gone.push(from);
                }
            }
        }
    }
    graph.keys().copied().filter(|name| !removed.contains(name)).collect()
}

fn shortest_way_back<'a>(graph: &Graph<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(name) = next.pop_front() {
        for &to in graph.get(name).into_iter().flatten() {
            if to == start {
                let mut way = vec![name];
                while let Some(&before) = way.last().filter(|last| **last != start).and_then(|last| came_from.get(last))
                {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(to) {
                came_from.insert(to, name);
                next.push_back(to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&'static str, &'static str)]) -> Graph<'static> {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry(*from).or_default().insert(*to);
        }
        graph
    }

    #[test]
    fn each_circle_is_found_once_and_what_leads_to_it_is_not_part_of_it() {
        let edges = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("x", "y"), ("y", "z"), ("z", "x"), ("z", "end")];
        assert_eq!(cycles(&graph(&edges)), [vec!["b", "c"], vec!["x", "y", "z"]]);
    }

    #[test]
    fn a_graph_without_circles_has_none() {
        assert!(cycles(&graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])).is_empty());
        assert_eq!(cycles(&graph(&[("a", "a")])), [vec!["a"]]);
    }
}
