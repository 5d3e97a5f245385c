//! The OpenAPI document of the whole HTTP interface, put together from what each family says of its routes.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use causeway_api_http::{Access, RouteAccess, document_errors, error_responses};
use utoipa::openapi::{
    InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
    path::{Operation, PathItem},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

/// What every route may answer.
const ALWAYS: &[(&str, &str)] =
    &[("408", "The body did not arrive in time."), ("413", "The body is too large."), ("500", "The server failed.")];

/// What every route that takes a body may answer.
const WITH_BODY: &[(&str, &str)] =
    &[("400", "The body does not parse."), ("415", "The body is neither JSON nor a form.")];

/// What every route that knows its caller may answer.
const WITH_TOKEN: &[(&str, &str)] = &[
    ("400", "The body does not parse."),
    ("401", "The token is missing, wrong, revoked or expired."),
    ("403", "The token lacks the scope, or the project is disabled."),
    ("404", "Not there, or not for this token."),
    ("415", "The body is neither JSON nor a form."),
    ("422", "A field is bad; every one is named."),
    ("429", "Too many requests with this token."),
    ("503", "A part of the server does not answer; try again shortly."),
];

/// One document of many, with what `table` says of tokens and what any route may answer.
#[must_use]
pub fn describe(documents: impl IntoIterator<Item = OpenApi>, table: &[RouteAccess]) -> OpenApi {
    let info = InfoBuilder::new()
        .title("causeway")
        .description(Some("Credentials for a TURN relay, what they were used for, and taking them back."))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let mut whole = OpenApiBuilder::new().info(info).build();
    for document in documents {
        whole.merge(document);
    }
    let mut names = BTreeSet::new();
    for (path, item) in &mut whole.paths.paths {
        for (method, operation) in operations(item) {
            name(operation, method, &mut names);
            let row = table.iter().find(|row| row.method == method && row.path == path);
            finish(operation, row.map_or(Access::Open, |row| row.access));
        }
    }
    if let Some(components) = &mut whole.components {
        components.responses.extend([ALWAYS, WITH_TOKEN].into_iter().flat_map(error_responses));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API token.")).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let basic =
            HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some("The password is an API token.")).build();
        components.add_security_scheme("tokenAsPassword", SecurityScheme::Http(basic));
    }
    whole
}

/// An operation's name for code generators: its resource and what it does, and the method where that is not enough.
fn name(operation: &mut Operation, method: &str, taken: &mut BTreeSet<String>) {
    let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    let mut name = format!("{tag}_{}", operation.operation_id.take().unwrap_or_default());
    if !taken.insert(name.clone()) {
        name = format!("{name}_{}", method.to_ascii_lowercase());
        taken.insert(name.clone());
    }
    operation.operation_id = Some(name);
}

fn finish(operation: &mut Operation, access: Access) {
    let said = match access {
        Access::Open => None,
        Access::Known => Some("Any API token will do.".to_owned()),
        Access::Person => Some("For people who signed in.".to_owned()),
        Access::End => Some("Needs the scope `admin`, or the role operator.".to_owned()),
        Access::Scope(scope) => Some(format!("Needs the scope `{}`.", scope.as_str())),
        Access::Organization(scope) => {
            Some(format!("Needs an organization-wide token with the scope `{}`.", scope.as_str()))
        }
    };
    document_errors(operation, ALWAYS);
    if operation.request_body.is_some() {
        document_errors(operation, WITH_BODY);
    }
    let Some(said) = said else { return };
    document_errors(operation, WITH_TOKEN);
    let description = operation.description.take().map_or_else(|| said.clone(), |text| format!("{text}\n\n{said}"));
    operation.description = Some(description);
    if operation.security.is_none() {
        operation.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("POST", &mut item.post),
        ("PUT", &mut item.put),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// Serves a document at `/openapi.json`.
pub fn serve_document(whole: &OpenApi) -> Router {
    // Texts, numbers and lists of them: nothing that could fail.
    let text: Arc<str> = Arc::from(whole.to_pretty_json().unwrap_or_default());
    Router::new().route("/openapi.json", get(async move || document(text)))
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(crate) fn document(text: Arc<str>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text.to_string()).into_response()
}
