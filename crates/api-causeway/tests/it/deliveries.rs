//! Deliveries that deliver nothing.

use std::{future::Future, pin::Pin};

use causeway_app::{Cursor, WebhookControl, WebhookId};

pub(crate) struct NoDeliveries;

impl WebhookControl for NoDeliveries {
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn replay(&self, _: WebhookId, _: Cursor) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn newest(&self) -> Cursor {
        Cursor(0)
    }

    fn check_url(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}
