//! `/api/v1/usage`: sums by hour or day, split by what is asked for.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_api_http::{ApiError, Timestamp, json, timestamp};
use causeway_app::{Store, UsageGroup, UsageInterval, UsageQuery, UsageRow};
use causeway_types::{Now, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiState,
    extract::{Asked, Caller},
};

/// Intervals in one answer.
const INTERVALS_MAX: u64 = 1000;

/// Usage of one interval and group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UsageRow)]
pub(crate) struct Row {
    /// Start of the interval.
    start: Timestamp,
    /// Name of the group; empty without grouping, and for what has no such label.
    key: String,
    /// Client to relay.
    bytes_in: u64,
    /// Relay to client.
    bytes_out: u64,
    /// Sessions begun.
    sessions: u64,
    /// Seconds of allocation time, to the millisecond.
    seconds: f64,
}

impl From<UsageRow> for Row {
    fn from(row: UsageRow) -> Self {
        Self {
            start: row.start.into(),
            key: row.key,
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
            sessions: row.sessions,
            seconds: Duration::from_millis(row.millis).as_secs_f64(),
        }
    }
}

/// Read usage
///
/// Intervals without usage are left out. Figures are at most a flush interval old.
#[utoipa::path(
    get,
    path = "/api/v1/usage",
    tag = "usage",
    params(
        ("from" = Option<String>, Query, description = "From the interval that holds this moment on (RFC 3339); 24 hours or 30 days before `to` when not given.", format = DateTime),
        ("to" = Option<String>, Query, description = "Before this moment (RFC 3339); now when not given.", format = DateTime),
        ("interval" = Option<String>, Query, description = "`hour`, the default, or `day`; both in UTC."),
        ("format" = Option<String>, Query, description = "`json`, the default, or `csv`: the same rows as a table with a heading."),
        ("group_by" = Option<String>, Query, description = "`room`, `client`, `region`, `token` or `transport`."),
    ),
    responses((status = 200, description = "By start, then by key.", body = Vec<Row>)),
)]
pub(crate) async fn read<S: Store>(
    State(state): State<Arc<ApiState<S>>>,
    Caller(caller): Caller,
    Asked(mut asked): Asked,
) -> Result<Response, ApiError> {
    let (from, to) = (asked.time("from"), asked.time("to"));
    let intervals = [("hour", UsageInterval::Hour), ("day", UsageInterval::Day)];
    let interval = asked.word("interval", &intervals).unwrap_or(UsageInterval::Hour);
    let groups = [
        ("room", UsageGroup::Room),
        ("client", UsageGroup::Client),
        ("region", UsageGroup::Region),
        ("token", UsageGroup::Token),
        ("transport", UsageGroup::Transport),
    ];
    let group = asked.word("group_by", &groups).unwrap_or(UsageGroup::Total);
    let as_csv = asked.word("format", &[("json", false), ("csv", true)]).unwrap_or(false);
    let (width, default_range) = match interval {
        UsageInterval::Hour => (Duration::from_secs(3600), Duration::from_secs(86_400)),
        UsageInterval::Day => (Duration::from_secs(86_400), Duration::from_secs(30 * 86_400)),
    };
    let to = to.unwrap_or_else(|| Now::read().unix);
    let from = from.unwrap_or_else(|| earlier(to, default_range));
    if to.saturating_since(from) > width * u32::try_from(INTERVALS_MAX).unwrap_or(u32::MAX) {
        asked.fault("from", "range_too_long", format!("from: at most {INTERVALS_MAX} intervals before to"));
    }
    asked.finish()?;
    let query = UsageQuery { project: caller.project, from, to, interval, group };
    let rows = state.store.usage(&query).await?;
    if as_csv {
        return Ok(csv(&rows));
    }
    Ok(json(StatusCode::OK, &rows.into_iter().map(Row::from).collect::<Vec<_>>()))
}

/// The same rows for a spreadsheet (RFC 4180). A name that a spreadsheet might take for a formula stays a text.
fn csv(rows: &[UsageRow]) -> Response {
    let mut text = "start,key,bytesIn,bytesOut,sessions,seconds\r\n".to_owned();
    for row in rows {
        let key = if row.key.starts_with('-') { format!("'{}", row.key) } else { row.key.clone() };
        let UsageRow { bytes_in, bytes_out, sessions, millis, .. } = row;
        let seconds = Duration::from_millis(*millis).as_secs_f64();
        text += &format!("{},{key},{bytes_in},{bytes_out},{sessions},{seconds}\r\n", timestamp(row.start));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"usage.csv\""),
    ];
    (headers, text).into_response()
}

fn earlier(than: UnixTime, by: Duration) -> UnixTime {
    UnixTime::from_millis(than.as_millis().saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}
