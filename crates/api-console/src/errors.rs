//! What callers are told when people's use-cases say no.

use axum::http::StatusCode;
use causeway_api_http::ApiError;
use causeway_app::PeopleError;

pub(crate) fn refusal(error: PeopleError) -> ApiError {
    let conflict = |code, message| ApiError::new(StatusCode::CONFLICT, code, message);
    match error {
        PeopleError::Store(error) => error.into(),
        PeopleError::WrongPassword => {
            ApiError::new(StatusCode::UNAUTHORIZED, "bad_login", "e-mail address or password is wrong")
        }
        PeopleError::TooManyTries { wait } => {
            let secs = wait.as_secs().max(1);
            let message = format!("too many tries; wait {secs} seconds");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", message).retry_after(secs)
        }
        PeopleError::BadLink => {
            let message = "this link was used or is over; ask for a new one";
            ApiError::new(StatusCode::NOT_FOUND, "bad_link", message)
        }
        PeopleError::EmailNeeded => ApiError::bad_field("email", "bad_email", "must be an e-mail address"),
        PeopleError::Unknown => ApiError::not_found(),
        PeopleError::Taken => conflict("email_taken", "somebody has this e-mail address already"),
        PeopleError::LastOwner => conflict("last_owner", "at least one owner has to stay"),
        PeopleError::TooManyUsers => conflict("too_many_users", "there are as many people as there may be"),
        PeopleError::NotLetIn => {
            let message = "you are known there, but nobody let you in here; ask an owner for an invitation";
            ApiError::new(StatusCode::FORBIDDEN, "not_let_in", message)
        }
        error @ (PeopleError::EmailUnverified | PeopleError::Provider(_) | PeopleError::NoRandomness | _) => {
            tracing::error!(%error, "nothing was done for somebody");
            ApiError::internal()
        }
    }
}
