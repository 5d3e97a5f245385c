//! A client of a voice connection, and what the server that has it tells the others of it.

use std::{sync::Arc, time::Duration};

use crate::{OrganizationId, ProjectId, VoiceConnectionId, VoiceUser, VoiceWebhook};

/// Whose a client is, and who hears of its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) project: ProjectId,
    pub(super) organization: OrganizationId,
    pub(super) connection: VoiceConnectionId,
    pub(super) webhook: VoiceWebhook,
}

impl From<&VoiceUser> for Client {
    fn from(user: &VoiceUser) -> Self {
        Self {
            project: user.connection.project,
            organization: user.organization,
            connection: user.connection.id,
            webhook: user.connection.webhook.clone(),
        }
    }
}

impl Client {
    /// For servers whose clients call it: organization, connection, milliseconds of an attempt or `-`, length of the first URL;
    /// then both URLs. Its project is its account's.
    pub(super) fn note(&self) -> Arc<str> {
        let VoiceWebhook { url, failover_url, timeout } = &self.webhook;
        let (url, failover) = (url.as_deref().unwrap_or_default(), failover_url.as_deref().unwrap_or_default());
        let patience = timeout.map_or_else(|| "-".to_owned(), |timeout| timeout.as_millis().to_string());
        let (organization, connection, split) = (self.organization.0, self.connection.0, url.len());
        Arc::from(format!("{organization} {connection} {patience} {split}\n{url}{failover}"))
    }

    /// What another server says of a client of this project; none for what is not understood.
    pub(super) fn read(project: ProjectId, note: &str) -> Option<Self> {
        let (head, urls) = note.split_once('\n')?;
        let mut words = head.split(' ');
        let organization = OrganizationId(words.next()?.parse().ok()?);
        let connection = VoiceConnectionId(words.next()?.parse().ok()?);
        let timeout = match words.next()? {
            "-" => None,
            millis => Some(Duration::from_millis(millis.parse().ok()?)),
        };
        let (url, failover) = urls.split_at_checked(words.next()?.parse().ok()?)?;
        let given = |url: &str| (!url.is_empty()).then(|| url.to_owned());
        let webhook = VoiceWebhook { url: given(url), failover_url: given(failover), timeout };
        Some(Self { project, organization, connection, webhook })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: Option<&str>, failover: Option<&str>, timeout: Option<u64>) -> Client {
        let webhook = VoiceWebhook {
            url: url.map(str::to_owned),
            failover_url: failover.map(str::to_owned),
            timeout: timeout.map(Duration::from_millis),
        };
        let (organization, connection) = (OrganizationId(3), VoiceConnectionId(7));
        Client { project: ProjectId(1), organization, connection, webhook }
    }

    #[test]
    fn another_server_reads_what_was_noted() {
        let both = client(Some("https://a/ä \n1"), Some("https://b"), Some(1500));
        for client in [both, client(None, None, None), client(Some("https://a"), None, Some(0))] {
            assert_eq!(Client::read(ProjectId(1), &client.note()), Some(client));
        }
    }

    #[test]
    fn what_is_not_understood_is_nobody() {
        for bad in ["", "3 7 - 0", "3 7 0\n", "x 7 - 0\n", "3 7 - 9\nhttps://", "3 7 - 1\nä", "3 7 -1 0\n"] {
            assert_eq!(Client::read(ProjectId(1), bad), None, "{bad}");
        }
    }
}
