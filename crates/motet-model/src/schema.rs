//! The JSON Schema (draft 2020-12) of a definition, for editors: made from the table of keys.
//!
//! Editors check with it while one types, so it is as strict as Motet where a schema can say it: a value that holds
//! `${…}` is accepted wherever a single value may stand.

use crate::keys::{Default, Fields, Key, KeyKind, Kind, Shape, service, top};
use serde_json::{Map, Value, json};

const ID: &str = "urn:motet:schema:definition:1";
const SERVICE_ID: &str = "urn:motet:schema:service:1";
const TOPIC: &str = "^[a-z]([a-z0-9-]*[a-z0-9])?(\\.[a-z]([a-z0-9-]*[a-z0-9])?)*$";
const NAME: &str = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
const DURATION: &str = "^ *([0-9]+(\\.[0-9]+)? *(ns|us|µs|ms|s|m|h|d|w|[a-z]+) *)+$";
const SIZE: &str = "^ *[0-9]+(\\.[0-9]+)? *([kKmMgGtT]i?)?[bB]? *$";

/// The schema of `motet.yaml`, as it is kept in `schema/motet.schema.json`.
pub fn schema() -> String {
    document(ID, "Motet system definition", &top::TOP)
}

/// The schema of an included `service.yaml`, as it is kept in `schema/service.schema.json`.
pub fn service_schema() -> String {
    document(SERVICE_ID, "Motet service definition", &service::SERVICE)
}

fn document(id: &str, title: &str, fields: &'static Fields) -> String {
    let mut writer = Writer { definitions: Map::new(), loose: fields.id == "service" };
    let Value::Object(mut root) = writer.object(fields) else { return String::new() };
    if fields.id == "definition" {
        root.insert("patternProperties".into(), json!({ "^x-": { "description": "Ignored: a place for anchors." } }));
    }
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("$id".into(), id.into());
    root.insert("title".into(), title.into());
    root.insert("$defs".into(), Value::Object(writer.definitions));
    let mut text = serde_json::to_string_pretty(&Value::Object(root)).unwrap_or_default();
    text.push('\n');
    text
}

struct Writer {
    definitions: Map<String, Value>,
    /// Inside a profile or an included file nothing is required, because it lies over or under something, and `null` removes.
    loose: bool,
}

impl Writer {
    /// A reference to the definition of a map with known keys, which is written when it is met first.
    fn reference(&mut self, fields: &'static Fields) -> Value {
        let outer = self.loose;
        self.loose = outer || fields.id == "profile";
        let name =
            if self.loose && fields.id != "profile" { format!("{}-part", fields.id) } else { fields.id.to_owned() };
        if !self.definitions.contains_key(&name) {
            self.definitions.insert(name.clone(), Value::Null);
            let object = self.object(fields);
            self.definitions.insert(name.clone(), object);
        }
        self.loose = outer;
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn object(&mut self, fields: &'static Fields) -> Value {
        let mut properties = Map::new();
        for key in fields.keys {
            properties.insert(key.name.to_owned(), self.property(key));
        }
        let mut object = json!({
            "type": "object",
            "description": format!("What can be said about {}.", fields.what),
            "properties": properties,
            "additionalProperties": false,
        });
        if self.loose {
            return object;
        }
        let required: Vec<_> =
            fields.keys.iter().filter(|key| key.default == Default::Required).map(|key| key.name).collect();
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        if fields.id == "service" {
            // The one that is needed may come from the included file or from a profile, so only two are an error here.
            let pairs = [["process", "container"], ["process", "external"], ["container", "external"]];
            object["not"] = json!({ "anyOf": pairs.map(|pair| json!({ "required": pair })) });
        } else if fields.one_needed {
            let choices: Vec<_> = fields.one_of.iter().map(|key| json!({ "required": [key] })).collect();
            object["oneOf"] = json!(choices);
        }
        object
    }

    fn property(&mut self, key: &'static Key) -> Value {
        let mut schema = self.shape(&key.shape);
        if self.loose || takes_null(&key.shape) {
            schema = json!({ "anyOf": [schema, { "type": "null" }] });
        }
        let mut description = key.about.to_owned();
        match key.default {
            Default::Required => description.push_str("\n\nRequired"),
            Default::Value(text) | Default::Words(text) => description.push_str(&format!("\n\nDefault: {text}")),
        }
        description.push_str(&format!(" — {}.", key.reason));
        schema["description"] = description.clone().into();
        schema["markdownDescription"] = format!("{description}\n\n```yaml\n{}\n```", key.example).into();
        schema
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::One(kind) => single(*kind),
            Shape::Fields(fields) => self.reference(fields),
            Shape::Any => json!({}),
            Shape::Object => json!({ "type": "object" }),
            Shape::List(item) => json!({ "type": "array", "items": self.shape(item) }),
            Shape::Either(shapes) => {
                let shapes: Vec<_> = shapes.iter().map(|shape| self.shape(shape)).collect();
                json!({ "anyOf": shapes })
            }
            Shape::Map(keys, value) => {
                let mut schema = json!({ "type": "object", "additionalProperties": self.value_of_map(value) });
                match keys {
                    KeyKind::Name | KeyKind::Service => schema["propertyNames"] = json!({ "pattern": NAME }),
                    KeyKind::Topic | KeyKind::TopicName => {
                        schema["propertyNames"] = json!({ "pattern": TOPIC, "maxLength": 120 });
                    }
                    KeyKind::Attribute => schema["propertyNames"] = json!({ "pattern": "^[a-z0-9]+$" }),
                    KeyKind::UrlPath => schema["propertyNames"] = json!({ "pattern": "^/" }),
                    KeyKind::Header => schema["propertyNames"] = json!({ "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" }),
                    KeyKind::Claim => schema["propertyNames"] = json!({ "minLength": 1 }),
                    KeyKind::Variable => schema["propertyNames"] = json!({ "pattern": "^[^=\\s]+$" }),
                }
                schema
            }
        }
    }

