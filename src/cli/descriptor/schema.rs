//! The schema of invocations: what a caller's file of arguments may hold, as JSON Schema draft 4 (that of Boutiques).

use serde_json::{Map, Value, json};

/// The schema for the inputs of a descriptor.
pub(super) fn of(name: &str, inputs: &[Value]) -> Value {
    let id = |input: &Value| input["id"].as_str().unwrap_or_default().to_owned();
    let properties: Map<String, Value> = inputs.iter().map(|input| (id(input), property(input))).collect();
    let required: Vec<String> = inputs.iter().filter(|input| input["optional"] == false).map(id).collect();
    let flags: Vec<String> = inputs.iter().filter(|input| input["type"] == "Flag").map(id).collect();
    let dependencies: Map<String, Value> =
        inputs.iter().filter_map(|input| Some((id(input), dependency(input, &flags)?))).collect();
    json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": format!("{name}.invocationSchema"),
        "description": format!("Invocation schema for {name}."),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
        "dependencies": dependencies,
    })
}

fn property(input: &Value) -> Value {
    let mut one = if !input["value-choices"].is_null() {
        json!({ "enum": input["value-choices"] })
    } else if input["integer"] == true {
        json!({ "type": "integer" })
    } else {
        let kind = match input["type"].as_str() {
            Some("Flag") => "boolean",
            Some("Number") => "number",
            _ => "string",
        };
        json!({ "type": kind })
    };
    for limit in ["minimum", "maximum"] {
        if !input[limit].is_null() {
            one[limit] = input[limit].clone();
        }
    }
    if input["list"] == true {
        json!({ "type": "array", "items": one, "minItems": input["min-list-entries"] })
    } else {
        one
    }
}

/// What the presence of an input asks of the others. A flag that is false counts as absent, on both sides.
fn dependency(input: &Value, flags: &[String]) -> Option<Value> {
    let is_flag = |id: &str| flags.iter().any(|flag| flag == id);
    let list = |key: &str| input[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let (needed, refused): (Vec<&str>, Vec<&str>) =
        (list("requires-inputs").collect(), list("disables-inputs").collect());
    if needed.is_empty() && refused.is_empty() {
        return None;
    }
    let mut properties = Map::new();
    for id in &needed {
        properties.insert((*id).to_owned(), if is_flag(id) { json!({ "enum": [true] }) } else { json!({}) });
    }
    for id in &refused {
        let only = if is_flag(id) { json!({ "enum": [false] }) } else { json!({ "not": {} }) };
        properties.insert((*id).to_owned(), only);
    }
    let mut rule = json!({ "properties": properties });
    if !needed.is_empty() {
        rule["required"] = needed.into();
    }
    let id = input["id"].as_str().unwrap_or_default();
    let off = json!({ "properties": { (id): { "enum": [false] } } });
    Some(if is_flag(id) { json!({ "anyOf": [off, rule] }) } else { rule })
}
