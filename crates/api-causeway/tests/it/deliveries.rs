//! Deliveries that deliver nothing.

use std::{future::Future, pin::Pin};

use causeway_app::WebhookControl;

pub(crate) struct NoDeliveries;

impl WebhookControl for NoDeliveries {
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn check_url(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}
