//! YAML text into a tree. Only this file and `complaint` know the YAML parser.
//!
//! What could hurt is bounded before it is built: bytes of a file, depth of nesting, and the number of nodes after
//! aliases are expanded (so that a few lines of anchors cannot grow into gigabytes).

use super::{
    Sources, Span,
    complaint::complaint,
    tree::{Entry, Map, Node, Scalar, Value},
};
use crate::{code, finding::Finding};
use granit_parser::{Event, Parser, ScalarStyle};
use std::{collections::HashMap, sync::Arc};

/// The largest file that is read, in bytes.
pub(crate) const BYTES_MAX: usize = 1 << 20;
/// The deepest nesting; a definition needs 14.
const DEPTH_MAX: usize = 48;
/// The most nodes of one file after expansion of aliases.
const NODES_MAX: usize = 200_000;

/// Reads the text of a source. `None` when it holds nothing or is no YAML: `findings` says which.
pub(crate) fn read(sources: &Sources, file: usize, findings: &mut Vec<Finding>) -> Option<Node> {
    let text = Arc::clone(&sources.get(file)?.text);
    let mut builder =
        Builder { text: &text, file, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None, findings };
    let mut options = granit_parser::options! { block_nesting_limit: 64, flow_nesting_limit: 64 };
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(&text, options) {
        let outcome = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(complaint(file, &text, &error, builder.open.last().map(|open| open.span))),
        };
        if let Err(finding) = outcome {
            builder.findings.push(*finding);
            return None;
        }
    }
    builder.root
}

/// A collection whose end has not been read yet.
struct Open {
    span: Span,
    anchor: usize,
    height: usize,
    collection: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map { map: Map, key: Option<(Arc<str>, Span)>, merges: Vec<Node> },
}

struct Builder<'a> {
    text: &'a str,
    file: usize,
    open: Vec<Open>,
    /// What anchors stand for: the value, its number of nodes and its height.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    root: Option<Node>,
    findings: &'a mut Vec<Finding>,
}

type Step = Result<(), Box<Finding>>;

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: granit_parser::Span) -> Step {
        let span = self.span(span);
        match event {
            Event::Scalar(text, style, anchor, _) => self.scalar(&text, style, anchor, span),
            Event::SequenceStart(_, anchor, _) => self.begin(span, anchor, Collection::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.begin(span, anchor, Collection::Map { map: Map::default(), key: None, merges: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(..) if self.root.is_some() => Err(Box::new(
                Finding::error(code::NOT_YAML, "a definition is one YAML document, and here a second one begins")
                    .at(span, "second document")
                    .help("remove the `---`, or put what follows into a file of its own"),
            )),
            _ => Ok(()),
        }
    }

    fn span(&self, span: granit_parser::Span) -> Span {
        let start = span.start.byte_offset().unwrap_or(0).min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(start).clamp(start, self.text.len());
        let written = self.text.get(start..end).unwrap_or("");
        Span { file: self.file, start, end: start + written.trim_end().len() }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Step {
        let plain = style == ScalarStyle::Plain;
        if let Some(Open { collection: Collection::Map { key: key @ None, .. }, .. }) = self.open.last_mut() {
            *key = Some((text.into(), span));
            return Ok(());
        }
        let value = match text {
            "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
            _ => Value::Scalar(Scalar { text: text.to_owned(), plain, from_variable: false }),
        };
        self.keep(Node { span, value }, anchor, 1, 0)
    }

    fn begin(&mut self, span: Span, anchor: usize, collection: Collection) -> Step {
        if let Some(Open { collection: Collection::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(Box::new(
                Finding::error(code::NOT_YAML, "a key has to be a text, and here it is a list or a map")
                    .at(span, "used as a key")
                    .help("`{` and `[` begin a map and a list: a text that begins with one of them needs quotes"),
            ));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Box::new(too_deep(span)));
        }
        self.open.push(Open { span, anchor, height: 0, collection });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Step {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let whole = Span { end: span.end.max(open.span.end), ..open.span };
        let value = match open.collection {
            Collection::List(items) => Value::List(items),
            Collection::Map { mut map, merges, .. } => {
                self.merge(&mut map, merges);
                Value::Map(map)
            }
        };
        let nodes = if open.anchor == 0 { 1 } else { count(&value) };
        self.keep(Node { span: whole, value }, open.anchor, nodes, open.height + 1)
    }

    /// Lays the maps of `<<` under a map, as YAML 1.1 and Compose do.
    fn merge(&mut self, map: &mut Map, merges: Vec<Node>) {
        for merge in merges {
            match merge.value {
                Value::Map(under) => {
                    for entry in under.iter() {
                        map.insert(entry.clone());
                    }
                }
                Value::List(items) => self.merge(map, items),
                _ => self.findings.push(
                    Finding::error(code::WRONG_TYPE, "`<<` takes in a map, and this is none")
                        .at(merge.span, "not a map")
                        .help("write an alias to a map, as in `<<: *defaults`"),
                ),
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Step {
        let Some((node, nodes, height)) = self.anchors.get(&anchor).cloned() else {
            return Err(Box::new(
                Finding::error(code::NOT_YAML, "an alias stands inside of what it stands for")
                    .at(span, "refers to itself")
                    .help("an alias repeats something that ended before it"),
            ));
        };
        if let Some(Open { collection: Collection::Map { key: key @ None, .. }, .. }) = self.open.last_mut() {
            *key = Some((node.text().unwrap_or_default().into(), span));
            return Ok(());
        }
        if self.open.len() + height > DEPTH_MAX {
            return Err(Box::new(too_deep(span)));
        }
        self.keep(node, 0, nodes, height)
    }

    /// Puts a finished value where it belongs.
    fn keep(&mut self, node: Node, anchor: usize, nodes: usize, height: usize) -> Step {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(Box::new(
                Finding::error(code::TOO_LARGE, format!("the file holds more than {NODES_MAX} values"))
                    .at(node.span, "the limit is passed here")
                    .help("aliases (`*name`) count as what they repeat: repeat less, or split the system"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes, height));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.height = open.height.max(height);
        match &mut open.collection {
            Collection::List(items) => items.push(node),
            Collection::Map { map, key, merges } => {
                let Some((key, key_span)) = key.take() else { return Ok(()) };
                let node = if matches!(node.value, Value::Null) { Node { span: key_span, ..node } } else { node };
                if &*key == "<<" {
                    merges.push(node);
                } else if let Some(first) = map.insert(Entry { key: Arc::clone(&key), key_span, value: node }) {
                    self.findings.push(
                        Finding::error(code::DUPLICATE_KEY, format!("`{key}` stands here twice"))
                            .at(key_span, "again")
                            .also(first.key_span, "first")
                            .help("keep one of the two, or move what differs into the first"),
                    );
                }
            }
        }
        Ok(())
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(|item| count(&item.value)).sum::<usize>(),
        Value::Map(map) => 1 + map.iter().map(|entry| count(&entry.value.value)).sum::<usize>(),
    }
}

pub(super) fn too_deep(span: Span) -> Finding {
    Finding::error(code::TOO_LARGE, format!("the nesting is deeper than {DEPTH_MAX} levels"))
        .at(span, "the limit is passed here")
        .help("a definition needs fourteen levels at most: look for brackets or dashes that are too many")
}
