//! A question to an application: one signed post whose answer is read, with the same rules for addresses as deliveries.

use std::time::Duration;

use causeway_types::{Now, Secret};
use tokio::time::timeout;

use crate::{post::Poster, signature::sign};

/// A question.
#[derive(Debug)]
pub struct Question<'a> {
    /// Where to.
    pub url: &'a str,
    /// Signed with these, the newest first.
    pub secrets: &'a [Secret<String>],
    /// Its kind, in the header `Causeway-Event`.
    pub event: &'a str,
    /// Its name, in the header `Causeway-Delivery`.
    pub id: String,
    /// JSON.
    pub body: String,
    /// From resolving to the end of the answer.
    pub patience: Duration,
    /// Bytes of the longest answer that is taken.
    pub answer_bytes_max: usize,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// It is no success.
    #[error("the answer has status {0}")]
    Status(u16),
    /// It is longer than may be.
    #[error("the answer is too long")]
    TooLong,
    /// The address is refused, there is no connection, or nothing that can be read.
    #[error("{0}")]
    Failed(String),
}

impl Poster {
    /// Asks once. A redirect is no answer.
    pub(crate) async fn question(&self, question: Question<'_>) -> Result<Vec<u8>, NoAnswer> {
        let Question { url, secrets, event, id, body, patience, answer_bytes_max } = question;
        let headers = [
            ("user-agent", "causeway-webhooks/1".to_owned()),
            ("causeway-event", event.to_owned()),
            ("causeway-delivery", id),
            ("causeway-attempt", "1".to_owned()),
            ("causeway-signature", sign(secrets, Now::read().unix, &body)),
        ];
        let asked = self.ask(url, &headers, body, answer_bytes_max + 1);
        let answered = timeout(patience, asked).await.map_err(|_| NoAnswer::Late)?;
        match answered.map_err(NoAnswer::Failed)? {
            (status, _) if !(200..300).contains(&status) => Err(NoAnswer::Status(status)),
            (_, answer) if answer.len() > answer_bytes_max => Err(NoAnswer::TooLong),
            (_, answer) => Ok(answer),
        }
    }
}
