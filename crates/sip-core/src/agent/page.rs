//! Texts outside calls (RFC 3428): from another client to this one.

use std::sync::Arc;

use causeway_call_core::{Identity, Party};
use causeway_types::Now;

use super::{ANSWER_TIME, AgentOutput, PageId, SipAgent, Timer, responses::ClientTransaction};
use crate::{
    message::Message,
    uri::{Uri, quote},
};

/// A text for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Who says it: proven.
    pub from: Party,
    /// For whom.
    pub to: Identity,
    /// Media type.
    pub content_type: Arc<str>,
    /// Text.
    pub body: Arc<str>,
}

impl SipAgent {
    /// Says a text to the client, at one of its Contacts. What it answers comes as [`AgentOutput::PageAnswered`]. None when it
    /// has too many unanswered ones.
    pub fn handle_page(&mut self, now: Now, contact: &str, page: &Page) -> Option<PageId> {
        if self.pages.len() >= self.limits.pages_max {
            return None;
        }
        let id = PageId(self.next_page);
        self.next_page += 1;
        let domain = self.own_domain().to_owned();
        let to = Uri::sip(&page.to.name, &domain);
        let target = self.contact_uri(contact).map_or_else(|| to.to_string(), str::to_owned);
        let from = self.address_of(&page.from, &domain);
        let (tag, branch) = (self.token(), format!("z9hG4bK{}", self.token()));
        let call_id = format!("{}@{}", self.token(), self.settings.host);
        let request = Message::request("MESSAGE", &target)
            .with("Via", format!("SIP/2.0/WSS {};branch={branch}", self.settings.host))
            .with("Max-Forwards", "70")
            .with("From", format!("{from};tag={tag}"))
            .with("To", format!("<{to}>"))
            .with("Call-ID", &call_id)
            .with("CSeq", "1 MESSAGE")
            .with("User-Agent", &self.settings.software)
            .with_body(&page.content_type, &page.body);
        self.timers.insert((now.mono + ANSWER_TIME, Timer::Client(branch.clone())));
        let (method, dialog) = ("MESSAGE".to_owned(), (call_id, tag));
        self.clients.insert(branch.clone(), ClientTransaction { dialog, method, is_again: false });
        self.pages.insert(branch, id);
        self.send(&request);
        Some(id)
    }

    /// The client answered a text, or did not in time.
    pub(super) fn page_over(&mut self, branch: &str, status: u16) {
        if let Some(page) = self.pages.remove(branch) {
            self.give(AgentOutput::PageAnswered { page, status });
        }
    }

    /// A party's address as its peer sees it: in the peer's own domain.
    pub(super) fn address_of(&self, party: &Party, domain: &str) -> String {
        let display = Some(&party.display).filter(|display| !display.is_empty());
        let display = display.map(|display| format!("{} ", quote(display))).unwrap_or_default();
        format!("{display}<{}>", Uri::sip(&party.identity.name, domain))
    }
}
