//! The parameters that no handler describes: the names in its path, and `Idempotency-Key`.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{OpenApi as Document, RefOr, Required};

use crate::extract::KEYED;

pub(super) fn add(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            // From the last to the first, as each goes to the front.
            for name in path.rsplit(['{', '}']).skip(1).step_by(2) {
                let all = operation.parameters.get_or_insert_default();
                // A handler describes one itself that is no text.
                if !all.iter().any(|it| matches!(it, RefOr::T(own) if own.name == name)) {
                    all.insert(0, named(name).into());
                }
            }
        }
        let field = KEYED.iter().find(|(keyed, _)| keyed == path).map(|(_, field)| field);
        if let (Some(post), Some(field)) = (&mut item.post, field) {
            post.parameters.get_or_insert_default().push(key(field).into());
        }
    }
}

fn named(name: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(Object::with_type(Type::String)))
        .build()
}

fn key(field: &str) -> Parameter {
    let when = match field {
        "order_ref" => "which the body has: if it differs, the answer is 400",
        "batch_id" => "if the request has none",
        _ => "if the body has none",
    };
    let text_or_null = SchemaType::from_iter([Type::String, Type::Null]);
    // An id is of fewer characters than the names of requests, with or without quotes.
    let id = field.ends_with("_id").then_some("^\\x22?[A-Za-z0-9._~:-]{1,64}\\x22?$");
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(format!("Another way to write `{field}`, {when}.")))
        .required(Required::False)
        .schema(Some(ObjectBuilder::new().schema_type(text_or_null).pattern(id)))
        .build()
}
