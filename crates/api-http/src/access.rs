//! Which route needs what, as data, and the layer that sees to it.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use causeway_app::{CredentialStore, Scope};
use causeway_types::Now;

use crate::{ApiError, Claim, Gate, project};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// A token with this scope.
    Scope(Scope),
    /// Anybody who is known: every token, every person.
    Known,
    /// Somebody who signed in.
    Person,
    /// A token with the scope `admin`, or somebody whose role is operator or owner: ends sessions, takes credentials back.
    End,
    /// An organization-wide token with this scope. It is let in for a disabled project too: who else could enable it?
    Organization(Scope),
}

/// A row of the authorization table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteAccess {
    /// In capitals. `GET` stands for `HEAD` too.
    pub method: &'static str,
    /// With parameters in braces.
    pub path: &'static str,
    /// What it asks for.
    pub access: Access,
}

/// What [`authorize`] decides by.
pub struct Guard<S> {
    /// Knows callers and their allowances.
    pub gate: Arc<Gate<S>>,
    /// A route that is not in it is refused.
    pub table: &'static [RouteAccess],
    /// Where this family's requests say who they are from.
    pub claim: fn(&Parts) -> Option<Claim>,
}

impl<S> Clone for Guard<S> {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate), table: self.table, claim: self.claim }
    }
}

impl<S> std::fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Lets a request through to its route when the table allows it; the route finds its [`ApiCaller`](causeway_app::ApiCaller)
/// and [`Claim`] in the request's extensions. Every answer to a known token carries the state of its allowance.
pub async fn authorize<S: CredentialStore>(State(guard): State<Guard<S>>, request: Request, next: Next) -> Response {
    let access = request.extensions().get::<MatchedPath>().and_then(|path| find(guard.table, request.method(), path));
    let access = match access {
        None => {
            tracing::error!(path = ?request.extensions().get::<MatchedPath>(), "a route without a row in the table");
            return ApiError::internal().into_response();
        }
        Some(Access::Open) => return next.run(request).await,
        Some(access) => access,
    };
    let (mut parts, body) = request.into_parts();
    let claim = (guard.claim)(&parts);
    let identified = guard.gate.identify(claim.as_ref(), project(&parts.headers), access).await;
    let (caller, allowance) = match identified {
        Ok(known) => known,
        Err(error) => return error.into_response(),
    };
    let now = Now::read().unix;
    if !allowance.granted {
        return allowance.mark(ApiError::too_many().into_response(), now);
    }
    parts.extensions.insert(caller);
    if let Some(claim) = claim {
        parts.extensions.insert(claim);
    }
    allowance.mark(next.run(Request::from_parts(parts, body)).await, now)
}

fn find(table: &[RouteAccess], method: &Method, path: &MatchedPath) -> Option<Access> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    table.iter().find(|row| row.method == method && row.path == path.as_str()).map(|row| row.access)
}
