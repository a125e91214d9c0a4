//! From files to a [`System`]: the steps in their order.
//!
//! Each step goes on after mistakes where it can, so that everything that is wrong is told in one run.

use crate::{
    code, decode,
    finding::{Finding, Problems, Severity},
    in_force::Written,
    judge::Judge,
    keys::{
        Shape,
        accept::{self, Part},
        top,
    },
    layers, lint, rules,
    source::{
        Span, dotenv,
        files::{Disk, Files, clean},
        find,
        include::Reader,
        overlay::overlay,
        tree::Node,
        variables, yaml,
    },
    spelling,
    system::System,
};
use motet_kernel::name::ProfileName;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What to load, and what is known of the world around it.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The definition, or the folder that it is in.
    pub file: PathBuf,
    /// The profiles to lay over it, in order.
    pub profiles: Vec<String>,
    /// The environment for `${VAR}`. It wins over `.env` beside the definition.
    pub env: BTreeMap<String, String>,
    /// Who is asked about what the model does not know. `None`: that is left to whoever runs the system.
    pub judge: Option<&'static dyn Judge>,
}

/// A definition that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// What it describes.
    pub system: System,
    /// Every file that was read: the definition, `.env`, includes and the schemas of topics. A change of one of them changes the definition.
    pub files: Vec<PathBuf>,
    /// The lints that are not silenced.
    pub warnings: Problems,
    pub(crate) written: Written,
}

/// Reads a definition from disk.
///
/// # Errors
/// Everything that makes it impossible to run, of all files, at once.
pub fn load(options: &LoadOptions) -> Result<Loaded, Problems> {
    load_from(&Disk, options)
}

/// Reads a definition from anywhere.
///
/// # Errors
/// As [`load`].
pub fn load_from(files: &dyn Files, options: &LoadOptions) -> Result<Loaded, Problems> {
    let Read { system, schemas, problems } = read(files, options);
    match system {
        Some((system, written)) if problems.errors() == 0 => {
            let files = problems.sources().iter().map(|file| file.path.clone()).chain(schemas).collect();
            Ok(Loaded { system, files, warnings: problems, written })
        }
        _ => Err(problems),
    }
}

/// Everything that is wrong with a definition: errors and lints.
pub fn check(options: &LoadOptions) -> Problems {
    check_in(&Disk, options)
}

/// The same, from anywhere.
pub fn check_in(files: &dyn Files, options: &LoadOptions) -> Problems {
    read(files, options).problems
}

/// The definition that a folder belongs to: `motet.yaml` or `motet.yml` in it or in the nearest folder above.
///
/// # Errors
/// There is none; the problem says what is there instead.
pub fn find(start: &Path) -> Result<PathBuf, Problems> {
    let start = absolute(start);
    find::find(&Disk, &start).map_err(|finding| Problems::new(vec![*finding], Default::default()))
}

struct Read {
    system: Option<(System, Written)>,
    /// The files of topics' schemas.
    schemas: BTreeSet<PathBuf>,
    problems: Problems,
}

impl Read {
    fn failed(problems: Problems) -> Self {
        Self { system: None, schemas: BTreeSet::new(), problems }
    }
}

