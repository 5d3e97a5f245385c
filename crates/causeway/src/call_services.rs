//! Services that clients call: clients behind a name, or an application that says where each call goes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_app::{OrganizationId, ProjectId, Store};
use causeway_call_core::{AccountId, CallId, HangupCause, Identity, RingRule};
use causeway_signal_sip::{ServiceAsk, ServiceDecision, ServiceRoute};
use causeway_store::SqlStore;
use causeway_types::Now;
use causeway_webhooks::{NoAnswer, Question, Webhooks};
use serde_json::{Value, json};

use crate::config::{Behind, Settings};

/// Longest answer of an application.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Applications that are asked at once; one more call is refused.
const ASKED_MAX: usize = 256;
/// Callers whose ids nothing proves are shown so to whoever they call.
const ANONYMOUS: &str = "anonymous";
/// `X-` headers that an application is told of.
const HEADERS_MAX: usize = 32;

/// Every service.
pub(crate) struct CallServices {
    by_name: BTreeMap<(ProjectId, String), (String, Behind)>,
    webhooks: Arc<Webhooks>,
    asked: tokio::sync::Semaphore,
}

impl CallServices {
    /// Those of the configuration. A project that is not there, or a URL that must not be asked, ends the start.
    pub(crate) async fn start(settings: &Settings, store: &SqlStore, webhooks: &Arc<Webhooks>) -> anyhow::Result<Self> {
        let mut by_name = BTreeMap::new();
        let configured = &settings.calls.services;
        let projects = if configured.is_empty() { Vec::new() } else { store.projects(OrganizationId::DEFAULT).await? };
        for service in configured {
            let project = projects.iter().find(|project| project.slug == service.project.as_str());
            let project = project.ok_or_else(|| {
                anyhow::anyhow!(
                    "the service {} names the project {}, which is not there",
                    service.name,
                    service.project
                )
            })?;
            if let Behind::Application { url, .. } = &service.behind {
                use causeway_app::WebhookControl;
                webhooks.check_url(url).map_err(|why| {
                    anyhow::anyhow!("the application of service {} cannot be asked: {why}", service.name)
                })?;
            }
            let named = (service.project.as_str().to_owned(), service.behind.clone());
            by_name.insert((project.id, service.name.clone()), named);
        }
        Ok(Self { by_name, webhooks: Arc::clone(webhooks), asked: tokio::sync::Semaphore::new(ASKED_MAX) })
    }

    /// Where a call of this project's client goes.
    pub(crate) fn route(&self, project: ProjectId, ask: &ServiceAsk) -> ServiceRoute {
        let Some((_, behind)) = self.by_name.get(&(project, ask.service.clone())) else {
            return ServiceRoute::Reject(HangupCause::NotFound);
        };
        let account = AccountId(project.0);
        let from = Identity::new(account, if is_proven(project, ask) { &ask.caller } else { ANONYMOUS });
        match behind {
            Behind::Clients(clients) => {
                ServiceRoute::Dial { from, to: clients.iter().map(|name| Identity::new(account, name)).collect() }
            }
            Behind::Application { .. } => ServiceRoute::Ask { from },
        }
    }

    /// Asks the application behind a service.
    pub(crate) async fn decide(&self, project: ProjectId, ask: ServiceAsk, call: CallId) -> ServiceDecision {
        let Some((slug, Behind::Application { url, secret, answer_within })) =
            self.by_name.get(&(project, ask.service.clone()))
        else {
            return ServiceDecision::Reject(HangupCause::NotFound);
        };
        let Ok(_place) = self.asked.try_acquire() else {
            tracing::warn!(asked_max = ASKED_MAX, "too many applications are asked at once: a service call is refused");
            return ServiceDecision::Reject(HangupCause::Congestion);
        };
        let secrets = [secret.clone()];
        let question = Question {
            url,
            secrets: &secrets,
            event: "call.service",
            id: call.to_string(),
            body: question(project, slug, &ask, call).to_string(),
            patience: *answer_within,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = self.webhooks.put_question(question).await;
        let decision = match &answer {
            Ok(answer) => read(project, answer),
            Err(error) => Err(error.to_string()),
        };
        decision.unwrap_or_else(|why| {
            tracing::warn!(service = %ask.service, %call, why, "an application did not say where a call goes");
            let is_late = matches!(answer, Err(NoAnswer::Late));
            ServiceDecision::Reject(if is_late { HangupCause::TimedOut } else { HangupCause::Failure })
        })
    }
}

/// Whether the caller is registered over the connection that calls.
fn is_proven(project: ProjectId, ask: &ServiceAsk) -> bool {
    ask.registered.iter().any(|identity| identity.account == AccountId(project.0) && *identity.name == *ask.caller)
}

/// What an application is asked.
fn question(project: ProjectId, slug: &str, ask: &ServiceAsk, call: CallId) -> Value {
    let headers: serde_json::Map<String, Value> =
        ask.headers.iter().take(HEADERS_MAX).map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "type": "call.service",
        "id": call.to_string(),
        "time": causeway_api_http::Timestamp::from(Now::read().unix),
        "project": slug,
        "data": {
            "callId": call.to_string(),
            "service": ask.service,
            "caller": ask.caller,
            "callerProven": is_proven(project, ask),
            "clientAddress": ask.address,
            "headers": headers,
        },
    })
}

