//! What handlers take from a request; what cannot be had is answered in the one error shape.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use causeway_app::ApiCaller;

use crate::{ApiError, Parameters, taken};

/// Who asks, as the guard found out.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub ApiCaller);

impl<T: Send + Sync> FromRequestParts<T> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, ApiError> {
        // Only a route that the table calls open has none, and such a route does not ask.
        parts.extensions.get::<ApiCaller>().copied().map(Self).ok_or_else(ApiError::internal)
    }
}

/// The one parameter of the path. What is no text names nothing.
#[derive(Debug)]
pub struct Segment(pub String);

impl<T: Send + Sync> FromRequestParts<T> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|_| ApiError::not_found())
    }
}

/// The query.
#[derive(Debug)]
pub struct Asked(pub Parameters);

impl<T: Send + Sync> FromRequestParts<T> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, ApiError> {
        Ok(Self(Parameters::of_query(parts.uri.query())))
    }
}

/// The body: a JSON object or a form.
#[derive(Debug)]
pub struct Sent(pub Parameters);

impl<T: Send + Sync> FromRequest<T> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &T) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut parameters = Parameters::default();
        parameters.add_body(&parts.headers, &taken(body).await?)?;
        Ok(Self(parameters))
    }
}
