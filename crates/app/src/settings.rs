//! What owners set for their organization.

use crate::{AddressPrivacy, OrganizationId, PeopleStore, StoreResult};

/// An organization's settings; texts were checked when they were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationSettings {
    /// Where a room is in the owner's own system: `https://…/{room}`.
    pub room_link: Option<String>,
    /// The same of a client: `https://…/{client}`.
    pub client_link: Option<String>,
    /// Price of a gigabyte, as a decimal number.
    pub price_per_gb: Option<String>,
    /// Price of a minute of a session, as a decimal number.
    pub price_per_minute: Option<String>,
    /// Three letters of ISO 4217.
    pub currency: Option<String>,
    /// Days that ended sessions are kept; for ever when none.
    pub retention_days: Option<u32>,
    /// What is kept of clients' addresses.
    pub addresses: AddressPrivacy,
}

impl OrganizationSettings {
    /// As stored.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn read<S: PeopleStore>(store: &S, organization: OrganizationId) -> StoreResult<Self> {
        Ok(store.settings(organization).await?.into_iter().fold(Self::default(), Self::with))
    }

    /// Replaces all of them.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn write<S: PeopleStore>(&self, store: &S, organization: OrganizationId) -> StoreResult<()> {
        store.put_settings(organization, &self.rows()).await
    }

    /// Names that this version does not know are left out.
    fn with(mut self, (name, value): (String, String)) -> Self {
        match name.as_str() {
            "room_link" => self.room_link = Some(value),
            "client_link" => self.client_link = Some(value),
            "price_per_gb" => self.price_per_gb = Some(value),
            "price_per_minute" => self.price_per_minute = Some(value),
            "currency" => self.currency = Some(value),
            "retention_days" => self.retention_days = value.parse().ok(),
            "addresses" => {
                let choice = AddressPrivacy::ALL.into_iter().find(|choice| choice.as_str() == value);
                self.addresses = choice.unwrap_or_default();
            }
            _ => {}
        }
        self
    }

    fn rows(&self) -> [(&'static str, Option<String>); 7] {
        [
            ("room_link", self.room_link.clone()),
            ("client_link", self.client_link.clone()),
            ("price_per_gb", self.price_per_gb.clone()),
            ("price_per_minute", self.price_per_minute.clone()),
            ("currency", self.currency.clone()),
            ("retention_days", self.retention_days.map(|days| days.to_string())),
            ("addresses", Some(self.addresses.as_str().to_owned())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_stored_form_and_strange_rows_change_nothing() {
        let text = || Some("x".to_owned());
        let settings = OrganizationSettings {
            room_link: text(),
            client_link: text(),
            price_per_gb: text(),
            price_per_minute: text(),
            currency: text(),
            retention_days: Some(30),
            addresses: AddressPrivacy::Truncate,
        };
        let rows = settings.rows().map(|(name, value)| (name.to_owned(), value.unwrap_or_default()));
        assert_eq!(rows.into_iter().fold(OrganizationSettings::default(), OrganizationSettings::with), settings);
        let strange = [("addresses", "sell"), ("retention_days", "-1"), ("colour", "red")];
        let strange = strange.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let read = strange.into_iter().fold(OrganizationSettings::default(), OrganizationSettings::with);
        assert_eq!(read, OrganizationSettings::default());
    }
}
