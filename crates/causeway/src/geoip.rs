//! Where clients are, from a database file in MaxMind's format.

use std::{net::IpAddr, path::Path, sync::Arc};

use causeway_app::{Locator, Place};
use maxminddb::{MaxMindDbError, PathElement, Reader};

/// A database, read into memory: a file that is replaced under the server does not disturb it.
struct Database(Reader<Vec<u8>>);

/// Opens one.
///
/// # Errors
/// The file cannot be read, or is no such database.
pub(crate) fn open(path: &Path) -> Result<Arc<dyn Locator>, MaxMindDbError> {
    Ok(Arc::new(Database(Reader::open_readfile(path)?)))
}

impl Database {
    fn find(&self, ip: IpAddr) -> Result<Option<Place>, MaxMindDbError> {
        let found = self.0.lookup(ip)?;
        if !found.has_data() {
            return Ok(None);
        }
        let degrees = |name| found.decode_path::<f64>(&[PathElement::Key("location"), PathElement::Key(name)]);
        let country = found.decode_path::<String>(&[PathElement::Key("country"), PathElement::Key("iso_code")])?;
        Ok(Some(Place { coordinates: degrees("latitude")?.zip(degrees("longitude")?), country }))
    }
}

impl Locator for Database {
    fn locate(&self, ip: IpAddr) -> Option<Place> {
        self.find(ip).unwrap_or_else(|error| {
            tracing::debug!(%error, "the GeoIP database does not know an address");
            None
        })
    }
}

#[cfg(test)]
mod tests;
