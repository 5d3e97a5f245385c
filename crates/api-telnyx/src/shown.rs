//! What is told of a leg, of this server or of another.

use causeway_app::VoiceLeg;
use causeway_call_core::{CallId, LegId};
use causeway_types::{Now, UnixTime};
use serde_json::{Value, json};

use crate::times::precise;

/// A leg as a backend sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    leg: LegId,
    call: CallId,
    client_state: Option<String>,
    started: UnixTime,
    answered: Option<UnixTime>,
    ended: Option<UnixTime>,
}

impl From<&VoiceLeg> for Shown {
    fn from(leg: &VoiceLeg) -> Self {
        Self {
            leg: leg.leg,
            call: leg.call,
            client_state: leg.client_state.clone(),
            started: leg.started,
            answered: leg.answered,
            ended: leg.ended,
        }
    }
}

/// As other servers read it, for a list of what is live: leg, call, the application's state, milliseconds of the start and the
/// answer. Without names: there is one per leg.
type Text = (String, String, Option<String>, u64, Option<u64>);

/// A live leg for the lists of other servers.
#[must_use]
pub fn leg_for_others(leg: &VoiceLeg) -> String {
    json!([
        leg.leg.to_string(),
        leg.call.to_string(),
        leg.client_state,
        leg.started.as_millis(),
        leg.answered.map(UnixTime::as_millis),
    ])
    .to_string()
}

impl Shown {
    /// What another server says of one of its live legs; none for what is not understood.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (leg, call, client_state, started, answered): Text = serde_json::from_str(text).ok()?;
        Some(Self {
            leg: LegId::parse(&leg)?,
            call: CallId::parse(&call)?,
            client_state,
            started: UnixTime::from_millis(started),
            answered: answered.map(UnixTime::from_millis),
            ended: None,
        })
    }

    /// In lists: oldest first.
    pub(crate) const fn order(&self) -> (UnixTime, LegId) {
        (self.started, self.leg)
    }

    pub(crate) fn rendered(&self) -> Value {
        let end = self.ended.unwrap_or_else(|| Now::read().unix);
        let duration = self.answered.map_or(0, |answered| end.saturating_since(answered).as_secs());
        json!({
            "record_type": "call",
            "call_control_id": format!("v3:{}", self.leg),
            "call_leg_id": self.leg.to_string(),
            "call_session_id": self.call.to_string(),
            "is_alive": self.ended.is_none(),
            "call_duration": duration,
            "client_state": self.client_state,
            "start_time": precise(self.started),
            "end_time": self.ended.map(precise),
        })
    }
}

#[cfg(test)]
mod tests {
    use causeway_app::{OrganizationId, ProjectId, VoiceConnectionId, VoiceWebhook};

    use super::*;

    fn leg(client_state: Option<&str>, answered: Option<u64>) -> VoiceLeg {
        VoiceLeg {
            leg: LegId(5),
            call: CallId(6),
            project: ProjectId(1),
            organization: OrganizationId(1),
            connection: VoiceConnectionId(7),
            webhook: VoiceWebhook::default(),
            from: "ann".to_owned(),
            to: "ben".to_owned(),
            is_caller: true,
            is_parked: false,
            client_state: client_state.map(str::to_owned),
            headers: Vec::new(),
            started: UnixTime::from_millis(1001),
            answered: answered.map(UnixTime::from_millis),
            ended: None,
        }
    }

    #[test]
    fn a_live_leg_of_another_server_looks_as_it_does_there() {
        for leg in [leg(None, None), leg(Some("YQ=="), Some(2002))] {
            let text = leg_for_others(&leg);
            assert_eq!(Shown::read(&text), Some(Shown::from(&leg)));
            assert!(!text.contains("ann") && !text.contains("ben"), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let good = leg_for_others(&leg(None, None));
        for bad in ["", "[]", &good.replacen('0', "x", 1), &good.replace("1001", "null")] {
            assert_eq!(Shown::read(bad), None, "{bad}");
        }
    }
}