/// What an application said, or why it said nothing of use.
fn read(project: ProjectId, answer: &[u8]) -> Result<ServiceDecision, String> {
    let answer: Value = serde_json::from_slice(answer).map_err(|error| format!("the answer is no JSON: {error}"))?;
    match (answer.get("dial"), answer.get("reject")) {
        (Some(dial), None) => {
            let names: Option<Vec<&str>> = match dial {
                Value::String(name) => Some(vec![name]),
                Value::Array(names) => names.iter().map(Value::as_str).collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
            };
            let names = names.filter(|names| !names.is_empty() && names.iter().all(|name| !name.is_empty()));
            let names = names.ok_or("`dial` is neither a client id nor a list of them")?;
            let ring = match answer.get("ring").map(|ring| ring.as_str().unwrap_or("")) {
                None => None,
                Some("newest") => Some(RingRule::Newest),
                Some("all") => Some(RingRule::All),
                Some(_) => return Err("`ring` is neither \"newest\" nor \"all\"".to_owned()),
            };
            let ring_for = match answer.get("ringFor") {
                None => None,
                Some(secs) => {
                    let secs = secs.as_u64().filter(|secs| (1..=600).contains(secs));
                    Some(Duration::from_secs(secs.ok_or("`ringFor` is no number of seconds from 1 to 600")?))
                }
            };
            let to = names.into_iter().map(|name| Identity::new(AccountId(project.0), name)).collect();
            Ok(ServiceDecision::Dial { to, ring, ring_for })
        }
        (None, Some(said)) => {
            let cause = REJECTIONS.iter().find(|known| said.as_str() == Some(known.name()));
            cause
                .map(|cause| ServiceDecision::Reject(*cause))
                .ok_or_else(|| format!("`reject` is {said}, which is no cause"))
        }
        (Some(_), Some(_)) | (None, None) => Err("the answer has neither `dial` nor `reject`, or both".to_owned()),
    }
}

/// Causes an application may give.
const REJECTIONS: [HangupCause; 8] = [
    HangupCause::Busy,
    HangupCause::Rejected,
    HangupCause::NoAnswer,
    HangupCause::NotFound,
    HangupCause::NotRegistered,
    HangupCause::Forbidden,
    HangupCause::Congestion,
    HangupCause::Failure,
];

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: ProjectId = ProjectId(3);

    fn ask(caller: &str) -> ServiceAsk {
        ServiceAsk {
            key: "abc".to_owned(),
            cloud: "1-2-0".to_owned(),
            service: "help".to_owned(),
            caller: caller.to_owned(),
            registered: vec![Identity::new(AccountId(3), "alice"), Identity::new(AccountId(4), "bob")],
            address: None,
            headers: vec![("X-Order".to_owned(), "42".to_owned())],
        }
    }

    #[test]
    fn answers_say_whom_to_dial_or_why_not() {
        let to = |names: &[&str]| names.iter().map(|name| Identity::new(AccountId(3), name)).collect::<Vec<_>>();
        let dial = |names, ring, ring_for| Ok(ServiceDecision::Dial { to: to(names), ring, ring_for });
        assert_eq!(read(PROJECT, br#"{"dial":"bob"}"#), dial(&["bob"], None, None));
        let all = br#"{"dial":["bob","eve"],"ring":"all","ringFor":20}"#;
        assert_eq!(read(PROJECT, all), dial(&["bob", "eve"], Some(RingRule::All), Some(Duration::from_secs(20))));
        assert_eq!(read(PROJECT, br#"{"reject":"busy"}"#), Ok(ServiceDecision::Reject(HangupCause::Busy)));
        for (answer, told) in [
            ("", "no JSON"),
            ("{}", "neither"),
            (r#"{"dial":"bob","reject":"busy"}"#, "or both"),
            (r#"{"dial":[]}"#, "`dial`"),
            (r#"{"dial":[1]}"#, "`dial`"),
            (r#"{"dial":""}"#, "`dial`"),
            (r#"{"dial":"bob","ring":"one"}"#, "`ring`"),
            (r#"{"dial":"bob","ringFor":0}"#, "`ringFor`"),
            (r#"{"reject":"normal"}"#, "no cause"),
            (r#"{"reject":486}"#, "no cause"),
        ] {
            let error = read(PROJECT, answer.as_bytes()).expect_err(answer);
            assert!(error.contains(told), "{answer}: {error}");
        }
    }

    #[test]
    fn a_caller_is_proven_by_its_registration_in_the_same_project_alone() {
        for (caller, expected) in [("alice", true), ("bob", false), ("eve", false)] {
            assert_eq!(is_proven(PROJECT, &ask(caller)), expected, "{caller}");
        }
        let told = question(PROJECT, "default", &ask("bob"), CallId(1));
        assert_eq!(told["data"]["callerProven"], false);
        assert_eq!((&told["data"]["service"], &told["data"]["headers"]["X-Order"]), (&json!("help"), &json!("42")));
    }
}
