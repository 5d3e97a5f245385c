//! Calls that go on, on all servers: each server posts its own for the others to read.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use causeway_app::{CallBook, CallRecord, CallState, CallView, Cluster, LiveCalls, Posted, ProjectId};
use causeway_call_core::{CallEvent, CallId, HangupCause};
use causeway_types::UnixTime;

/// All calls of a project are under one name: they are read at once.
const NAME: &str = "live";

/// The calls of this server, and those of others as far as they can be asked.
pub(crate) struct LiveBoard {
    book: Arc<CallBook>,
    cluster: OnceLock<Arc<dyn Cluster>>,
}

impl LiveBoard {
    pub(crate) const fn new(book: Arc<CallBook>) -> Self {
        Self { book, cluster: OnceLock::new() }
    }

    /// There are other servers.
    pub(crate) fn join(&self, cluster: Arc<dyn Cluster>) {
        // A second cluster is a fault of the program's; the first stays.
        let _is_first = self.cluster.set(cluster);
    }

    /// Something happened to a call here.
    pub(crate) fn note(&self, event: &CallEvent) {
        let displaced = self.book.call(event);
        let Some(cluster) = self.cluster.get() else { return };
        if let Some((project, view)) = self.book.view(event.call) {
            cluster.post(&shelf(project), NAME, entry(event.call), text(view));
        }
        if let Some(record) = displaced {
            cluster.post(&shelf(record.start.project), NAME, entry(record.start.id), None);
        }
    }

    /// The store has taken these: they are read there.
    pub(crate) fn taken(&self, records: &[Arc<CallRecord>]) {
        self.book.taken(records);
        let Some(cluster) = self.cluster.get() else { return };
        for record in records {
            cluster.post(&shelf(record.start.project), NAME, entry(record.start.id), None);
        }
    }

    async fn elsewhere(&self, project: ProjectId) -> Vec<CallView> {
        let Some(cluster) = self.cluster.get() else { return Vec::new() };
        let posted = cluster.posted(&shelf(project), Some(NAME)).await.unwrap_or_default();
        posted.iter().filter_map(read).collect()
    }
}

impl LiveCalls for LiveBoard {
    fn of_project(&self, project: ProjectId) -> Pin<Box<dyn Future<Output = Vec<CallView>> + Send + '_>> {
        Box::pin(async move {
            let mut all = self.elsewhere(project).await;
            all.extend(self.book.views(project));
            all.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
            all
        })
    }
}

fn shelf(project: ProjectId) -> String {
    format!("calls-{}", project.0)
}

/// Ids are random in their lower half too.
fn entry(call: CallId) -> u64 {
    u64::try_from(call.0 & u128::from(u64::MAX)).unwrap_or_default()
}

/// From, to, service, dialect.
type Parties = (String, Vec<String>, Option<String>, String);
/// Started, ringing, answered, ended: milliseconds.
type Times = (u64, Option<u64>, Option<u64>, Option<u64>);
/// Cause, SIP status, ended by.
type End = Option<(String, u16, String)>;
/// As it is posted: id, state, parties, times, answered by, end. Without names: there is one per call.
type Text = (String, String, Parties, Times, Option<String>, End);

fn text(view: CallView) -> Option<String> {
    let millis = |at: Option<UnixTime>| at.map(UnixTime::as_millis);
    let parties: Parties = (view.from, view.to, view.service, view.dialect);
    let times: Times =
        (view.started_at.as_millis(), millis(view.ringing_at), millis(view.answered_at), millis(view.ended_at));
    let end: End = view.cause.zip(view.sip_code).zip(view.ended_by).map(|((cause, code), by)| (cause, code, by));
    let text: Text = (view.id, view.state.as_str().to_owned(), parties, times, view.answered_by, end);
    serde_json::to_string(&text).ok()
}

/// Reads what another server posted; none for what is not understood.
fn read(posted: &Posted) -> Option<CallView> {
    let (id, state, parties, times, answered_by, end): Text = serde_json::from_str(&posted.text).ok()?;
    let states = [CallState::Calling, CallState::Ringing, CallState::Active, CallState::Ended];
    let state = states.into_iter().find(|known| known.as_str() == state)?;
    let (cause, sip_code, ended_by) = match end {
        // A cause of a later version is none of ours.
        Some((cause, code, by)) if HangupCause::ALL.iter().any(|known| known.name() == cause) => {
            (Some(cause), Some(code), Some(by))
        }
        Some(_) | None => (None, None, None),
    };
    let (from, to, service, dialect) = parties;
    Some(CallView {
        id,
        state,
        from,
        to,
        service,
        dialect,
        client_address: None,
        started_at: UnixTime::from_millis(times.0),
        ringing_at: times.1.map(UnixTime::from_millis),
        answered_at: times.2.map(UnixTime::from_millis),
        answered_by,
        answered_address: None,
        ended_at: times.3.map(UnixTime::from_millis),
        cause,
        sip_code,
        ended_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> CallView {
        CallView {
            id: "c".to_owned(),
            state: CallState::Ended,
            from: "ann".to_owned(),
            to: vec!["ben".to_owned(), "cat".to_owned()],
            service: Some("sales".to_owned()),
            dialect: "sip".to_owned(),
            client_address: None,
            started_at: UnixTime::from_millis(1001),
            ringing_at: Some(UnixTime::from_millis(1002)),
            answered_at: Some(UnixTime::from_millis(1003)),
            answered_by: Some("cat".to_owned()),
            answered_address: None,
            ended_at: Some(UnixTime::from_millis(1004)),
            cause: Some("busy".to_owned()),
            sip_code: Some(486),
            ended_by: Some("callee".to_owned()),
        }
    }

    fn posted(text: String) -> Posted {
        Posted { node: Arc::from("b/1"), name: NAME.to_owned(), entry: 1, text }
    }

    #[test]
    fn what_is_posted_is_read_as_it_was() {
        let live = CallView { state: CallState::Calling, ended_at: None, cause: None, sip_code: None, ..view() };
        for view in [view(), CallView { ended_by: None, service: None, ..live }] {
            assert_eq!(read(&posted(text(view.clone()).unwrap())), Some(view));
        }
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let good = text(view()).unwrap();
        for bad in ["", "[]", &good.replace("ended", "moved")] {
            assert_eq!(read(&posted(bad.to_owned())), None, "{bad}");
        }
        let cause = read(&posted(good.replace("busy", "bored"))).unwrap();
        assert_eq!((cause.state, cause.cause, cause.sip_code), (CallState::Ended, None, None));
    }
}