fn absolute(path: &Path) -> PathBuf {
    clean(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

fn read(files: &dyn Files, options: &LoadOptions) -> Read {
    let file = match find::named(files, &absolute(&options.file)) {
        Ok(file) => file,
        Err(finding) => return Read::failed(Problems::new(vec![*finding], Default::default())),
    };
    let dir = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut reader = Reader::new(files, dir.clone());
    let tree = definition(&file, &mut reader);
    let variables = variables_of(&dir, options, &mut reader);
    let Some(tree) = tree else {
        return Read::failed(Problems::new(reader.findings, reader.sources));
    };

    let (mut whole, profiles) = with_profiles(tree, &options.profiles, &mut reader);
    variables::replace(&mut whole, &variables, &mut reader.findings);
    let Reader { sources, mut findings, .. } = reader;
    accept::accept(&whole, &Shape::Fields(&top::TOP), Part::Whole, &sources, &mut findings);
    layers::bound_paths(&mut whole, &mut findings);

    let names = profiles.iter().map(|(name, _)| name.clone()).collect();
    let frame = decode::Frame { file: &file, dir: &dir, profiles: names, sources: &sources };
    let system = decode::system(&whole, &frame);
    let mut schemas = BTreeSet::new();
    if let Some(system) = &system {
        let subject = rules::Subject { system, tree: &whole, files, judge: options.judge };
        schemas = rules::check(&subject, &mut findings);
        // An error makes lints guess.
        if findings.iter().all(|finding| finding.severity != Severity::Error) {
            lint::check(&subject, &mut findings);
        }
    }
    variables::conceal(&whole, &sources, &mut findings);
    let written = Written { tree: whole, profiles };
    Read { system: system.map(|system| (system, written)), schemas, problems: Problems::new(findings, sources) }
}

/// The definition's tree by itself, checked as far as a part can be.
fn definition(file: &Path, reader: &mut Reader<'_>) -> Option<Node> {
    let source = reader.text(file, None)?;
    let before = reader.findings.len();
    let Some(tree) = yaml::read(&reader.sources, source, &mut reader.findings) else {
        if reader.findings.len() == before {
            reader.findings.push(empty_definition(source, reader));
        }
        return None;
    };
    if matches!(tree.value, crate::source::tree::Value::Null) {
        reader.findings.push(empty_definition(source, reader));
        return None;
    }
    accept::accept(&tree, &Shape::Fields(&top::TOP), Part::Fragment, &reader.sources, &mut reader.findings);
    tree.as_map()?;
    Some(tree)
}

fn empty_definition(source: usize, reader: &Reader<'_>) -> Finding {
    let name = reader.sources.get(source).map_or("the file", |file| file.name.as_str());
    Finding::error(code::EMPTY_DEFINITION, format!("`{name}` is empty")).help(concat!(
        "a definition begins like this:\n\n",
        "  motet: 1\n",
        "  system: my-system\n",
        "  services:\n",
        "    web:\n",
        "      process: { command: ./web }\n",
        "      ready: { http: /healthz }"
    ))
}

/// `.env` beside the definition, and the environment over it.
fn variables_of(dir: &Path, options: &LoadOptions, reader: &mut Reader<'_>) -> variables::Variables {
    let path = dir.join(".env");
    let mut variables = variables::Variables::new();
    if reader.files.kind(&path) == Some(crate::source::files::Kind::File)
        && let Some(file) = reader.text(&path, None)
    {
        variables = dotenv::read(&reader.sources, file, &mut reader.findings);
    }
    variables.extend(options.env.clone());
    variables
}

/// The definition with includes and with the chosen profiles laid over it, without the profiles themselves.
fn with_profiles(mut tree: Node, chosen: &[String], reader: &mut Reader<'_>) -> (Node, Vec<(ProfileName, Span)>) {
    reader.include_services(&mut tree);
    let profiles = tree.get(top::PROFILES.name).cloned();
    let defined = || profiles.as_ref().and_then(Node::as_map).into_iter().flat_map(|map| map.iter());
    if let Some(map) = tree.as_map_mut() {
        map.retain(|entry| &*entry.key != top::PROFILES.name);
    }
    let mut names = Vec::new();
    for name in chosen {
        let entry = defined().find(|entry| &*entry.key == name.as_str());
        let (Some(entry), Ok(parsed)) = (entry, name.parse()) else {
            let known: Vec<_> = defined().map(|entry| entry.key.to_string()).collect();
            reader.findings.push(unknown_profile(name, &known, profiles.as_ref()));
            continue;
        };
        let mut over = entry.value.clone();
        reader.include_services(&mut over);
        tree = overlay(&tree, &over, Some(Shape::Fields(&top::TOP)));
        names.push((parsed, entry.value.span));
    }
    (tree, names)
}

fn unknown_profile(name: &str, known: &[String], profiles: Option<&Node>) -> Finding {
    let finding = Finding::error(code::UNKNOWN_PROFILE, format!("there is no profile `{}`", accept::shorten(name)));
    let help = match spelling::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => {
            "this definition has no profiles: leave out `--profile`, or add one under `profiles:`".into()
        }
        None => format!("there are {}", spelling::all_of(known.iter().cloned())),
    };
    match profiles {
        Some(node) => finding.at(node.span, "the profiles are here").help(help),
        None => finding.help(help),
    }
}
