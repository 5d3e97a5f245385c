//! `/api/v1/settings`: what owners set for their organization.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use causeway_api_http::{ApiError, Caller, Parameters, Sent, json};
use causeway_app::{AddressPrivacy, AuditEntry, OrganizationSettings, PeopleStore, Store};
use causeway_types::Now;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;

mod link;

use link::{LINK_BYTES_MAX, LinkFault};

/// Longest retention: ten years.
const RETENTION_DAYS_MAX: u64 = 3650;

/// What owners set. Whatever is left out of a `PUT`, or null, is not set.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Where a room is in the owner's own system, `http:` or `https:`; `{room}` stands for its name, which whoever makes the
    /// link percent-encodes.
    room_link: Option<String>,
    /// The same of a client, with `{client}`.
    client_link: Option<String>,
    /// Price of a gigabyte (1 000 000 000 bytes): a decimal number as a text.
    #[schema(pattern = r"^\d{1,9}(\.\d{1,6})?$")]
    price_per_gb: Option<String>,
    /// Price of a minute of a session: a decimal number as a text.
    #[schema(pattern = r"^\d{1,9}(\.\d{1,6})?$")]
    price_per_minute: Option<String>,
    /// Three letters, such as `EUR`.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// Days that ended sessions are kept; for ever when null.
    #[schema(minimum = 1, maximum = 3650)]
    retention_days: Option<u32>,
    /// What is kept of clients' addresses: `keep` all, `truncate` to their networks, `drop`.
    addresses: &'static str,
}

impl From<OrganizationSettings> for Settings {
    fn from(settings: OrganizationSettings) -> Self {
        Self {
            room_link: settings.room_link,
            client_link: settings.client_link,
            price_per_gb: settings.price_per_gb,
            price_per_minute: settings.price_per_minute,
            currency: settings.currency,
            retention_days: settings.retention_days,
            addresses: settings.addresses.as_str(),
        }
    }
}

/// Read the settings
#[utoipa::path(
    get,
    path = "/api/v1/settings",
    tag = "settings",
    responses((status = 200, description = "As they are.", body = Settings)),
)]
pub(crate) async fn read<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
) -> Result<Response, ApiError> {
    let settings = OrganizationSettings::read(&*state.store, caller.organization).await?;
    Ok(json(StatusCode::OK, &Settings::from(settings)))
}

/// Replace the settings
#[utoipa::path(
    put,
    path = "/api/v1/settings",
    tag = "settings",
    request_body(content((Settings = "application/json"))),
    responses((status = 200, description = "As they are.", body = Settings)),
)]
pub(crate) async fn write<S: Store + PeopleStore>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Sent(mut sent): Sent,
) -> Result<Response, ApiError> {
    let settings = parse(&mut sent);
    sent.finish()?;
    settings.write(&*state.store, caller.organization).await?;
    let entry = AuditEntry::by(caller, "settings.change", String::new(), "{}".to_owned(), Now::read().unix);
    state.store.audit(&entry).await?;
    Ok(json(StatusCode::OK, &Settings::from(settings)))
}

fn parse(sent: &mut Parameters) -> OrganizationSettings {
    let addresses = AddressPrivacy::ALL.map(|choice| (choice.as_str(), choice));
    OrganizationSettings {
        room_link: link(sent, "roomLink", "{room}"),
        client_link: link(sent, "clientLink", "{client}"),
        price_per_gb: price(sent, "pricePerGb"),
        price_per_minute: price(sent, "pricePerMinute"),
        currency: currency(sent),
        retention_days: retention(sent),
        addresses: if sent.has("addresses") {
            sent.word("addresses", &addresses).unwrap_or_default()
        } else {
            AddressPrivacy::default()
        },
    }
}

fn link(sent: &mut Parameters, name: &'static str, placeholder: &'static str) -> Option<String> {
    let text = sent.text(name)?;
    let (code, what) = match link::check(&text, placeholder) {
        Ok(()) => return Some(text),
        Err(LinkFault::TooLong) => ("too_long", format!("at most {LINK_BYTES_MAX} bytes")),
        Err(LinkFault::BadScheme) => ("bad_scheme", "must begin with https:// or http://".to_owned()),
        Err(LinkFault::BadHost) => ("bad_host", "needs a fixed host, without user name or placeholder".to_owned()),
        Err(LinkFault::BadPlaceholder) => {
            ("bad_placeholder", format!("must have {placeholder} behind its host, and no other braces"))
        }
        Err(LinkFault::BadCharacters) => {
            ("bad_characters", "only characters that a URL may have: percent-encode others".to_owned())
        }
    };
    sent.fault(name, code, format!("{name}: {what}"));
    None
}

fn price(sent: &mut Parameters, name: &'static str) -> Option<String> {
    let text = sent.text(name)?;
    let digits = |part: &str, max| (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_good = match text.split_once('.') {
        None => digits(&text, 9),
        Some((whole, fraction)) => digits(whole, 9) && digits(fraction, 6),
    };
    if !is_good {
        sent.fault(name, "bad_price", format!("{name}: must be a number like \"0.05\""));
    }
    is_good.then_some(text)
}

fn currency(sent: &mut Parameters) -> Option<String> {
    let text = sent.text("currency")?;
    let is_good = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_good {
        sent.fault("currency", "bad_currency", "currency: must be three letters like EUR".to_owned());
    }
    is_good.then_some(text)
}

fn retention(sent: &mut Parameters) -> Option<u32> {
    if !sent.has("retentionDays") {
        return None;
    }
    let days = sent.count("retentionDays")?;
    if days > RETENTION_DAYS_MAX {
        sent.fault("retentionDays", "too_large", format!("retentionDays: at most {RETENTION_DAYS_MAX}"));
    }
    u32::try_from(days).ok()
}
