//! Routes that are served and documented by the same line, so that neither can be forgotten.

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use utoipa::{
    __dev::{SchemaReferences, Tags},
    PartialSchema,
    openapi::{
        ComponentsBuilder, ContentBuilder, HttpMethod, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Response,
        ResponseBuilder, Schema, header::HeaderBuilder, path::Operation,
    },
};

use crate::{Detail, ErrorBody};

/// A router under construction, with its document.
#[derive(Debug)]
pub struct Routes<T> {
    router: Router<T>,
    paths: Paths,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl<T: Clone + Send + Sync + 'static> Default for Routes<T> {
    fn default() -> Self {
        Self { router: Router::new(), paths: Paths::new(), schemas: Vec::new() }
    }
}

impl<T: Clone + Send + Sync + 'static> Routes<T> {
    /// Serves `handler` at the path and method of the document that `utoipa::path` made of it.
    #[must_use]
    pub fn add<P, H, A>(mut self, document: P, handler: H) -> Self
    where
        P: utoipa::Path + SchemaReferences + Tags<'static>,
        H: Handler<A, T>,
        A: 'static,
    {
        for method in &P::methods() {
            self.router = self.router.route(&P::path(), on(filter(method), handler.clone()));
        }
        self.describe(document)
    }

    /// Documents a route that is served elsewhere.
    #[must_use]
    pub fn describe<P: utoipa::Path + SchemaReferences + Tags<'static>>(mut self, _document: P) -> Self {
        P::schemas(&mut self.schemas);
        let mut operation = P::operation();
        operation.tags = Some(P::tags().into_iter().map(str::to_owned).collect());
        self.paths.add_path_operation(P::path(), P::methods(), operation);
        self
    }

    /// The router, and its document.
    pub fn split(self) -> (Router<T>, OpenApi) {
        let components = ComponentsBuilder::new()
            .schemas_from_iter(self.schemas)
            .schema("Error", <ErrorBody<'_> as PartialSchema>::schema())
            .schema("Detail", Detail::schema())
            .build();
        (self.router, OpenApiBuilder::new().paths(self.paths).components(Some(components)).build())
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

/// Says that an operation may answer with these errors, where its own document does not say otherwise.
pub fn document_errors(operation: &mut Operation, statuses: &[(&str, &str)]) {
    for (status, _) in statuses {
        let reference = RefOr::Ref(Ref::from_response_name(format!("Error{status}")));
        operation.responses.responses.entry((*status).to_owned()).or_insert(reference);
    }
}

/// What those references stand for, in the one error shape.
#[must_use]
pub fn error_responses(statuses: &[(&str, &str)]) -> Vec<(String, RefOr<Response>)> {
    let response =
        |(status, description): &(&str, &str)| (format!("Error{status}"), RefOr::T(error(status, description)));
    statuses.iter().map(response).collect()
}

fn error(status: &str, description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let response = ResponseBuilder::new().description(description).content("application/json", content);
    let header =
        |description: &str| HeaderBuilder::new().schema(Some(String::schema())).description(Some(description)).build();
    match status {
        "401" => response.header("WWW-Authenticate", header("The scheme to authenticate with.")),
        "429" | "503" => response.header("Retry-After", header("Seconds to wait.")),
        _ => response,
    }
    .build()
}