    fn value_of_map(&mut self, value: &Shape) -> Value {
        let schema = self.shape(value);
        match self.loose || takes_null(value) {
            true => json!({ "anyOf": [schema, { "type": "null" }] }),
            false => schema,
        }
    }
}

/// Whether nothing may stand after the key: `index:` in `uses` means an edge with all defaults.
fn takes_null(shape: &Shape) -> bool {
    match shape {
        Shape::Map(..) => true,
        Shape::Fields(fields) => !fields.one_needed && fields.keys.iter().all(|key| key.default != Default::Required),
        Shape::One(_) | Shape::List(_) | Shape::Either(_) | Shape::Any | Shape::Object => false,
    }
}

fn single(kind: Kind) -> Value {
    let variable = json!({ "type": "string", "pattern": "\\$" });
    let or_variable = |schema: Value| json!({ "anyOf": [schema, variable] });
    match kind {
        Kind::Text | Kind::Command | Kind::File | Kind::Folder => {
            json!({ "type": ["string", "number", "boolean"], "minLength": 1 })
        }
        Kind::SizeOrUnlimited => or_variable(
            json!({ "type": ["integer", "string"], "pattern": format!("{SIZE}|^unlimited$"), "minimum": 1 }),
        ),
        Kind::Origin => or_variable(json!({ "type": "string", "pattern": "^(\\*$|https?://)" })),
        Kind::Sha256 => or_variable(json!({ "type": ["string", "integer"], "pattern": "^[0-9a-fA-F]{64}$" })),
        Kind::Scope => json!({ "type": "string", "pattern": "^[^\\s]+$" }),
        Kind::Document => or_variable(json!({ "type": "string", "pattern": "^https?://" })),
        Kind::Glob | Kind::Regex => json!({ "type": "string", "minLength": 1 }),
        Kind::EnvValue => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Name | Kind::Service => or_variable(json!({ "type": "string", "pattern": NAME })),
        Kind::Duration { .. } => or_variable(json!({ "type": "string", "pattern": DURATION })),
        Kind::Integer { min, max } => or_variable(json!({ "type": "integer", "minimum": min, "maximum": max })),
        Kind::Port => or_variable(json!({ "type": "integer", "minimum": 1, "maximum": 65535 })),
        Kind::True => or_variable(json!({ "const": true })),
        Kind::Bool => or_variable(json!({ "type": "boolean" })),
        Kind::Url(schemes) => {
            or_variable(json!({ "type": "string", "pattern": format!("^({})://", schemes.join("|")) }))
        }
        Kind::UrlPath => or_variable(json!({ "type": "string", "pattern": "^/" })),
        Kind::Choice(choices) => or_variable(json!({ "enum": choices })),
        Kind::Listen => or_variable(json!({ "type": "string", "pattern": ":[0-9]+$" })),
        Kind::Lint => json!({ "type": "string", "pattern": "^MO-model-2[0-9]{2}$" }),
        Kind::Version => json!({ "enum": [1, "1"] }),
        Kind::Percent { .. } => or_variable(json!({ "type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? *% *$" })),
        Kind::Size { .. } => json!({ "type": ["string", "integer"], "minLength": 1, "minimum": 0 }),
        Kind::Rate => or_variable(json!({ "type": "string", "pattern": "^(none|[0-9]+ */.+)$" })),
        Kind::NumberOr { min, max, word } => {
            or_variable(json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, { "const": word }] }))
        }
        Kind::TopicName | Kind::Topic => or_variable(json!({ "type": "string", "pattern": TOPIC, "maxLength": 120 })),
        Kind::Pointer => or_variable(json!({ "type": "string", "pattern": "^/([^~]|~[01])+$" })),
        Kind::Keep => or_variable(json!({ "type": "string", "pattern": format!("{DURATION}|{SIZE}") })),
        Kind::DurationOr { word, .. } => {
            or_variable(json!({ "type": "string", "pattern": format!("{DURATION}|^{word}$") }))
        }
        Kind::From => or_variable(
            json!({ "type": ["string", "integer"], "minimum": 0, "pattern": "^(earliest|latest|[0-9]+|[0-9-]+[Tt ].+)$" }),
        ),
        Kind::Table => {
            or_variable(json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)?$" }))
        }
        Kind::Column => or_variable(json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })),
        Kind::Attribute => json!({ "type": "string", "pattern": "^[a-z0-9]+$" }),
        Kind::HostPort => or_variable(json!({ "type": "string", "pattern": "^[^/]+:[0-9]+$" })),
        Kind::HeaderValue | Kind::HeaderName => json!({ "type": ["string", "number", "boolean"] }),
    }
}
